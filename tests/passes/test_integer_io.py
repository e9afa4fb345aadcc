"""integer_io: without the conversions at its ends a model takes and gives the stored integers."""

from __future__ import annotations

import numpy as np

from chipfit.graph import DType, Graph, Quant, TensorType
from chipfit.interpret import evaluate
from chipfit.ops.dequantize import Dequantize
from chipfit.ops.quantize import Quantize
from chipfit.ops.relu import Relu
from chipfit.passes import integer_io
from passes.chains import Builder, ops_of

FLOAT = DType.FLOAT32
INT8 = TensorType((), DType.INT8, Quant.per_tensor(0.05, -7))


def quantized(*, read_twice: bool = False) -> Graph:
    b = Builder(is_float=True)
    x = b.input(1, 4, 4, 2)
    y = b.add(Relu(), b.add(Quantize(), x, type=INT8))
    out = b.add(Dequantize(), y, type=TensorType((), FLOAT))
    return b.done(out, b.add(Relu(), x)) if read_twice else b.done(out)


def test_the_conversions_go_and_the_bytes_stay() -> None:
    graph = quantized()
    before = [(n.op.name, len(n.inputs)) for n in graph.nodes]
    inner = integer_io(graph)
    assert ops_of(inner) == ["relu"]
    assert [(v.name, v.dtype) for v in (*inner.inputs, *inner.outputs)] == [
        (graph.inputs[0].name, DType.INT8),
        (graph.outputs[0].name, DType.INT8),
    ]
    real = np.random.default_rng(0).normal(0, 3, (1, 4, 4, 2)).astype(np.float32)
    (stored,) = Quantize().evaluate(graph.nodes[0], real)
    (expected,) = evaluate(graph, [real])
    (got,) = evaluate(inner, [stored])
    np.testing.assert_array_equal(Dequantize().evaluate(graph.nodes[-1], got)[0], expected)
    assert [(n.op.name, len(n.inputs)) for n in graph.nodes] == before  # the given graph is left alone


def test_an_input_that_something_else_reads_stays_float() -> None:
    inner = integer_io(quantized(read_twice=True))
    assert inner.inputs[0].dtype is FLOAT
    assert [v.dtype for v in inner.outputs] == [DType.INT8, FLOAT]


def test_an_integer_model_is_left_alone() -> None:
    b = Builder()
    graph = b.done(b.add(Relu(), b.input(4)))
    assert integer_io(graph) is graph
