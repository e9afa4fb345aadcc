"""fold_weight_dequantize: a layer on real numbers reads int8 and float16 weights as they are stored."""

from __future__ import annotations

import numpy as np
import pytest

from chipfit.graph import Array, DType, Graph, Quant, TensorType, Value
from chipfit.interpret import evaluate
from chipfit.ops import Op, random_input
from chipfit.ops.add import Add
from chipfit.ops.conv2d import Conv2D
from chipfit.ops.depthwise_conv2d import DepthwiseConv2D
from chipfit.ops.dequantize import Dequantize
from chipfit.ops.fully_connected import FullyConnected
from chipfit.passes import FOLD_WEIGHT_DEQUANTIZE, PIPELINE
from passes.chains import Builder, ops_of

HALF = TensorType((), DType.FLOAT16)
BY_FIRST = TensorType((), DType.INT8, Quant((0.01, 0.5, 0.03, 0.2), (0,) * 4, 0))
BY_LAST = TensorType((), DType.INT8, Quant((0.01, 0.5, 0.03, 0.2), (0,) * 4, 3))
ONE = TensorType((), DType.INT8, Quant.per_tensor(0.02))


def stored(b: Builder, kind: TensorType, *shape: int) -> Value:
    type_ = TensorType(shape, kind.dtype, kind.quant)
    return Value(f"c{sum(1 for _ in b.graph.values())}", type_, random_input(b.rng, type_))


def real(b: Builder, value: Value) -> Value:
    return b.add(Dequantize(), value, type=TensorType((), DType.FLOAT32))


def outputs(graph: Graph) -> list[Array]:
    inputs = [random_input(np.random.default_rng(0), v.type) for v in graph.inputs]
    return list(evaluate(graph, inputs))


@pytest.mark.parametrize(
    ("op", "shape", "kind"),
    [
        (Conv2D(), (4, 2, 2, 4), BY_FIRST),
        (Conv2D(), (4, 2, 2, 4), ONE),
        (Conv2D(), (4, 2, 2, 4), HALF),
        (DepthwiseConv2D(), (1, 2, 2, 4), BY_LAST),
        (DepthwiseConv2D(), (1, 2, 2, 4), ONE),
        (DepthwiseConv2D(), (1, 2, 2, 4), HALF),
        (FullyConnected(), (4, 36), BY_FIRST),
        (FullyConnected(), (4, 36), HALF),
    ],
    ids=str,
)
def test_a_layer_takes_its_weights(op: Op, shape: tuple[int, ...], kind: TensorType) -> None:
    b = Builder(is_float=True)
    w = stored(b, kind, *shape)
    y = b.add(op, b.input(1, 3, 3, 4), real(b, w), real(b, stored(b, HALF, 4)))
    graph = b.done(y)
    before = outputs(graph)
    report = FOLD_WEIGHT_DEQUANTIZE.run(graph)
    assert report.changes == [f"{kind.dtype.value} weights of {op.name} 't2'"]
    assert report.missed == []
    PIPELINE.run(graph)
    assert ops_of(graph) == [op.name]
    assert graph.nodes[0]["w"] is w
    assert graph.nodes[0]["b"].dtype is DType.FLOAT32
    for x, z in zip(before, outputs(graph), strict=True):
        np.testing.assert_array_equal(x, z)


def test_layers_may_share_weights_with_each_other_and_with_something_else() -> None:
    b = Builder(is_float=True)
    x, w = b.input(1, 3, 3, 4), real(b, stored(b, HALF, 4, 1, 1, 4))
    graph = b.done(b.add(Conv2D(), b.add(Conv2D(), x, w), w), b.add(Add(), w, b.input(4, 1, 1, 4)))
    before = outputs(graph)
    report = FOLD_WEIGHT_DEQUANTIZE.run(graph)
    assert report.changes == ["float16 weights of conv2d 't1', conv2d 't2'"]
    assert [m.reason for m in report.missed] == ["is read by add, whose constants are float32"]
    assert ops_of(graph) == ["dequantize", "conv2d", "conv2d", "add"]
    PIPELINE.run(graph)
    assert ops_of(graph) == ["conv2d", "conv2d", "add"]
    for e, a in zip(before, outputs(graph), strict=True):
        np.testing.assert_array_equal(e, a)


def test_a_dequantize_that_is_an_output_stays() -> None:
    b = Builder(is_float=True)
    w = real(b, stored(b, HALF, 4, 1, 1, 4))
    graph = b.done(b.add(Conv2D(), b.input(1, 3, 3, 4), w), w)
    assert FOLD_WEIGHT_DEQUANTIZE.run(graph).changes
    assert ops_of(graph) == ["dequantize", "conv2d"]
    assert graph.nodes[1]["w"].dtype is DType.FLOAT16


UINT8 = TensorType((), DType.UINT8, Quant.per_tensor(0.02, 128))
SHIFTED = TensorType((), DType.INT8, Quant.per_tensor(0.02, 3))


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        (UINT8, "has weights of the type uint8, which no layer takes"),
        (SHIFTED, "zero point that is not 0"),
        (BY_LAST, "need one scale, or one for each of the 4 channels along axis 0"),
    ],
    ids=["uint8", "zero point", "axis"],
)
def test_weights_that_no_layer_takes_become_float32(kind: TensorType, reason: str) -> None:
    b = Builder(is_float=True)
    graph = b.done(b.add(Conv2D(), b.input(1, 3, 3, 4), real(b, stored(b, kind, 4, 1, 1, 4))))
    before = outputs(graph)
    report = FOLD_WEIGHT_DEQUANTIZE.run(graph)
    assert report.changes == []
    (missed,) = report.missed
    assert reason in missed.reason
    PIPELINE.run(graph)
    assert ops_of(graph) == ["conv2d"]
    assert graph.nodes[0]["w"].dtype is DType.FLOAT32
    np.testing.assert_array_equal(before[0], outputs(graph)[0])


def test_infinite_weights_become_float32() -> None:
    b = Builder(is_float=True)
    w = stored(b, HALF, 4, 1, 1, 4)
    w.array[1] = np.inf
    graph = b.done(b.add(Conv2D(), b.input(1, 3, 3, 4), real(b, w)))
    report = FOLD_WEIGHT_DEQUANTIZE.run(graph)
    assert [m.reason for m in report.missed] == ["has weights that are not finite"]


def test_what_is_computed_is_left_to_the_run() -> None:
    b = Builder(is_float=True)
    x = Value("x", TensorType((4, 1, 1, 4), DType.FLOAT16))
    b.graph.inputs.append(x)
    graph = b.done(b.add(Conv2D(), b.input(1, 3, 3, 4), real(b, x)))
    report = FOLD_WEIGHT_DEQUANTIZE.run(graph)
    assert (report.changes, report.missed) == ([], [])
