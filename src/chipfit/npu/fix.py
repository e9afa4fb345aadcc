"""Rewrites that bring operators to the NPU and keep every byte; each is proven on random samples before it is taken."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from chipfit.graph import Array, Graph, Node, TensorType, Value
from chipfit.interpret import evaluate, initial_state, trace
from chipfit.ops.average_pool2d import AveragePool2D
from chipfit.ops.mean import Mean
from chipfit.ops.reshape import Reshape
from chipfit.ops.svdf import Svdf
from chipfit.ops.unidirectional_sequence_lstm import UnidirectionalSequenceLstm
from chipfit.passes import integer_io
from chipfit.report.data import TensorInfo
from chipfit.samples import random_samples

SAMPLES = 3
"""Runs of a proof, in order, state going on from one to the next."""


@dataclass(frozen=True)
class Fix:
    """``apply``: the rewritten graph, or the same one where there is nothing to rewrite.

    ``helps``: whether it may bring an operator, by Vela's name, to the NPU.
    """

    name: str
    text: str
    apply: Callable[[Graph], Graph]
    helps: Callable[[str], bool]


def states_as_ports(graph: Graph) -> Graph:
    """Variables become inputs ``<name>_in`` and outputs ``<name>_out``, which the application hands from run to run.

    Only those that are read before they are assigned, once, something that a node computes for this alone.
    """
    result = graph.copy()
    free = [name for name in result.variables if _is_free(result, name)]
    if not free:
        return graph
    for name in free:
        reads = [n for n in result.nodes if n.outputs and n.op.attributes().get("variable") == name]
        assign = next(n for n in result.nodes if not n.outputs and n.op.attributes().get("variable") == name)
        kept = result.variables.pop(name)
        state = Value(result.unique_name(f"{name}_in"), kept.type)
        result.inputs.append(state)
        for read in reads:
            result.replace(read.outputs[0], state)
        end = assign.operands[0]
        result.outputs.append(end)
        gone = {*reads, assign}
        result.nodes = [node for node in result.nodes if node not in gone]
        end.name = result.unique_name(f"{name}_out")
    result.verify()
    return result


def _is_free(graph: Graph, name: str) -> bool:
    uses = [(at, n) for at, n in enumerate(graph.nodes) if n.op.attributes().get("variable") == name]
    reads, assigns = ([pair for pair in uses if bool(pair[1].outputs) is is_read] for is_read in (True, False))
    if len(assigns) != 1 or not reads or reads[-1][0] > assigns[0][0]:
        return False
    if any(isinstance(reader.op, Svdf | UnidirectionalSequenceLstm) for reader in _readers(graph, reads)):
        return False  # a .tflite file has these states inside of the layers
    end = assigns[0][1].operands[0]
    is_read = any(end in node.outputs for _, node in reads)
    return not (end.is_const or is_read or end in graph.inputs or end in graph.outputs)


def _readers(graph: Graph, reads: list[tuple[int, Node]]) -> list[Node]:
    values = {value for _, read in reads for value in read.outputs}
    return [node for node in graph.nodes if not values.isdisjoint(node.operands)]


def means_as_pools(graph: Graph) -> Graph:
    """MEAN over rows and columns of one image as AVERAGE_POOL_2D, which may be larger on the NPU."""
    result = graph.copy()
    nodes: list[Node] = []
    for node in result.nodes:
        nodes += _pool_of(result, node) or [node]
    if len(nodes) == len(result.nodes) and all(a is b for a, b in zip(nodes, result.nodes, strict=True)):
        return graph
    result.nodes = nodes
    result.verify()
    return result


def _pool_of(graph: Graph, node: Node) -> list[Node] | None:
    op = node.op
    if not isinstance(op, Mean):
        return None
    x, y = node["x"], node["y"]
    if len(x.shape) != 4 or sorted(op.axes) != [1, 2] or x.type.quant != y.type.quant or x.dtype != y.dtype:
        return None
    pool = AveragePool2D(kernel=(x.shape[1], x.shape[2]), stride=(x.shape[1], x.shape[2]))
    shape = (x.shape[0], 1, 1, x.shape[3])
    if y.shape == shape:
        return [Node(pool, [x], [y])]
    middle = Value(graph.unique_name(f"{y.name}/pool"), TensorType(shape, y.dtype, y.type.quant))
    return [Node(pool, [x], [middle]), Node(Reshape(shape=y.shape), [middle], [y])]


_CONVERSIONS = ("QUANTIZE", "DEQUANTIZE")
_STATES = ("READ_VARIABLE", "ASSIGN_VARIABLE", "VAR_HANDLE", "CALL_ONCE")

FIXES = (
    Fix(
        "integer_io",
        "inputs and outputs are the stored integers, without QUANTIZE and DEQUANTIZE",
        integer_io,
        lambda op: op in _CONVERSIONS,
    ),
    Fix(
        "states",
        "states are inputs and outputs, which the application hands from run to run",
        states_as_ports,
        lambda op: op in _STATES,
    ),
    Fix(
        "passes",
        "chipfit's passes: transpositions, constants and repeated conversions are folded",
        lambda graph: graph,
        lambda op: op not in (*_CONVERSIONS, *_STATES, "SVDF"),
    ),
    Fix("mean", "MEAN over an image is AVERAGE_POOL_2D", means_as_pools, lambda op: op == "MEAN"),
)
"""In the order in which they are tried."""


def same_bytes(before: Graph, after: Graph, seed: int = 0) -> bool:
    """Whether a rewritten graph gives the same bytes on random samples.

    Where the rewritten one takes or gives integers, or states, these are held against what is inside of the other one.
    """
    state, other = initial_state(before), initial_state(after)
    handed: list[Array] = [
        before.variables[value.name.removesuffix("_in")].initial for value in after.inputs[len(before.inputs) :]
    ]
    consumers, producers = before.consumers(), before.producers()
    for sample in random_samples([TensorInfo.of(v) for v in before.inputs], SAMPLES, seed):
        values = trace(before, sample, state)
        inputs = [
            values[v] if v.type == new.type else values[consumers[v][0].outputs[0]]
            for v, new in zip(before.inputs, after.inputs, strict=False)
        ]
        expected = [
            values[v] if v.type == new.type else values[producers[v].operands[0]]
            for v, new in zip(before.outputs, after.outputs, strict=False)
        ]
        found = evaluate(after, [*inputs, *handed], other)
        handed = list(found[len(expected) :])
        if any(not np.array_equal(a, b) for a, b in zip(expected, found, strict=False)):
            return False
    return True
