"""A recurrent network gives the same bytes as a loop, unrolled, in calls of several steps and step by step."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chipfit.errors import ChipfitError
from chipfit.graph import Array, DType, Graph, Value
from chipfit.importers._build import GraphBuilder
from chipfit.interpret import evaluate, initial_state
from chipfit.recurrent import deploy, free_states, unroll, with_state, with_steps
from recurrent.nets import HEADS, KINDS, Head, Kind, finished, inputs_for, int8, network, scans_of

STEPS = 28


@cache
def integers(kind: Kind, head: Head) -> Graph:
    """28 steps, as a picture of rows has; int8."""
    return int8(network([kind], head, steps=STEPS, seed=2), count=3)


def parts(x: Array, steps: int) -> list[Array]:
    """A sequence (1, n, ...) cut into calls."""
    return [x[:, i : i + steps] for i in range(0, x.shape[1], steps)]


def runs(graph: Graph, calls: Sequence[Array]) -> list[tuple[Array, ...]]:
    """The outputs of calls one after the other, with variables kept."""
    state = initial_state(graph)
    return [evaluate(graph, [x], state) for x in calls]


def joined(results: Sequence[tuple[Array, ...]], steps: int) -> list[Array]:
    """What all calls give together: sequences side by side, of everything else what the last call says."""
    found: list[Array] = []
    for column in zip(*results, strict=True):
        is_sequence = column[0].ndim == 3 and column[0].shape[1] == steps
        found.append(np.concatenate(column, 1) if is_sequence else column[-1])
    return found


def same(found: Sequence[Array], expected: Sequence[Array]) -> None:
    """Integers byte for byte; real sums of numpy may depend on how many rows a matrix has."""
    assert len(found) == len(expected)
    for y, e in zip(found, expected, strict=True):
        assert (y.dtype, y.shape) == (e.dtype, e.shape)
        if y.dtype.kind == "f":
            np.testing.assert_allclose(y, e, rtol=0, atol=1e-6)
        else:
            assert y.tobytes() == e.tobytes()


def by_hand(graph: Graph, calls: Sequence[Array]) -> list[tuple[Array, ...]]:
    """Calls of a graph whose states are inputs and outputs, the last ones, each handed on to the next call."""
    count = len(graph.inputs) - 1
    beginning = {v.name: v for v in graph.inputs[1:]}
    states = [np.zeros(v.shape, v.dtype.numpy) for v in beginning.values()]
    found: list[tuple[Array, ...]] = []
    for x in calls:
        y = evaluate(graph, [x, *states])
        states = list(y[len(y) - count :])
        found.append(y[: len(y) - count])
    return found


def forms_agree(graph: Graph, steps: int, seed: int) -> None:
    x = inputs_for(graph, seed)[0]
    expected = evaluate(graph, [x])
    unrolled = deploy(graph, "unroll")
    assert not scans_of(unrolled)
    assert [y.tobytes() for y in evaluate(unrolled, [x])] == [y.tobytes() for y in expected]
    assert x.shape[1] % steps == 0
    for size in {steps, 1}:
        kept = deploy(graph, "step", steps=size)
        assert kept.inputs[0].shape[1] == size
        same(joined(runs(kept, parts(x, size)), size), expected)
        same(joined(runs(unroll(kept), parts(x, size)), size), expected)
    same(runs(deploy(graph, state="kept"), [x])[0], expected)


@given(
    kinds=st.lists(st.sampled_from(KINDS), min_size=1, max_size=2),
    head=st.sampled_from(HEADS),
    calls=st.integers(2, 3),
    steps=st.integers(1, 3),
    width=st.integers(1, 3),
    units=st.integers(1, 4),
    seed=st.integers(0, 1 << 16),
)
@settings(max_examples=12, deadline=None)
def test_all_forms_of_a_random_network_agree(
    kinds: list[Kind], head: Head, calls: int, steps: int, width: int, units: int, seed: int
) -> None:
    graph = network(kinds, head, steps=calls * steps, width=width, units=units, seed=seed)
    forms_agree(graph, steps, seed)


@pytest.mark.parametrize("kind", ["gru", "lstm", "rnn"])
@pytest.mark.parametrize("head", ["last", "steps"])
def test_integers_of_two_halves_are_those_of_the_whole(kind: Kind, head: Head) -> None:
    graph = integers(kind, head)
    assert all(not v.dtype.is_float for v in graph.values())
    forms_agree(graph, STEPS // 2, seed=5)


@pytest.mark.parametrize("kind", ["gru", "lstm"])
def test_states_that_are_handed_on_give_the_same(kind: Kind) -> None:
    graph = network([kind], "steps", steps=6, seed=2)
    for node, index in free_states(graph):
        start = node.operands[1 + index]
        start.data = np.zeros_like(start.array)
    x = inputs_for(graph, 1)[0]
    taken = deploy(graph, "step", "io", steps=2)
    same(joined(by_hand(taken, parts(x, 2)), 2), evaluate(graph, [x]))


# ---------------------------------------------------------------------------------------------- names


def test_names_of_states() -> None:
    graph = network(["lstm", "gru"], "last", seed=0)
    assert [v.name for v in with_state(graph, "io").inputs] == ["x", "lstm0/h_in", "lstm0/c_in", "gru1/h_in"]
    assert [v.name for v in with_state(graph, "io").outputs] == ["y", "lstm0/h_out", "lstm0/c_out", "gru1/h_out"]
    kept = with_state(graph, "kept")
    assert list(kept.variables) == ["lstm0/h", "lstm0/c", "gru1/h"]
    assert [v.name for v in kept.inputs] == ["x"]
    for node, index in free_states(graph):
        start = node.operands[1 + index]
        assert kept.variables[start.name.removesuffix("_start")].initial.tobytes() == start.array.tobytes()


def test_a_state_that_is_an_output_already_keeps_its_name() -> None:
    graph = with_state(network(["lstm"], "state"), "io")
    assert [v.name for v in graph.outputs] == ["end0", "end1"]
    assert [v.name for v in graph.inputs] == ["x", "lstm0/h_in", "lstm0/c_in"]


def test_layers_of_one_name_keep_states_of_their_own() -> None:
    graph = network(["gru", "gru"], "steps", steps=4, seed=3)
    first, second = scans_of(graph)
    second.body.inputs[1].name = first.body.inputs[1].name
    x = inputs_for(graph, 2)[0]
    kept = deploy(graph, "step", steps=1)
    assert len(kept.variables) == 2
    same(joined(runs(kept, parts(x, 1)), 1), evaluate(graph, [x]))


def test_the_given_graph_stays_as_it_is() -> None:
    graph = network(["gru"], "steps", steps=4)
    before = (list(graph.nodes), [v.type for v in graph.values()], list(graph.inputs), dict(graph.variables))
    for form in ("unroll", "step"):
        deploy(graph, form)
    deploy(graph, state="io")
    assert (list(graph.nodes), [v.type for v in graph.values()], list(graph.inputs), dict(graph.variables)) == before


def test_a_graph_without_recurrent_layers_unrolls_to_itself() -> None:
    b = GraphBuilder("net")
    graph = finished(b, [("y", b.node("relu", [b.input("x", (1, 4))], "y"))])
    assert deploy(graph) is graph
    assert unroll(graph) is graph


def test_constants_are_shared_by_all_steps() -> None:
    graph = network(["gru"], "steps", steps=5)
    (body,) = (op.body for op in scans_of(graph))
    inside = [v for v in body.values() if v.is_const and len(v.shape) == 2 and v.type.size > 1]
    unrolled = unroll(graph)
    names = {v.name for v in unrolled.values() if v.is_const}
    assert {v.name for v in inside} <= names
    assert len([v for v in unrolled.values() if v.is_const]) <= len([v for v in graph.values() if v.is_const]) + len(
        [v for v in body.values() if v.is_const]
    )


@pytest.mark.parametrize("backward", [False, True])
def test_names_of_unrolled_values(backward: bool) -> None:
    graph = network(["rnn"], "state", steps=3, backward=backward)
    unrolled = unroll(graph)
    names = {v.name for v in unrolled.values()}
    last = 0 if backward else 2
    assert {f"rnn0/h/sum/{i}" for i in range(3)} <= names
    assert [v.name for v in unrolled.outputs] == ["end0"]
    assert f"rnn0/h_next/{last}" not in names


# ---------------------------------------------------------------------------------------------- a state that stands


def _odd(swap: bool) -> Graph:
    """Two states: they swap places, or the first is passed through and asked for twice."""
    from chipfit.importers._recurrent import scan

    b = GraphBuilder("odd")
    x = b.input("x", (1, 3, 2))

    def cell(body: GraphBuilder, xs: list[Value], states: list[Value]) -> tuple[list[Value], list[Value]]:
        p, q = states
        if swap:
            return [q, p], [body.node("add", [xs[0], p], "sum")]
        return [p, body.node("add", [xs[0], q], "sum")], []

    starts = [b.constant("p0", np.array([[1, 2]])), b.constant("q0", np.array([[30, 40]]))]
    starts = [b.cast(v, DType.FLOAT32, f"{v.name}/real") for v in starts]
    found = scan(b, "odd", x, starts, ["p", "q"], cell, emit=2 if swap else 1)
    assert found.sequence is not None
    return finished(b, [("p", found.ends[0]), ("q", found.ends[1]), ("again", found.ends[0]), ("ys", found.sequence)])


@pytest.mark.parametrize("swap", [True, False])
def test_states_that_swap_places_or_stand_still(swap: bool) -> None:
    graph = _odd(swap)
    x = np.arange(6, dtype=np.float32).reshape(1, 3, 2)
    p, q, again, ys = evaluate(graph, [x])
    assert p.tolist() == ([[30, 40]] if swap else [[1, 2]])
    assert again.tolist() == p.tolist()
    assert q.tolist() == ([[1, 2]] if swap else [[36, 49]])
    assert ys[0, 1].tolist() == ([32, 43] if swap else [32, 44])
    unrolled = unroll(graph)
    assert [v.name for v in unrolled.outputs] == ["p", "q", "again", "ys"]
    assert [y.tobytes() for y in evaluate(unrolled, [x])] == [y.tobytes() for y in (p, q, again, ys)]


# ---------------------------------------------------------------------------------------------- errors


def refused(graph: Graph, steps: int = 1) -> tuple[str, str]:
    with pytest.raises(ChipfitError) as caught:
        with_steps(graph, steps)
    return caught.value.code, caught.value.message


def behind(op: str, other: tuple[int, ...] = (), **attributes: Any) -> Graph:
    """An operator on the sequence of a layer of 6 steps and 4 units."""
    graph = network(["gru"], "steps", steps=6, seed=0)
    b = GraphBuilder("net")
    x = b.input("x", (1, 6, 3))
    node = next(n for n in graph.nodes if scans_of(graph)[0] is n.op)
    found = b.nodes("scan", [x, b.constant("start", node.operands[1].array)], ["end", "ys"], **node.op.attributes())
    operands = [found[1], *([b.constant("c", np.ones(other))] if other else [])]
    y = b.node(op, operands, "y", **attributes)
    return b.finish([("y", y)])


def test_layers_that_look_at_several_steps_are_named() -> None:
    assert refused(behind("mean", axes=(1,), keep_dims=False)) == (
        "O002",
        "mean 'y' looks at several steps at once: it cannot run on sequences of another length",
    )
    assert "puts sequences one after the other" in refused(behind("concatenation", (1, 2, 4), axis=1))[1]
    assert "puts sequences one after the other" in refused(behind("concatenation", (1, 6, 4), axis=2))[1]
    assert "adds something of its own to each step" in refused(behind("add", (1, 6, 4)))[1]
    assert "it mixes the steps" in refused(behind("reshape", shape=(1, 24)))[1]
    assert "it mixes the steps" in refused(behind("reshape", shape=(1, 4, 6)))[1]
    assert "begins with the last step" in refused(network(["gru"], "steps", steps=6, backward=True))[1]


def test_what_treats_each_step_by_itself_is_resized() -> None:
    for op, attributes in (("tanh", {}), ("softmax", {}), ("reshape", {"shape": (6, 4)})):
        graph = with_steps(behind(op, **attributes), 2)
        assert graph.inputs[0].shape == (1, 2, 3)
        assert graph.outputs[0].type.size == 8
    assert with_steps(behind("add", (4,)), 2).outputs[0].shape == (1, 2, 4)
    assert with_steps(behind("add", (1, 1, 4)), 2).outputs[0].shape == (1, 2, 4)


def test_steps_may_be_first() -> None:
    """Sequences of ONNX and torch: steps on the first axis, the batch on the second."""
    (op,) = scans_of(network(["gru"], "steps", steps=6, seed=0))
    b = GraphBuilder("net")
    x = b.node("relu", [b.input("x", (6, 1, 3))], "positive")
    start = b.constant("start", np.zeros((1, 4)))
    found = b.nodes("scan", [b.reshape(x, (1, 6, 3), "turned"), start], ["end", "ys"], **op.attributes())
    rows = b.reshape(found[1], (6, 4), "rows")
    y = b.node("fully_connected", [rows, b.constant("w", np.eye(2, 4)), None], "dense")
    own = b.node("add", [b.node("relu", [y], "kept"), b.constant("c", np.ones((1, 2)))], "sum")
    graph = b.finish([("y", own)])
    resized = with_steps(graph, 2)
    assert (resized.inputs[0].shape, resized.outputs[0].shape) == ((2, 1, 3), (2, 2))
    graph.nodes[-1].inputs[1] = Value("c", y.type, np.ones((6, 2), np.float32))
    assert "adds something of its own to each step" in refused(graph)[1]


def test_a_softmax_over_steps_is_refused() -> None:
    b = GraphBuilder("net")
    (op,) = scans_of(network(["gru"], "steps", steps=6, units=1, seed=0))
    found = b.nodes(
        "scan", [b.input("x", (1, 6, 3)), b.constant("start", np.zeros((1, 1)))], ["end", "ys"], **op.attributes()
    )
    weights = b.node("softmax", [b.reshape(found[1], (1, 6), "flat")], "weights")
    assert "softmax 'y' looks at all steps at once" in refused(b.finish([("y", weights)]))[1]


def test_other_errors() -> None:
    graph = network(["gru"], "steps", steps=4)
    assert refused(graph, 0)[0] == "U001"
    b = GraphBuilder("net")
    plain = finished(b, [("y", b.node("relu", [b.input("x", (1, 4))], "y"))])
    assert refused(plain) == ("U001", "net has no recurrent layer that could run 1 steps")
    assert with_steps(graph, 4) is graph
    for call in (
        lambda: deploy(graph, "other"),  # pyright: ignore[reportArgumentType]
        lambda: deploy(graph, state="other"),  # pyright: ignore[reportArgumentType]
        lambda: deploy(graph, "step", "reset"),
        lambda: deploy(plain, state="kept"),
    ):
        with pytest.raises(ChipfitError) as caught:
            call()
        assert caught.value.code == "U001"


def test_sequences_of_different_lengths_are_refused() -> None:
    graph = network(["gru"], "steps", steps=4)
    other = network(["rnn"], "steps", steps=5, seed=1)
    for value in other.values():
        value.name = f"other/{value.name}"
    graph.inputs += other.inputs
    graph.outputs += other.outputs
    graph.nodes += other.nodes
    graph.verify()
    code, message = refused(graph)
    assert (code, message) == ("O002", "net has sequences of different lengths: [4, 5]")
