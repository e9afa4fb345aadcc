"""What a model needs, before it is compiled."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from chipfit.build import Aim, lower_for
from chipfit.codegen import lower
from chipfit.errors import ChipfitError
from chipfit.graph import Node, Value
from chipfit.model import Model
from chipfit.ops import op_of
from chipfit.ops.scan import Scan
from chipfit.plan import MemoryPlan, PlanInfo, describe
from chipfit.report.info import Alternative, ArenaSummary, InspectReport, LayerSummary, MemoryReport, options_of
from chipfit.targets import Board, load_board


def inspect_model(model: Model) -> InspectReport:
    """Layers, parameters, multiply-accumulates and the memory plan of a model."""
    constants = list(dict.fromkeys(v for node in model.graph.nodes for v in _constants(node)))
    arena, unknown = _arena(model)
    return InspectReport(
        model=model.name,
        format=model.format,
        file_bytes=None if model.source is None else len(model.source),
        inputs=tuple(model.inputs),
        outputs=tuple(model.outputs),
        layers=tuple(_layer(node) for node in model.graph.nodes),
        params=sum(v.type.size for v in constants),
        params_bytes=sum(v.type.nbytes for v in constants),
        macs=model.macs,
        is_float=model.is_float,
        arena=arena,
        arena_unknown=unknown,
        passes=model.passes,
    )


def memory_plan(model: Model) -> MemoryPlan:
    """The plan of the arena with the kernels that every core can run. Raises ChipfitError O002 where one is missing."""
    return lower(model.graph, frozenset()).plan


def memory_report(
    model: Model,
    board: str | Board = "host",
    *,
    optimize: Aim = "balanced",
    preserve_input: bool = False,
    input_rows: bool = False,
    alternatives: bool = True,
) -> MemoryReport:
    """Where everything lies in the RAM of a board, if the model is compiled with these options (see
    :func:`chipfit.build.compile_graph`).

    ``alternatives``: also plan with other options, and report those that need less. Raises ChipfitError B001 and B002
    for the board, O002 for a layer without a kernel or an input that cannot come by rows.
    """
    target = load_board(board) if isinstance(board, str) else board
    asked = _Asked(optimize, preserve_input, input_rows)
    plan = asked.plan(model, target)
    others = tuple(_alternatives(model, target, asked, plan)) if alternatives else ()
    return MemoryReport(model.name, target.name, optimize, preserve_input, input_rows, plan, others)


class _Asked(NamedTuple):
    """Options of a plan."""

    optimize: Aim
    preserve_input: bool
    input_rows: bool

    def plan(self, model: Model, board: Board) -> PlanInfo:
        program = lower_for(
            model.graph, board, self.optimize, preserve_input=self.preserve_input, input_rows=self.input_rows
        )
        return describe(program.plan)


def _alternatives(model: Model, board: Board, asked: _Asked, plan: PlanInfo) -> Iterator[Alternative]:
    """Other options that need less, each by a plan of its own; and what no option gives."""
    others: list[tuple[str, _Asked]] = []
    if asked.preserve_input:
        others.append(("the input overwritten", asked._replace(preserve_input=False)))
    if asked.optimize != "ram":
        others.append(("layers row by row", asked._replace(optimize="ram")))
    if not asked.input_rows:
        others.append(("the input row by row, too", asked._replace(optimize="ram", input_rows=True)))
    best = plan.arena
    for text, other in others:  # each asks for more than those before it: it must need less than they do
        try:
            arena = other.plan(model, board).arena
        except ChipfitError as error:
            if error.code != "O002":  # an input that is no image cannot come by rows
                raise
            continue
        if arena < best:
            best = arena
            yield Alternative(text, arena, options_of(*other))
    if plan.scratch:
        yield Alternative("kernels without scratch, if there were any", plan.arena - plan.scratch)


def _arena(model: Model) -> tuple[ArenaSummary | None, str | None]:
    try:
        plan = memory_plan(model)
    except ChipfitError as error:
        if error.code != "O002":
            raise
        return None, error.message
    arena, bound, scratch, state = plan.arena_bytes, plan.lower_bound, plan.scratch_bytes, plan.state_bytes
    return ArenaSummary(arena, bound, scratch, state, plan.peak_step, plan.why), None


def _layer(node: Node) -> LayerSummary:
    constants = list(dict.fromkeys(_constants(node)))
    return LayerSummary(
        name=node.name,
        op=node.op.name,
        output=", ".join(str(v.type) for v in node.outputs),
        params=sum(v.type.size for v in constants),
        macs=op_of(node).macs(node),
    )


def _constants(node: Node) -> Iterator[Value]:
    """The constants of a layer, and of the layers inside of it."""
    yield from (v for v in node.operands if v.is_const)
    if isinstance(node.op, Scan):
        for inner in node.op.body.nodes:
            yield from _constants(inner)
