"""C of loops: every shape that a SCAN can have, in one program, on the host and on emulated chips."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest

from chipfit.codegen import lower
from chipfit.codegen.loops import loop_text
from chipfit.graph import Array, DType, Graph, Node, Quant, TensorType, Value
from chipfit.interpret import evaluate
from chipfit.model import Model
from chipfit.ops import graph_of, random_input
from chipfit.ops.add import Add
from chipfit.ops.mul import Mul
from chipfit.ops.scan import Scan
from chipfit.ops.sub import Sub
from chipfit.recurrent import unroll
from codegen.programs import CLANG, GCC, STRICT, Compiler, write_program

BOARDS = ["host", "nucleo-l4r5zi", "raspberry-pi-pico", "esp32-c3"]
Q = Quant.per_tensor(0.05, 3)


def int8(name: str, *shape: int, data: Array | None = None) -> Value:
    return Value(name, TensorType(shape, DType.INT8, Q), data)


def elements(*numbers: int) -> Array:
    return np.array([numbers], np.int8)


def swapping(first: Value, second: Value, backward: bool = False) -> Graph:
    """Two states that swap places, without a node; a third one is what a step and the first give."""
    x, p, q, total = int8("x", 1, 3), int8("p", 1, 3), int8("q", 1, 3), int8("total", 1, 3)
    new = int8("new", 1, 3)
    body = Graph("body", [x, p, q, total], [q, p, new], [Node(Add(), [x, p], [new])])
    xs, start = int8("xs", 1, 4, 3), int8("start", 1, 3)
    ends = [int8("p_end", 1, 3), int8("q_end", 1, 3), int8("total_end", 1, 3)]
    ys = [int8("ys", 1, 4, 3), int8("ps", 1, 4, 3)]
    node = Node(Scan(body, 1, (2, 0), backward), [xs, first, second, start], [*ends, *ys])
    inputs = [v for v in (xs, first, second, start) if not v.is_const]
    return Graph("swapping", inputs, [*ends, *ys], [node])


def from_inputs() -> Graph:
    return swapping(int8("p0", 1, 3), int8("q0", 1, 3))


def from_one_input_twice() -> Graph:
    same = int8("p0", 1, 3)
    return swapping(same, same)


def from_constants() -> Graph:
    """One of equal bytes, one of others; beginning with the last step."""
    first, second = int8("p0", 1, 3, data=elements(-7, -7, -7)), int8("q0", 1, 3, data=elements(1, -2, 3))
    return swapping(first, second, backward=True)


def alike() -> Graph:
    """Two states that become one value."""
    x, p, q, new = int8("x", 1, 3), int8("p", 1, 3), int8("q", 1, 3), int8("new", 1, 3)
    part = int8("part", 1, 3)
    body = Graph("body", [x, p, q], [new, new], [Node(Sub(), [x, p], [part]), Node(Sub(), [part, q], [new])])
    xs, p0, q0 = int8("xs", 1, 4, 3), int8("p0", 1, 3), int8("q0", 1, 3)
    outputs = [int8("p_end", 1, 3), int8("q_end", 1, 3), int8("ps", 1, 4, 3), int8("qs", 1, 4, 3)]
    return Graph("alike", [xs, p0, q0], outputs, [Node(Scan(body, 1, (0, 1)), [xs, p0, q0], outputs)])


def standing_still() -> Graph:
    """A state that passes through, and two constants: one that a step reads, one that comes out at each step."""
    x, p = int8("x", 1, 3), int8("p", 1, 3)
    c, d, new = int8("c", 1, 3, data=elements(5, 6, 7)), int8("d", 1, 3, data=elements(9, 8, 7)), int8("new", 1, 3)
    body = Graph("body", [x, p], [p, new, d], [Node(Add(), [x, c], [new])])
    xs, p0 = int8("xs", 1, 5, 3), int8("p0", 1, 3)
    outputs = [int8("end", 1, 3), int8("ys", 1, 5, 3), int8("ds", 1, 5, 3), int8("ps", 1, 5, 3)]
    return Graph("standing", [xs, p0], outputs, [Node(Scan(body, 1, (1, 2, 0)), [xs, p0], outputs)])


def several_sequences() -> Graph:
    """Three, of steps of different shapes; no state at all; what comes in leaves as it is, too."""
    a, b, c = int8("a", 1, 3), int8("b", 1), int8("c", 1, 2, 3)
    first, second = int8("first", 1, 3), int8("second", 1, 2, 3)
    body = Graph("body", [a, b, c], [first, second, c], [Node(Sub(), [a, b], [first]), Node(Mul(), [c, a], [second])])
    inputs = [int8("as", 1, 4, 3), int8("bs", 1, 4), int8("cs", 1, 4, 2, 3)]
    outputs = [int8("firsts", 1, 4, 3), int8("seconds", 1, 4, 2, 3), int8("same", 1, 4, 2, 3)]
    return Graph("several", inputs, outputs, [Node(Scan(body, 3, (0, 1, 2)), [*inputs], outputs)])


def nested() -> Graph:
    """For each row of a picture a loop over its pixels, whose sum is the state of the outer loop."""
    pixel, seen, new = int8("pixel", 1, 2), int8("seen", 1, 2), int8("new", 1, 2)
    inner = Graph("inner", [pixel, seen], [new], [Node(Add(), [pixel, seen], [new])])
    row, state = int8("row", 1, 3, 2), int8("state", 1, 2)
    end, steps, doubled = int8("end", 1, 2), int8("steps", 1, 3, 2), int8("doubled", 1, 2)
    nodes = [Node(Scan(inner, 1, (0,), True), [row, state], [end, steps]), Node(Add(), [end, end], [doubled])]
    body = Graph("body", [row, state], [end, steps, doubled], nodes)
    rows, start = int8("rows", 1, 4, 3, 2), int8("start", 1, 2, data=elements(0, 0))
    outputs = [int8("total", 1, 2), int8("all", 1, 4, 3, 2), int8("twice", 1, 4, 2)]
    return Graph("nested", [rows], outputs, [Node(Scan(body, 1, (1, 2)), [rows, start], outputs)])


def chained() -> Graph:
    """The state at the end of one loop begins the next one, which reads the sequence of the first backwards."""

    def body() -> Graph:
        x, s, new = int8("x", 1, 3), int8("s", 1, 3), int8("new", 1, 3)
        return Graph("body", [x, s], [new], [Node(Sub(), [x, s], [new])])

    xs, start, end, ys = int8("xs", 1, 3, 3), int8("start", 1, 3), int8("end", 1, 3), int8("ys", 1, 3, 3)
    last, zs = int8("last", 1, 3), int8("zs", 1, 3, 3)
    nodes = [
        Node(Scan(body(), 1, (0,)), [xs, start], [end, ys]),
        Node(Scan(body(), 1, (0,), True), [ys, end], [last, zs]),
    ]
    return Graph("chained", [xs, start], [last, zs, end], nodes)


FORMS = (from_inputs, from_one_input_twice, from_constants, alike, standing_still, several_sequences, nested, chained)


def all_graphs() -> Iterator[Graph]:
    for make in FORMS:
        yield make()
    for node in Scan.samples(np.random.default_rng(0)):
        yield graph_of(node)


def merged(graphs: Sequence[Graph]) -> Graph:
    """All of them side by side in one."""
    result = Graph("loops")
    for index, graph in enumerate(graphs):
        for value in graph.values():
            value.name = f"g{index}/{value.name}"
        result.inputs += graph.inputs
        result.outputs += graph.outputs
        result.nodes += graph.nodes
    result.verify()
    return result


def inputs_for(graph: Graph, seed: int) -> tuple[Array, ...]:
    rng = np.random.default_rng(seed)
    return tuple(random_input(rng, v.type) for v in graph.inputs)


@pytest.mark.parametrize("board", BOARDS)
def test_loops_give_what_the_reference_gives(board: str, tmp_path: Path) -> None:
    """In two runs one after the other: a loop leaves nothing behind."""
    graph = merged(list(all_graphs()))
    samples = [inputs_for(graph, seed) for seed in range(2)]
    results = Model(graph).compile(board, tmp_path / "out").run(samples).outputs
    assert len(results) == len(graph.outputs) > 40
    for index, sample in enumerate(samples):
        for value, rows, expected in zip(graph.outputs, results, evaluate(graph, sample), strict=True):
            if value.dtype.is_float:
                limit = 1e-5 * float(np.abs(expected).max())
                np.testing.assert_allclose(rows[index], expected, rtol=0, atol=limit, err_msg=value.name)
            else:
                np.testing.assert_array_equal(rows[index], expected, err_msg=value.name)


def test_unrolled_they_give_the_same() -> None:
    """With the same names at their ends."""
    for make in FORMS:
        graph = make()
        unrolled = unroll(graph)
        assert not any(isinstance(n.op, Scan) for n in unrolled.nodes)
        assert [v.name for v in unrolled.outputs] == [v.name for v in graph.outputs]
        inputs = inputs_for(graph, 1)
        for y, expected in zip(evaluate(unrolled, inputs), evaluate(graph, inputs), strict=True):
            np.testing.assert_array_equal(y, expected, err_msg=graph.name)


def test_the_reference_of_swapping_states() -> None:
    """What the C code is held against is what it should be."""
    graph = from_inputs()
    xs, p, q, start = inputs_for(graph, 3)
    p_end, q_end, _, _, ps = evaluate(graph, [xs, p, q, start])
    assert (p_end.tolist(), q_end.tolist()) == (p.tolist(), q.tolist())
    assert ps[0].tolist() == [q[0].tolist(), p[0].tolist()] * 2


@pytest.mark.parametrize("compiler", [GCC, CLANG], ids=lambda c: c.name)
def test_no_warnings(compiler: Compiler, tmp_path: Path) -> None:
    compiler.require()
    write_program(tmp_path, merged(list(all_graphs())))
    for source in sorted(tmp_path.glob("*.c")):
        compiler.run(*STRICT, "-O1", f"-I{tmp_path}", "-c", source, "-o", tmp_path / "out.o")


def texts(graph: Graph) -> list[str]:
    program = lower(graph, frozenset())
    return [loop_text(program, step) for step in program.steps if step.body is not None]


def test_text_of_a_loop() -> None:
    (text,) = texts(from_constants())
    assert "for (int32_t i = 3; i >= 0; i--)" in text
    assert re.search(r"memset\([^,]+, 249, 3u\);", text)
    assert len(re.findall(r"memcpy\([^;]*, weights\w*[^;]*, 3u\);", text)) <= 1
    (text,) = texts(from_inputs())
    assert "for (int32_t i = 0; i < 4; i++)" in text
    assert text.count("memmove(") == 3
    before, inside = text.split("for (", 1)
    assert before.count("memmove(") == 3
    # one row in; the states of a step, then those of the next one; two rows out
    assert inside.count("memcpy(") == 1 + 3 + 3 + 2


def test_memory_of_a_body_is_scratch_of_the_loop() -> None:
    program = lower(nested(), frozenset())
    (step,) = program.steps
    assert step.body is not None
    (inner, _) = step.body.steps
    assert inner.body is not None
    assert step.body.memory_bytes >= inner.body.memory_bytes > 0
    values = sum(v.type.nbytes for v in (*program.graph.inputs, *program.graph.outputs))
    assert program.memory_bytes >= values + step.body.memory_bytes
