"""The whole way: from a float graph to the file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from chipfit.graph import Graph, Value
from chipfit.kmodel.compile.emit import Places, emit
from chipfit.kmodel.compile.grid import Grid
from chipfit.kmodel.compile.lower import Lowered, Numbers, lower
from chipfit.kmodel.compile.lower.grids import grids_of
from chipfit.kmodel.compile.prepare import prepare
from chipfit.kmodel.compile.statistics import NOTHING, Statistics, observe
from chipfit.kmodel.compile.sweep import sweep
from chipfit.kmodel.format.v4 import KmodelV4
from chipfit.quantize.sources import Progress, Samples, no_progress


@dataclass(frozen=True, eq=False)
class Compiled:
    """``graph``: what was lowered; ``kpu_bytes``: that are used of the KPU's memory."""

    graph: Graph
    lowered: Lowered
    model: KmodelV4
    kpu_bytes: int


def compile_graph(
    graph: Graph, samples: Samples | None, images: Mapping[str, Grid], progress: Progress = no_progress
) -> Compiled:
    """A float graph as a kmodel of version 4.

    ``samples``: to calibrate with; None: ranges are assumed, which is enough to see what goes where. ``images``: by
    name, the inputs that are bytes and what these stand for; other inputs are float32.

    Raises ChipfitError O002 for what no opcode computes, M001 where the KPU's memory is too small.
    """
    prepared = prepare(graph)
    statistics: Statistics = NOTHING if samples is None else observe(prepared, samples, progress)
    given: dict[Value, Grid] = {v: images[v.name] for v in prepared.inputs if v.name in images}
    grids = grids_of(prepared, statistics, given)
    rounded = {} if samples is None else sweep(prepared, grids, samples, progress)
    lowered = lower(prepared, Numbers(statistics, grids, rounded, given))
    places = Places(lowered)
    return Compiled(prepared, lowered, emit(lowered, places), places.kpu_bytes)
