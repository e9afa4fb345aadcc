"""Planning: the order of the nodes, and where everything lies in the arena."""

from chipfit.plan.arena import Block, MemoryPlan, plan_memory
from chipfit.plan.memory import Buffer, Placement, place
from chipfit.plan.schedule import live_peak, schedule
from chipfit.plan.text import plan_text
from chipfit.plan.views import find_views

__all__ = [
    "Block",
    "Buffer",
    "MemoryPlan",
    "Placement",
    "find_views",
    "live_peak",
    "place",
    "plan_memory",
    "plan_text",
    "schedule",
]
