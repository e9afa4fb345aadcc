"""What a model needs, before it is compiled for anything."""

from __future__ import annotations

from chipfit.codegen import lower
from chipfit.errors import ChipfitError
from chipfit.graph import Node, Value
from chipfit.model import Model
from chipfit.ops import op_of
from chipfit.plan import MemoryPlan
from chipfit.report.info import ArenaSummary, InspectReport, LayerSummary


def inspect_model(model: Model) -> InspectReport:
    """Layers, parameters, multiply-accumulates and the memory plan of a model."""
    constants = [v for v in model.graph.values() if v.is_const]
    arena, unknown = _arena(model)
    return InspectReport(
        model=model.name,
        format=None if model.source is None else "tflite",
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
    constants: list[Value] = [v for v in dict.fromkeys(node.operands) if v.is_const]
    return LayerSummary(
        name=node.name,
        op=node.op.name,
        output=", ".join(str(v.type) for v in node.outputs),
        params=sum(v.type.size for v in constants),
        macs=op_of(node).macs(node),
    )
