"""Operators computed row by row: the slices of a node give the rows of the whole, for every operator that has rows."""

from __future__ import annotations

import numpy as np
import pytest

from chipfit.graph import Array, DType, Node, Quant, TensorType
from chipfit.ops import REGISTRY, Op, Rows, make_node, op_of, random_input
from chipfit.ops._base import float_type, int8_type, int16_type
from chipfit.ops.add import Add
from chipfit.ops.average_pool2d import AveragePool2D
from chipfit.ops.cast import Cast
from chipfit.ops.dequantize import Dequantize
from chipfit.ops.leaky_relu import LeakyRelu
from chipfit.ops.max_pool2d import MaxPool2D
from chipfit.ops.quantize import Quantize
from chipfit.ops.relu import Relu
from chipfit.ops.relu6 import Relu6

OPS = sorted(REGISTRY)


def nodes_of(name: str) -> list[tuple[Node, Rows]]:
    rng = np.random.default_rng(3)
    nodes = [node for node in [*REGISTRY[name].samples(rng), *images(name, rng)] if node.outputs]
    return [(node, rows) for node in nodes if isinstance(rows := op_of(node).rows(node), Rows)]


def images(name: str, rng: np.random.Generator) -> list[Node]:
    """Images for operators whose samples are none."""
    x, y = int8_type(rng, 1, 4, 3, 5), Quant.per_tensor(0.07, -9)
    wide, z = int16_type(rng, 1, 4, 3, 5), Quant.per_tensor(0.0005)
    made: dict[str, list[tuple[Op, TensorType, DType, Quant | None]]] = {
        "relu": [(Relu(), x, DType.INT8, y), (Relu(), wide, DType.INT16, z)],
        "relu6": [(Relu6(), wide, DType.INT16, z)],
        "leaky_relu": [(LeakyRelu(0.3), wide, DType.INT16, z)],
        "quantize": [
            (Quantize(), x, DType.INT8, y),
            (Quantize(), x, DType.INT16, z),
            (Quantize(), wide, DType.INT8, y),
        ],
        "cast": [(Cast(), x, DType.INT16, None)],
        "dequantize": [(Dequantize(), x, DType.FLOAT32, None), (Dequantize(), wide, DType.FLOAT32, None)],
    }
    return [make_node(op, {"x": kind}, (dtype, quant)) for op, kind, dtype, quant in made.get(name, [])]


def test_which_operators_have_rows() -> None:
    assert {name for name in OPS if nodes_of(name)} >= {
        *("add", "sub", "mul", "minimum", "maximum", "prelu", "relu", "quantize", "dequantize", "cast"),
        *("conv2d", "depthwise_conv2d", "average_pool2d", "max_pool2d"),
    }


@pytest.mark.parametrize("name", OPS)
def test_rows_of_slices(name: str) -> None:
    rng = np.random.default_rng(4)
    for node, rows in nodes_of(name):
        inputs = [v.array if v.is_const else random_input(rng, v.type) for v in node.operands]
        (whole,) = op_of(node).evaluate(node, *inputs)
        for padded in (False, True) if rows.can_pad else (False,):
            for row in range(whole.shape[1]):
                part = op_of(node).slice_rows(node, row, 1, padded)
                taken = [
                    x if v.is_const else rows_of(x, rows, row, padded, v.type.quant)
                    for v, x in zip(node.operands, inputs, strict=True)
                ]
                assert [x.shape for x in taken] == [v.shape for v in part.operands]
                (y,) = op_of(part).evaluate(part, *taken)
                assert part.outputs[0].shape == y.shape == whole[:, row : row + 1].shape
                expected, text = whole[:, row : row + 1], f"{node.op} {node.operands[0].type} row {row}"
                if y.dtype.kind == "f":
                    assert np.allclose(y, expected, rtol=1e-5, atol=1e-5, equal_nan=True), text
                else:
                    assert np.array_equal(y, expected), text


def rows_of(x: Array, rows: Rows, row: int, padded: bool, quant: Quant | None) -> Array:
    """The input rows of one output row; ``padded``: with rows of the zero point around the image."""
    first, end = rows.needed(row, x.shape[1])
    top = row * rows.stride - rows.pad
    zero = 0 if quant is None else quant.zp
    around = [(0, 0), (first - top, top + rows.span - end), (0, 0), (0, 0)] if padded else [(0, 0)] * 4
    return np.pad(x[:, first:end], around, constant_values=zero)


def test_operands_that_rows_would_tear() -> None:
    rng = np.random.default_rng(0)
    x = float_type(1, 8, 3, 8)
    for shape, has_rows in (((8,), True), ((1, 1, 1, 8), True), ((1,), True), ((8, 1, 1), False), ((3, 1), False)):
        node = make_node(Add(), {"a": x, "b": rng.normal(0, 1, shape).astype(np.float32)}, (DType.FLOAT32, None))
        assert isinstance(op_of(node).rows(node), Rows) == has_rows, shape


def test_pools_count_no_padding() -> None:
    """Padding is neither averaged nor the greatest: rows of zero points would be."""
    x = int8_type(np.random.default_rng(0), 1, 6, 6, 4)
    for op in (AveragePool2D((3, 3), (1, 1), (1, 1, 1, 1)), MaxPool2D((3, 3), (1, 1), (1, 1, 1, 1))):
        rows = op.rows(make_node(op, {"x": x}, (DType.INT8, x.quant)))
        assert isinstance(rows, Rows)
        assert not rows.can_pad
    whole = AveragePool2D((6, 6), (6, 6))
    assert isinstance(whole.rows(make_node(whole, {"x": x}, (DType.INT8, x.quant))), str)
