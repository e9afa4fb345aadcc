"""scan_outputs and scan_bodies: what nobody reads is not made, the last of a sequence of states is the state at the
end, and the graphs inside are rewritten."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from chipfit.graph import Array, DType, Graph, Node, TensorType, Value
from chipfit.interpret import evaluate
from chipfit.ops import Op
from chipfit.ops.add import Add
from chipfit.ops.gather import Gather
from chipfit.ops.mul import Mul
from chipfit.ops.relu import Relu
from chipfit.ops.reshape import Reshape
from chipfit.ops.scan import Scan
from chipfit.ops.slice import Slice
from chipfit.ops.strided_slice import StridedSlice
from chipfit.ops.transpose import Transpose
from chipfit.passes import PIPELINE, SCAN_BODIES, SCAN_OUTPUTS
from recurrent.nets import network, scans_of

STEPS, UNITS = 4, 3


def real(name: str, *shape: int) -> Value:
    return Value(name, TensorType(shape, DType.FLOAT32))


def constant(name: str, data: Array) -> Value:
    return Value(name, TensorType(data.shape, DType.of(data)), data)


class Loop:
    """A SCAN of two states: s' = s + x, t' = t * x; sequences of s', t' and x + x come out."""

    def __init__(self, backward: bool = False, steps: int = STEPS) -> None:
        x, s, t = (real(name, 1, UNITS) for name in "xst")
        s_next, t_next, twice = real("s_next", 1, UNITS), real("t_next", 1, UNITS), real("twice", 1, UNITS)
        nodes = [Node(Add(), [s, x], [s_next]), Node(Mul(), [t, x], [t_next]), Node(Add(), [x, x], [twice])]
        body = Graph("body", [x, s, t], [s_next, t_next, twice], nodes)
        self.xs, starts = real("xs", 1, steps, UNITS), [real("s0", 1, UNITS), real("t0", 1, UNITS)]
        self.ends = [real("s_end", 1, UNITS), real("t_end", 1, UNITS)]
        self.made = [real(name, 1, steps, UNITS) for name in ("ss", "ts", "twices")]
        node = Node(Scan(body, 1, (0, 1, 2), backward), [self.xs, *starts], [*self.ends, *self.made])
        self.graph = Graph("loop", [self.xs, *starts], [], [node])

    def add(self, op: Op, *inputs: Value) -> Value:
        node = Node(op, list(inputs), [])
        (shape,) = op.infer(node)
        node.outputs = [real(f"v{len(self.graph.nodes)}", *shape)]
        self.graph.nodes.append(node)
        return node.outputs[0]

    def done(self, *outputs: Value) -> Graph:
        self.graph.outputs = list(outputs)
        self.graph.verify()
        return self.graph


def run(graph: Graph) -> list[bytes]:
    rng = np.random.default_rng(0)
    return [y.tobytes() for y in evaluate(graph, [rng.normal(size=v.shape).astype(np.float32) for v in graph.inputs])]


def rewritten(graph: Graph) -> list[str]:
    """What the pass changed; no output byte changes."""
    before = run(graph)
    report = SCAN_OUTPUTS.run(graph)
    graph.verify()
    assert run(graph) == before
    return report.changes


def emitted(graph: Graph) -> tuple[int, ...]:
    (op,) = scans_of(graph)
    return op.emitted


def picked(loop: Loop, form: str, x: Value, step: int) -> Value:
    """One step of a sequence, as doors have it."""
    if form == "slice":
        return loop.add(Slice((0, step, 0), (1, 1, UNITS)), x)
    if form == "strided_slice":
        return loop.add(StridedSlice((0, step, 0), (1, step + 1, UNITS), (1, 1, 1), (1,)), x)
    if form == "gather":
        return loop.add(Gather(1), x, constant("index", np.array(step, np.int32)))
    if form == "gather_of_several":
        return loop.add(Gather(1), x, constant("index", np.array([step], np.int64)))
    turned = loop.add(Transpose((1, 0, 2)), x)
    if form == "steps_first":
        return loop.add(Gather(0), turned, constant("index", np.array(step, np.int32)))
    apart = loop.add(Reshape((STEPS, 1, 1, UNITS)), turned)
    return loop.add(Slice((step, 0, 0, 0), (1, 1, 1, UNITS)), apart)


PICKS = ["slice", "strided_slice", "gather", "gather_of_several", "steps_first", "reshaped"]


@pytest.mark.parametrize("backward", [False, True])
@pytest.mark.parametrize("form", PICKS)
def test_the_last_step_is_the_state_at_the_end(form: str, backward: bool) -> None:
    loop = Loop(backward)
    last, other = (0, STEPS - 1) if backward else (STEPS - 1, 0)
    y = picked(loop, form, loop.made[1], last)
    graph = loop.done(y)
    assert rewritten(graph)
    assert emitted(graph) == ()
    assert [n.op.name for n in graph.nodes] == ["scan", "reshape"]
    assert graph.nodes[1]["x"] is loop.ends[1]

    loop = Loop(backward)
    graph = loop.done(picked(loop, form, loop.made[1], other))
    assert rewritten(graph) == ["'s_end' makes 2 sequences less"]
    assert emitted(graph) == (1,)


def test_the_last_step_of_what_is_no_state_stays() -> None:
    loop = Loop()
    graph = loop.done(picked(loop, "slice", loop.made[2], STEPS - 1))
    assert rewritten(graph) == ["'s_end' makes 2 sequences less"]
    assert emitted(graph) == (2,)


@pytest.mark.parametrize(
    "op",
    [
        Slice((0, STEPS - 2, 0), (1, 2, UNITS)),
        Slice((0, STEPS - 1, 0), (1, 1, UNITS - 1)),
        StridedSlice((0, STEPS - 1, UNITS - 1), (1, STEPS, -1), (1, 1, -1)),
    ],
)
def test_what_is_not_the_last_step_stays(op: Op) -> None:
    loop = Loop()
    graph = loop.done(loop.add(op, loop.made[0]))
    assert rewritten(graph) == ["'s_end' makes 2 sequences less"]
    assert emitted(graph) == (0,)


def test_a_transposition_that_mixes_the_steps_stays() -> None:
    """What is picked has the size of a step, but is one element of each."""
    loop = Loop(steps=UNITS)
    turned = loop.add(Transpose((0, 2, 1)), loop.made[0])
    graph = loop.done(loop.add(Slice((0, UNITS - 1, 0), (1, 1, UNITS)), turned))
    assert rewritten(graph) == ["'s_end' makes 2 sequences less"]


def test_a_sequence_that_is_read_elsewhere_is_made() -> None:
    loop = Loop()
    turned = loop.add(Transpose((1, 0, 2)), loop.made[0])
    last = loop.add(Gather(0), turned, constant("index", np.array(STEPS - 1, np.int32)))
    graph = loop.done(last, loop.add(Relu(), turned), loop.made[2])
    assert set(rewritten(graph)) == {"'v2' is the state at the end", "'s_end' makes 1 sequences less"}
    assert emitted(graph) == (0, 2)
    assert [n.op.name for n in graph.nodes] == ["scan", "transpose", "reshape", "relu"]


def test_a_computed_index_stays() -> None:
    loop = Loop()
    index = Value("index", TensorType((), DType.INT32))
    loop.graph.inputs.append(index)
    graph = loop.done(loop.add(Gather(1), loop.made[0], index))
    before = evaluate(
        graph, inputs := [*(np.ones(v.shape, np.float32) for v in graph.inputs[:-1]), np.array(1, np.int32)]
    )
    SCAN_OUTPUTS.run(graph)
    assert emitted(graph) == (0,)
    np.testing.assert_array_equal(evaluate(graph, inputs)[0], before[0])


def test_a_loop_without_states_makes_at_least_one_sequence() -> None:
    """A node without outputs would be none."""
    loop = Loop()
    graph = loop.done(loop.xs, *loop.ends)
    assert rewritten(graph) == ["'s_end' makes 3 sequences less"]
    assert emitted(graph) == ()
    part, double = real("part", 1, UNITS), real("double", 1, UNITS)
    body = Graph("body", [part], [double], [Node(Add(), [part, part], [double])])
    xs, ys, zs = real("xs", 1, STEPS, UNITS), real("ys", 1, STEPS, UNITS), real("zs", 1, STEPS, UNITS)
    nodes = [Node(Scan(body, 1, (0,)), [xs], [ys]), Node(Relu(), [xs], [zs])]
    graph = Graph("plain", [xs], [zs], nodes)
    assert rewritten(graph) == []
    PIPELINE.run(graph)
    assert [n.op.name for n in graph.nodes] == ["relu"]


# ---------------------------------------------------------------------------------------------- bodies


def test_bodies_are_rewritten() -> None:
    """A view of nothing inside, and a RELU that a layer can do."""
    x, s = real("x", 1, UNITS), real("s", 1, UNITS)
    same, total, new = real("same", 1, UNITS), real("total", 1, UNITS), real("new", 1, UNITS)
    nodes = [Node(Reshape((1, UNITS)), [x], [same]), Node(Add(), [same, s], [total]), Node(Relu(), [total], [new])]
    body = Graph("body", [x, s], [new], nodes)
    xs, start, end = real("xs", 1, STEPS, UNITS), real("start", 1, UNITS), real("end", 1, UNITS)
    graph = Graph("net", [xs, start], [end], [Node(Scan(body, 1), [xs, start], [end])])
    graph.verify()
    before = run(graph)
    report = SCAN_BODIES.run(graph)
    graph.verify()
    assert run(graph) == before
    (op,) = scans_of(graph)
    assert [n.op.name for n in op.body.nodes] == ["add"]
    assert op.body.nodes[0].op == Add("relu")
    assert len(report.changes) >= 2
    assert all(text.startswith("in 'end': ") for text in report.changes)
    assert [n.op.name for n in body.nodes] == ["reshape", "add", "relu"], "the body that others may share stays"
    assert SCAN_BODIES.run(graph).changes == []


@pytest.mark.parametrize("kinds", [["gru"], ["lstm"], ["stack"], ["gru_before", "rnn_relu"]])
def test_the_pipeline_changes_no_output_byte(kinds: Any) -> None:
    for head in ("last", "steps", "state"):
        graph = network(kinds, head, steps=5, seed=4)
        *first, last = scans_of(graph)
        assert len(last.emitted) == (head == "steps")
        assert all(len(op.emitted) == 1 for op in first)
        before = run(graph)
        PIPELINE.run(graph)
        assert run(graph) == before
