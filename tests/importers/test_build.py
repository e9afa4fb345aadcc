"""Graphs of foreign models in the making: names, shapes, problems, and scales folded into layers."""

from __future__ import annotations

import numpy as np
import pytest

from chipfit.errors import ChipfitError
from chipfit.graph import Array, DType, Graph, Value
from chipfit.importers._build import GraphBuilder
from chipfit.interpret import evaluate


def _array(seed: int, *shape: int) -> Array:
    return np.random.default_rng(seed).normal(0, 1, shape).astype(np.float32)


def _run(graph: Graph) -> list[Array]:
    inputs = [_array(9 + i, *v.shape) for i, v in enumerate(graph.inputs)]
    return list(evaluate(graph, inputs))


def _ops(graph: Graph) -> list[str]:
    return [node.op.name for node in graph.nodes]


def _layer(b: GraphBuilder, kind: str, x: Value) -> Value:
    """A layer of three channels to six."""
    bias = b.constant("layer/bias", _array(1, 6))
    if kind == "conv2d":
        return b.node(kind, [x, b.constant("layer/w", _array(2, 6, 3, 3, 3)), bias], "layer", pad=(1, 1, 1, 1))
    if kind == "depthwise_conv2d":
        return b.node(kind, [x, b.constant("layer/w", _array(2, 1, 3, 3, 6)), None], "layer", pad=(1, 1, 1, 1))
    return b.node(kind, [x, b.constant("layer/w", _array(2, 6, 3)), None], "layer", keep_dims=True)


def _scaled(kind: str, *, keep: bool) -> Graph:
    """A layer, then SUB, MUL and ADD of channels. ``keep``: something reads what lies between, so nothing folds."""
    b = GraphBuilder("net")
    y = _layer(b, kind, b.input("x", (1, 5, 4, 3)))
    far = b.node("sub", [y, b.constant("mean", _array(5, 6))], "far")
    middle = b.node("mul", [far, b.constant("scale", _array(3, 6))], "scaled")
    z = b.node("add", [b.constant("offset", _array(4, 1, 1, 1, 6)), middle], "norm")
    return b.finish([("norm", z), *([("layer", y)] if keep else [])])


@pytest.mark.parametrize("kind", ["conv2d", "depthwise_conv2d", "fully_connected"])
def test_scales_of_channels_fold(kind: str) -> None:
    folded, kept = _scaled(kind, keep=False), _scaled(kind, keep=True)
    assert _ops(folded) == [kind]
    assert _ops(kept) == [kind, "sub", "mul", "add"]
    wanted, found = _run(kept)[0], _run(folded)[0]
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-5 * float(np.abs(wanted).max()))
    assert folded.nodes[0].name == "norm"


def test_only_constants_of_channels_fold() -> None:
    """Not one for each pixel, not one that makes the tensor larger, not behind an activation, not a constant of which
    the layer is subtracted."""
    b = GraphBuilder("net")
    y = _layer(b, "conv2d", b.input("x", (1, 5, 4, 3)))
    y = b.node("mul", [y, b.constant("of_pixels", _array(3, 1, 5, 4, 1))], "pixels")
    w = b.constant("point/w", _array(5, 1, 1, 1, 6))
    point = b.node("conv2d", [y, w, None], "point")
    wide = b.node("mul", [point, b.constant("wide", _array(3, 6))], "wider")
    last = b.node("conv2d", [wide, b.constant("last/w", _array(6, 6, 1, 1, 6)), None], "last", act="relu")
    total = b.node("add", [last, b.constant("late", _array(7, 6))], "sum")
    end = b.node("conv2d", [total, b.constant("end/w", _array(8, 6, 1, 1, 6)), None], "end")
    graph = b.finish([("y", b.node("sub", [b.constant("from", _array(9, 6)), end], "y"))])
    assert _ops(graph) == ["conv2d", "mul", "conv2d", "mul", "conv2d", "add", "conv2d", "sub"]


def test_one_number_for_each_column_is_none_for_each_channel() -> None:
    """As many columns as channels: the shape tells, not the count."""
    b = GraphBuilder("net")
    y = _layer(b, "conv2d", b.input("x", (1, 5, 6, 3)))
    graph = b.finish([("y", b.node("mul", [y, b.constant("scale", _array(3, 1, 1, 6, 1))], "y"))])
    assert _ops(graph) == ["conv2d", "mul"]


