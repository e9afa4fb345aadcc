"""Whether a graph can follow a window that moves on, along which axis, and in which steps."""

from __future__ import annotations

from collections.abc import Sequence

from chipfit.errors import ChipfitError
from chipfit.graph import Graph, Value
from chipfit.ops import op_of
from chipfit.streaming.flow import Analysis, Flow, Problem, Step
from chipfit.streaming.rules import rule_for, whole


def analyse(graph: Graph, axis: int, step: int) -> Analysis:
    """Every node of a graph with one input that moves along ``axis`` by ``step``.

    A node that also reads what is computed anew in every call needs all of the rest. Nodes behind a refused one are
    looked at as far as it is known how their inputs move.
    """
    window = graph.inputs[0].shape[axis]
    result = Analysis(axis, window, step, {graph.inputs[0]: Flow(axis, step)})
    unknown: set[Value] = set()
    for node in graph.nodes:
        if any(v in unknown for v in node.operands):
            unknown.update(node.outputs)
            continue
        flows = {i: result.flows[v] for i, v in enumerate(node.inputs) if v is not None and v in result.flows}
        if not flows:
            continue
        mixed = any(v not in result.flows and not v.is_const for v in node.operands)
        outcome = whole(node, flows) if mixed else rule_for(node)(node, flows)
        if isinstance(outcome, Step):
            result.steps[node] = outcome
            flow = outcome.flow
        else:
            result.problems.append(Problem(node, outcome))
            flow = outcome.assumed
            if flow is None:
                unknown.update(node.outputs)
        if flow is not None:
            result.flows.update((v, flow) for v in node.outputs)
    return result


def choose(graph: Graph, axis: int | None, step: int | None) -> Analysis:
    """The analysis to rewrite by: the axis that was asked for or the only one that can be time; the step that was asked
    for or the shortest one that all layers can follow.

    Raises ChipfitError S001 with everything that stands against it, S002 where nothing would be saved, U001 for an axis
    or step that the input does not have, or where several axes could be time.
    """
    shape = _input_shape(graph)
    tried = [_with_step(graph, a, step) for a in _axes(shape, axis, step)]
    good = [a for a in tried if not a.problems and saves(a)]
    if len(good) == 1:
        return good[0]
    if good:
        names = " and ".join(str(a.axis) for a in good)
        raise ChipfitError(
            "U001", f"the axes {names} of the input {list(shape)} can both be time", f"name it: --axis {good[0].axis}"
        )
    raise _refusal(graph, tried[0])


def _input_shape(graph: Graph) -> tuple[int, ...]:
    if len(graph.inputs) != 1:
        names = ", ".join(f"'{v.name}'" for v in graph.inputs)
        hint = "join the inputs to one window, or stream the part of the model behind one of them"
        raise ChipfitError("S001", f"the model has {len(graph.inputs)} inputs: {names or 'none'}", hint)
    if graph.variables:
        names = ", ".join(f"'{name}'" for name in graph.variables)
        raise ChipfitError("S001", f"the model is stateful already: {names}", "compile it as it is")
    return graph.inputs[0].shape


def _axes(shape: Sequence[int], axis: int | None, step: int | None) -> list[int]:
    """The axis that was asked for, or all that are longer than the step."""
    able = [a for a, size in enumerate(shape) if size > 1]
    if not able:
        raise ChipfitError("S001", f"the input {list(shape)} is one frame: there is no window that moves on")
    if axis is not None and axis not in able:
        hint = f"axes that are longer than 1: {', '.join(map(str, able))}"
        raise ChipfitError("U001", f"the input {list(shape)} has no axis {axis} to stream along", hint)
    asked = able if axis is None else [axis]
    if step is not None and step < 1:
        raise ChipfitError("U001", f"a step of {step} takes no new frame")
    longer = [a for a in asked if step is None or step < shape[a]]
    if not longer:
        window = max(shape[a] for a in asked)
        raise ChipfitError(
            "U001", f"a step of {step} is not less than the window of {window}", f"it is from 1 to {window - 1}"
        )
    return longer


def _with_step(graph: Graph, axis: int, step: int | None) -> Analysis:
    """With this step; or with the shortest that is not refused for its length."""
    window = graph.inputs[0].shape[axis]
    if step is not None:
        return analyse(graph, axis, step)
    result = analyse(graph, axis, 1)
    while result.factor > 1 and result.step * result.factor < window:
        result = analyse(graph, axis, result.step * result.factor)
    return result


def saves(analysis: Analysis) -> bool:
    """Whether any layer that computes, computes less than in the window model."""
    moving = (node for node, step in analysis.steps.items() if step.flow is not None)
    return any(op_of(node).macs(node) or node.op.name.endswith("pool2d") for node in moving)


def _refusal(graph: Graph, analysis: Analysis) -> ChipfitError:
    """All problems of an analysis at once, or that it would save nothing."""
    name, axis, window = graph.inputs[0].name, analysis.axis, analysis.window
    where = f"axis {axis} of the input '{name}' ({window} long, {analysis.step} new in each call)"
    if not analysis.problems:
        first = next(iter(node for node, step in analysis.steps.items() if step.flow is None), None)
        what = f"{first.op.name} '{first.name}' computes all of its output" if first else "no layer computes"
        shorter = "take a shorter --step, or " if analysis.step > 1 else ""
        return ChipfitError("S002", f"{what} anew, along {where}", f"{shorter}keep the last frames in the application")
    lines = [f"  {p.node.op.name} '{p.node.name}' {p.refusal.reason}" for p in analysis.problems]
    hints = dict.fromkeys(p.refusal.hint for p in analysis.problems if p.refusal.hint)
    longer = _with_step(graph, axis, None)
    if analysis.factor > 1 and longer.factor == 1:
        hints[f"--step {longer.step}, or a multiple of it, fits all strides"] = None
    hint = next(iter(hints)) if len(hints) == 1 else "\n".join(f"* {h}" for h in hints)
    layers = "1 layer cannot" if len(lines) == 1 else f"{len(lines)} layers cannot"
    return ChipfitError("S001", f"{layers} follow {where}:\n" + "\n".join(lines), hint)
