"""Functions of real numbers on int8 and int16: how near they are, every element as elsewhere, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest

from chipfit import oracle
from chipfit.errors import ChipfitError
from chipfit.exporters import to_tflite
from chipfit.fixedpoint import inverse_sqrt
from chipfit.graph import Array, DType, Node, Quant, TensorType
from chipfit.ops import Op, graph_of, make_node
from chipfit.ops._base import dequantize
from chipfit.ops.abs import Abs
from chipfit.ops.cos import Cos
from chipfit.ops.div import Div
from chipfit.ops.exp import Exp
from chipfit.ops.gelu import Gelu
from chipfit.ops.greater import Greater
from chipfit.ops.log import Log
from chipfit.ops.pow import Pow
from chipfit.ops.rsqrt import Rsqrt
from chipfit.ops.sin import Sin
from chipfit.ops.sqrt import Sqrt
from chipfit.ops.squared_difference import SquaredDifference
from oracles import needs_litert, needs_tflm

EVERY8 = np.arange(-128, 128).astype(np.int8)
EVERY16 = np.arange(-32768, 32768).astype(np.int16)


def node_of(op: Op, dtype: DType, x: Quant, y: Quant) -> Node:
    every = EVERY8 if dtype is DType.INT8 else EVERY16
    return make_node(op, {"x": TensorType(every.shape, dtype, x)}, (dtype, y))


def result(node: Node) -> Array:
    op = node.op
    assert isinstance(op, Op)
    return op.evaluate(node, EVERY8 if node["x"].dtype is DType.INT8 else EVERY16)[0]


#: the operator, the greatest input, the least input that counts, the greatest output
NEAR = [
    (Sin(), 7.0, -7.0, 1.0),
    (Cos(), 7.0, -7.0, 1.0),
    (Exp(), 4.0, -4.0, 55.0),
    (Log(), 20.0, 1.0, 3.0),
    (Sqrt(), 9.0, 0.5, 3.0),
    (Gelu(), 6.0, -6.0, 6.0),
    (Gelu(True), 6.0, -6.0, 6.0),
    (Rsqrt(), 16.0, 0.25, 2.0),
]


@pytest.mark.parametrize(("op", "reach", "least", "greatest"), NEAR, ids=lambda v: str(v))
def test_near_the_real_function(op: Op, reach: float, least: float, greatest: float) -> None:
    """int8 within one step, int16 within what lines of 256 steps miss."""
    for dtype, most in ((DType.INT8, 1.01), (DType.INT16, 12.0)):
        high = dtype.range[1]
        node = node_of(op, dtype, Quant.per_tensor(reach / high), Quant.per_tensor(greatest / high))
        real = dequantize(EVERY8 if dtype is DType.INT8 else EVERY16, node["x"].q)
        inside = real >= least
        expected = np.clip(op.eval_float(node, real), -greatest, greatest)
        steps = np.abs(dequantize(result(node), node["y"].q) - expected)[inside] / node["y"].q.s
        assert steps.max() <= most, dtype


def test_out_of_range_gives_the_bound() -> None:
    """Also where the function leaves float32, and where it has no value."""
    wide = result(node_of(Exp(), DType.INT16, Quant.per_tensor(0.02), Quant.per_tensor(0.001)))
    assert wide[EVERY16 > 512].min() == 32767
    for op, bound in ((Log(), -128), (Rsqrt(), 127), (Sqrt(), 3)):
        node = node_of(op, DType.INT8, Quant.per_tensor(0.1, -10), Quant.per_tensor(0.05, 3))
        assert (result(node)[EVERY8 <= -10] == bound).all()


def test_inverse_sqrt_is_near() -> None:
    x = np.unique(np.geomspace(1, 2**29 - 1, 5000).astype(np.int64))
    m, shift = inverse_sqrt(x)
    np.testing.assert_allclose(m * 2.0 ** (shift - 31.0), 1 / np.sqrt(x), rtol=2e-6)


def test_squared_difference_in_int16_is_near() -> None:
    rng = np.random.default_rng(0)
    x = TensorType((4096,), DType.INT16, Quant.per_tensor(1 / 8192))
    node = make_node(SquaredDifference(), {"a": x, "b": x}, (DType.INT16, Quant.per_tensor(16 / 32768)))
    a, b = (rng.integers(-16384, 16384, 4096).astype(np.int16) for _ in range(2))
    got = dequantize(SquaredDifference().evaluate(node, a, b)[0], node["y"].q)
    assert np.abs(got - (dequantize(a, x.q) - dequantize(b, x.q)) ** 2).max() <= 16 * 16 / 8192


# ---------------------------------------------------------------------------------------------- elsewhere

LITERT = [(Exp(), 0.0003), (Log(), 0.0003), (Gelu(), 0.0002), (Abs(), 0.01)]


@needs_litert
@pytest.mark.parametrize(("op", "scale"), LITERT, ids=lambda v: str(v))
def test_every_element_as_in_litert(op: Op, scale: float) -> None:
    for factor in (1.0, 0.77, 1.9):
        for dtype, wider in ((DType.INT8, 256), (DType.INT16, 1)):
            zero = -17 if dtype is DType.INT8 else 0
            x, y = (
                Quant.per_tensor(scale * wider, zero),
                Quant.per_tensor(scale * wider * factor, zero + 3 * (wider > 1)),
            )
            node = node_of(op, dtype, x, y)
            every = EVERY8 if wider > 1 else EVERY16
            ((got,),) = oracle.litert_run(to_tflite(graph_of(node)), [[every]])
            np.testing.assert_array_equal(result(node), got)


@needs_tflm
@pytest.mark.parametrize("scale", [1e-4, 3e-4, 0.02])
def test_every_rsqrt_as_in_tflite_micro(scale: float) -> None:
    node = node_of(Rsqrt(), DType.INT16, Quant.per_tensor(scale), Quant.per_tensor(scale * 7))
    positive = np.maximum(EVERY16, 0)
    ((got,),) = oracle.tflm_run(to_tflite(graph_of(node)), [[positive]])
    np.testing.assert_array_equal(Rsqrt().evaluate(node, positive)[0], got)


# ---------------------------------------------------------------------------------------------- refusals


def refused(op: Op, *operands: TensorType, y: tuple[DType, Quant | None]) -> str:
    with pytest.raises(ChipfitError) as caught:
        graph_of(make_node(op, list(operands), y)).verify()
    assert caught.value.code == "O002"
    return caught.value.message


def test_what_has_no_integer_form_is_refused() -> None:
    x = TensorType((4,), DType.INT8, Quant.per_tensor(0.1))
    assert "must be a constant number" in refused(Pow(), x, x, y=(DType.INT8, x.q))
    tiny = Quant.per_tensor(1e-9)
    assert "too small for those of the operands" in refused(Div(), x, x, y=(DType.INT8, tiny))
    huge = TensorType((4,), DType.INT8, Quant.per_tensor(1e6))
    assert "has the scale 1e+06" in refused(Greater(), huge, x, y=(DType.BOOL, None))
    assert "to bool can" in refused(Greater(), x, x, y=(DType.INT8, x.q))
