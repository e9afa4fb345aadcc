"""Turn a sliding-window model into a stateful one that computes what is new: see docs/streaming.md."""

from __future__ import annotations

from dataclasses import dataclass

from chipfit.errors import ChipfitError
from chipfit.exporters.tflite import to_tflite
from chipfit.graph import Graph
from chipfit.model import Model
from chipfit.ops import op_of
from chipfit.passes import PIPELINE
from chipfit.streaming.analysis import choose
from chipfit.streaming.flow import Analysis
from chipfit.streaming.report import StreamLayer, StreamReport
from chipfit.streaming.rewrite import Rewritten, rewrite

__all__ = ["StreamLayer", "StreamReport", "Streamed", "stream"]


@dataclass(frozen=True, eq=False)
class Streamed:
    """``model``: the stateful one; its ``source`` is its ``.tflite`` file, if it has one. ``report``: its figures."""

    model: Model
    report: StreamReport

    def tflite(self) -> bytes:
        """The stateful model as a file. Raises ChipfitError O002 where an operator has no ``.tflite`` form."""
        return to_tflite(self.model.graph) if self.model.source is None else self.model.source


def stream(model: Model, *, step: int | None = None, axis: int | None = None) -> Streamed:
    """The stateful model that takes ``step`` new frames a call and gives what the window model gives on the last ones.

    ``axis``: of the input that is time (None: the only one that can be). ``step``: frames a call (None: as few as the
    model's strides allow, 1 if it has none along time). Integer models give the same bytes; float models the same sums.
    Raises ChipfitError S001 with every layer that cannot follow, S002 where nothing would be saved, U001 where axis or
    step do not fit.
    """
    analysis = choose(model.graph, axis, step)
    rewritten = rewrite(model.graph, analysis)
    layers = _layers(model.graph, analysis, rewritten)
    graph, states = rewritten.graph, rewritten.states.values()
    passes = PIPELINE.run(graph).summary()
    source, problem = _file(graph)
    streamed = Model(graph, passes, source)
    report = StreamReport(
        model=model.name,
        streamed=streamed.name,
        input=streamed.inputs[0],
        outputs=tuple(streamed.outputs),
        axis=analysis.axis,
        window=analysis.window,
        step=analysis.step,
        warm_up=-(-analysis.window // analysis.step) - 1,
        layers=layers,
        states=len(states),
        state_bytes=sum(variable.type.nbytes for variable in states),
        window_macs=model.macs,
        macs=streamed.macs,
        file_problem=problem,
    )
    return Streamed(streamed, report)


def _file(graph: Graph) -> tuple[bytes | None, str | None]:
    """The graph as a ``.tflite`` file, or why there is none."""
    try:
        return to_tflite(graph), None
    except ChipfitError as error:
        return None, error.message


def _layers(graph: Graph, analysis: Analysis, rewritten: Rewritten) -> tuple[StreamLayer, ...]:
    """A line for each node. A state belongs to the first that reads it; one that only an output needs to its maker."""
    owners = {value: node for node in graph.nodes for value in node.outputs}
    for node in reversed(graph.nodes):
        step = analysis.steps.get(node)
        for i, part in step.parts.items() if step else ():
            value = node.inputs[i]
            if value in analysis.flows and part.count > analysis.flows[value].new:
                owners[value] = node
    state_bytes = dict.fromkeys(graph.nodes, 0)
    for value, variable in rewritten.states.items():
        if value in owners:  # an input that is an output, too, has no layer
            state_bytes[owners[value]] += variable.type.nbytes
    return tuple(
        StreamLayer(
            name=node.name,
            op=node.op.name,
            window_output=", ".join(str(v.type) for v in node.outputs),
            output=", ".join(str(v.type) for v in added.outputs),
            state_bytes=state_bytes[node],
            window_macs=op_of(node).macs(node),
            macs=op_of(added).macs(added),
        )
        for node, added in rewritten.nodes.items()
    )
