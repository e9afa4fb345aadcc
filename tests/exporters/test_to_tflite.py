"""Graph -> .tflite -> Graph: nothing is lost, and foreign interpreters agree on state."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import pytest

from chipfit import oracle
from chipfit.errors import ChipfitError
from chipfit.exporters import to_tflite
from chipfit.graph import DType, Graph, Node, OpBase, Quant, TensorType, Value, Variable
from chipfit.graph.text import print_graph
from chipfit.importers import load_tflite, tflite_metadata
from chipfit.interpret import evaluate, initial_state
from chipfit.ops import REGISTRY, graph_of, make_node, random_input, stateful_graph_of
from oracles import litert_run, needs_litert, needs_tflm, tflm_run


@dataclass(frozen=True)
class Normalised:
    """Samples that a file says in another form: the first trip changes them, and no output of theirs."""

    op: str
    reason: str
    when: Callable[[Node], bool]

    def holds(self, node: Node) -> bool:
        return node.op.name == self.op and self.when(node)


def is_normalised_layer(node: Node) -> bool:
    return node["w"].dtype is not DType.FLOAT32 or node.get("b") is None


NORMALISED = (
    *(
        Normalised(
            op,
            "scales are float32 and one has no axis; an absent bias is none or zeros; float16 passes a DEQUANTIZE",
            is_normalised_layer,
        )
        for op in ("conv2d", "depthwise_conv2d", "fully_connected", "transpose_conv")
    ),
    *(
        Normalised(op, "padding is SAME or VALID, else a layer before it", lambda n: any(n.op.attributes()["pad"]))
        for op in ("conv2d", "depthwise_conv2d")
    ),
    *(
        Normalised(
            op, "axes are in order", lambda n: list(n.op.attributes()["axes"]) != sorted(n.op.attributes()["axes"])
        )
        for op in ("mean", "sum", "reduce_max", "reduce_min", "reduce_prod")
    ),
    Normalised(
        "transpose_conv",
        "what is cut off is SAME or VALID, or that of a slice; an activation is a layer of its own",
        lambda n: any(n.op.attributes()["pad"]) or n.op.attributes()["act"] != "none",
    ),
    Normalised("leaky_relu", "alpha is float32", lambda n: True),
    Normalised("pad", "the value is an element", lambda n: n["x"].dtype.is_float and n.op.attributes()["value"]),
    Normalised("scan", "it is unrolled", lambda n: True),
    Normalised("squeeze", "no axes stand for all of size 1", lambda n: not n.op.attributes()["axes"]),
)


def cases(name: str) -> Iterator[tuple[Node, Graph]]:
    """Samples of an operator, each as a graph; one that reads or writes state with the variable that it needs."""
    for node in REGISTRY[name].samples(np.random.default_rng(11)):
        graph = stateful_graph_of(node)
        variable = node.op.attributes().get("variable")
        if variable is not None:
            type_ = [*node.operands, *node.outputs][0].type
            graph.variables[variable] = Variable(variable, type_, np.zeros(type_.shape, type_.dtype.numpy))
        graph.verify()
        yield node, graph


@pytest.mark.parametrize("name", sorted(REGISTRY))
def test_round_trip_of_samples(name: str) -> None:
    """Nothing changes but what NORMALISED names; that changes no output, and the next trip nothing at all."""
    rng = np.random.default_rng(11)
    for node, graph in cases(name):
        once = load_tflite(to_tflite(graph), graph.name)
        if not any(n.holds(node) for n in NORMALISED):
            assert print_graph(once, data=True) == print_graph(graph, data=True)
            continue
        twice = load_tflite(to_tflite(once), graph.name)
        assert print_graph(once, data=True) == print_graph(twice, data=True)
        inputs = [random_input(rng, v.type) for v in graph.inputs]
        for before, after in zip(evaluate(graph, inputs), evaluate(once, inputs), strict=True):
            np.testing.assert_array_equal(before, after)


@pytest.mark.parametrize("normalised", NORMALISED, ids=lambda n: f"{n.op}: {n.reason}")
def test_a_sample_is_still_normalised(normalised: Normalised) -> None:
    changed = [
        print_graph(load_tflite(to_tflite(graph), graph.name), data=True) != print_graph(graph, data=True)
        for node, graph in cases(normalised.op)
        if normalised.holds(node)
    ]
    assert any(changed)


def streaming_graph() -> Graph:
    """y = the last three of the frames seen so far: a variable of two frames that begins with other than zeros."""
    type_ = TensorType((1, 1, 4), DType.INT8, Quant.per_tensor(0.5, -3))
    kept_type = TensorType((1, 2, 4), DType.INT8, type_.quant)
    joined_type = TensorType((1, 3, 4), DType.INT8, type_.quant)
    x, old, joined = Value("x", type_), Value("old", kept_type), Value("joined", joined_type)
    new = Value("new", kept_type)
    start = np.arange(8, dtype=np.int8).reshape(1, 2, 4)
    nodes = [
        Node(REGISTRY["read_variable"](variable="state/a"), [], [old]),  # pyright: ignore[reportCallIssue]
        Node(REGISTRY["concatenation"](axis=1), [old, x], [joined]),  # pyright: ignore[reportCallIssue]
        Node(REGISTRY["slice"](begin=(0, 1, 0), size=(1, 2, 4)), [joined], [new]),  # pyright: ignore[reportCallIssue]
        Node(REGISTRY["assign_variable"](variable="state/a"), [new], []),  # pyright: ignore[reportCallIssue]
    ]
    return Graph("stream", [x], [joined], nodes, {"state/a": Variable("state/a", kept_type, start)})


def test_round_trip_of_variables() -> None:
    graph = streaming_graph()
    graph.verify()
    again = load_tflite(to_tflite(graph), "stream")
    assert print_graph(again, data=True) == print_graph(graph, data=True)


@needs_tflm
@needs_litert
def test_variables_on_foreign_interpreters() -> None:
    graph = streaming_graph()
    rng, state = np.random.default_rng(0), initial_state(graph)
    frames = [[random_input(rng, graph.inputs[0].type)] for _ in range(5)]
    expected = [evaluate(graph, frame, state)[0] for frame in frames]
    for run in (oracle.tflm_run, oracle.litert_run):
        for want, got in zip(expected, run(to_tflite(graph), frames), strict=True):
            np.testing.assert_array_equal(want, got[0])


def conv_node(pad: tuple[int, int, int, int]) -> Node:
    rng = np.random.default_rng(5)
    x = TensorType((1, 6, 5, 2), DType.INT8, Quant.per_tensor(0.1, 7))
    w = rng.integers(-127, 128, (3, 3, 3, 2), dtype=np.int8)
    w_type = TensorType(w.shape, DType.INT8, Quant((0.01, 0.02, 0.03), (0, 0, 0), 0))
    op = REGISTRY["conv2d"](stride=(2, 2), pad=pad)  # pyright: ignore[reportCallIssue]
    return make_node(op, {"x": x, "w": (w_type, w), "b": None}, (DType.INT8, Quant.per_tensor(0.2, -1)))


@pytest.mark.parametrize(
    ("pad", "operators"),
    [((0, 0, 0, 0), ["conv2d"]), ((0, 1, 1, 1), ["conv2d"]), ((1, 1, 1, 1), ["pad", "conv2d"])],
    ids=["valid", "same", "explicit"],
)
@needs_tflm
@needs_litert
def test_padding(pad: tuple[int, int, int, int], operators: list[str]) -> None:
    """VALID and SAME are found again, other padding becomes an operator; both interpreters load it without a bias."""
    graph = graph_of(conv_node(pad))
    model = to_tflite(graph)
    assert [n.op.name for n in load_tflite(model, "m").nodes] == operators
    x = random_input(np.random.default_rng(1), graph.inputs[0].type)
    expected = evaluate(graph, [x])[0]
    np.testing.assert_array_equal(expected, tflm_run(model, [x])[0])
    np.testing.assert_array_equal(expected, litert_run(model, [x])[0])


@needs_litert
@pytest.mark.parametrize(("name", "w"), [("conv2d", (4, 3, 3, 2)), ("depthwise_conv2d", (1, 3, 3, 4))])
def test_without_a_bias_on_quick_kernels(name: str, w: tuple[int, ...]) -> None:
    """Zeros are written: LiteRT refuses a convolution without them, and its quick depthwise kernel crashes."""
    rng = np.random.default_rng(3)
    op = REGISTRY[name](stride=(1, 1), pad=(0, 0, 0, 0))  # pyright: ignore[reportCallIssue]
    weights = rng.normal(size=w).astype(np.float32)
    x_type = TensorType((1, 8, 8, 2), DType.FLOAT32)
    node = make_node(op, {"x": x_type, "w": weights, "b": None}, (DType.FLOAT32, None))
    graph = graph_of(node)
    model = to_tflite(graph)
    again = load_tflite(model, "m").nodes[0]
    np.testing.assert_array_equal(again["b"].array, np.zeros(4, np.float32))
    x = random_input(rng, graph.inputs[0].type)
    expected = evaluate(graph, [x])[0]
    for reference in (True, False):
        found = oracle.litert_run(model, [[x]], reference=reference)[0][0]
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5 * float(np.abs(expected).max()))


@needs_tflm
@needs_litert
def test_metadata_comes_back_and_disturbs_nobody() -> None:
    graph = graph_of(conv_node((0, 0, 0, 0)))
    model = to_tflite(graph, {"one": b"{}", "two": bytes(range(256))})
    assert (tflite_metadata(model, "one"), tflite_metadata(model, "two")) == (b"{}", bytes(range(256)))
    assert tflite_metadata(model, "three") is None
    assert tflite_metadata(to_tflite(graph), "one") is None
    x = random_input(np.random.default_rng(1), graph.inputs[0].type)
    for run in (tflm_run, litert_run):
        np.testing.assert_array_equal(evaluate(graph, [x])[0], run(model, [x])[0])


def test_average_pool_with_explicit_padding_has_no_form() -> None:
    op = REGISTRY["average_pool2d"](kernel=(2, 2), stride=(1, 1), pad=(1, 1, 1, 1))  # pyright: ignore[reportCallIssue]
    node = make_node(op, {"x": TensorType((1, 3, 3, 1), DType.FLOAT32)}, (DType.FLOAT32, None))
    with pytest.raises(ChipfitError, match="neither SAME nor VALID"):
        to_tflite(graph_of(node))


def test_an_operator_without_a_form_is_named() -> None:
    class Foreign(OpBase):
        name = "foreign"

    x, y = (Value(n, TensorType((1,), DType.FLOAT32)) for n in "xy")
    with pytest.raises(ChipfitError, match="foreign 'y'"):
        to_tflite(Graph("g", [x], [y], [Node(Foreign(), [x], [y])]))