def test_scales_fold_through_reshapes_that_keep_channels() -> None:
    def build(shape: tuple[int, ...], constant: Array) -> Graph:
        b = GraphBuilder("net")
        y = b.reshape(_layer(b, "conv2d", b.input("x", (1, 5, 4, 3))), shape, "flat")
        return b.finish([("y", b.node("mul", [y, b.constant("scale", constant)], "y"))])

    assert _ops(build((20, 6), _array(3, 6))) == ["conv2d", "reshape"]
    assert _ops(build((12, 10), _array(3, 10))) == ["conv2d", "reshape", "mul"]


def test_a_convolution_has_a_bias() -> None:
    graph = _scaled("depthwise_conv2d", keep=True)
    assert graph.nodes[0]["b"].array.tolist() == [0.0] * 6


def test_transpositions_cancel() -> None:
    b = GraphBuilder("net")
    x = b.input("x", (1, 2, 3, 4))
    there = b.transpose(x, (0, 3, 1, 2), "there")
    assert there.shape == (1, 4, 2, 3)
    assert b.transpose(there, (0, 2, 3, 1), "back") is x
    twice = b.transpose(there, (0, 3, 1, 2), "twice")
    graph = b.finish([("y", twice)])
    assert _ops(graph) == ["transpose"]
    np.testing.assert_array_equal(_run(graph)[0], _array(9, 1, 2, 3, 4).transpose(0, 3, 1, 2).transpose(0, 3, 1, 2))


def test_names_are_unique_and_ports_keep_theirs() -> None:
    b = GraphBuilder("net")
    x = b.input("x", (1, 4))
    first = b.node("relu", [x], "y")
    second = b.node("tanh", [first], "y")
    graph = b.finish([("y", second), ("x", x)])
    assert graph.outputs[0].name == "y"
    assert graph.inputs[0].name == "x"
    names = [v.name for v in graph.values()]
    assert len(names) == len(set(names))


def test_outputs_are_values_of_their_own() -> None:
    """An input, a constant, and one value twice: each output is made by a node."""
    b = GraphBuilder("net")
    x = b.input("x", (1, 4))
    y = b.node("relu", [x], "y")
    graph = b.finish([("a", x), ("b", b.constant("c", _array(1, 3))), ("y", y), ("z", y)])
    assert len({id(v) for v in graph.outputs}) == 4
    assert all(v in graph.producers() for v in graph.outputs)
    assert [v.name for v in graph.outputs] == ["a", "b", "y", "z"]


def test_all_problems_are_told_together() -> None:
    b = GraphBuilder("net")
    x = b.input("x", (1, 4))
    b.problem("Fancy 'f'", ChipfitError("O001", "no layer that chipfit can compile", "use another"))
    y = b.placeholder("f", (1, 7))
    with pytest.raises(ChipfitError) as wrong:
        b.node("add", [x, y], "sum")
    b.problem("Add 'sum'", wrong.value, "look at the shapes")
    with pytest.raises(ChipfitError) as error:
        b.finish([("sum", y)])
    assert error.value.code == "O001"
    assert error.value.message.split("\n")[0] == "2 layers cannot be compiled:"
    assert "Fancy 'f': no layer" in error.value.message
    assert "Add 'sum'" in error.value.message
    assert error.value.hint == "* use another\n* look at the shapes"


def test_a_problem_of_shapes_alone() -> None:
    b = GraphBuilder("net")
    b.problem("Add 'sum'", ChipfitError("G003", "they do not fit"), "look at the shapes")
    with pytest.raises(ChipfitError, match="they do not fit") as error:
        b.finish([])
    assert error.value.code == "O002"
    assert error.value.hint == "look at the shapes"


def test_what_no_output_needs_is_gone() -> None:
    b = GraphBuilder("net")
    x = b.input("x", (1, 4))
    b.node("tanh", [x], "unread")
    graph = b.finish([("y", b.node("relu", [x], "y"))])
    assert _ops(graph) == ["relu"]


def test_element_types() -> None:
    b = GraphBuilder("net")
    assert b.constant("half", np.ones(2, np.float16)).dtype is DType.FLOAT32
    assert b.constant("index", np.ones(2, np.int32)).dtype is DType.INT32
    assert b.constant("scalar", np.array(1.5)).shape == ()
    x = b.input("x", (1, 4), DType.INT32)
    assert b.cast(x, DType.INT32, "same") is x
    assert b.cast(x, DType.FLOAT32, "real").dtype is DType.FLOAT32
