"""Planning: the order of the nodes, what runs row by row, and where everything lies in the arena."""

from chipfit.plan.arena import Block, MemoryPlan, plan_memory, step_bound
from chipfit.plan.describe import BlockInfo, PlanInfo, describe
from chipfit.plan.fuse import Layer, fuse
from chipfit.plan.memory import Buffer, Placement, place
from chipfit.plan.rows import Move, RowProgram, Window, cannot_run, row_program
from chipfit.plan.schedule import live_peak, schedule
from chipfit.plan.split import Region, Room, Rooms, fits
from chipfit.plan.units import Lives, Unit
from chipfit.plan.views import ALIGNMENT, View, Views, calls_to_make, find_views, location, nodes_without_work

__all__ = [
    "ALIGNMENT",
    "Block",
    "BlockInfo",
    "Buffer",
    "Layer",
    "Lives",
    "MemoryPlan",
    "Move",
    "Placement",
    "PlanInfo",
    "Region",
    "Room",
    "Rooms",
    "RowProgram",
    "Unit",
    "View",
    "Views",
    "Window",
    "calls_to_make",
    "cannot_run",
    "describe",
    "find_views",
    "fits",
    "fuse",
    "live_peak",
    "location",
    "nodes_without_work",
    "place",
    "plan_memory",
    "row_program",
    "schedule",
    "step_bound",
]
