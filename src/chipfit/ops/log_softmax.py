"""LOG_SOFTMAX."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from chipfit.fixedpoint import (
    INT32_MIN,
    log_of_sum,
    multiply_by_quantized_multiplier,
    quantize_multiplier,
    rounding_divide_by_pot,
    wrap_int32,
)
from chipfit.graph import Array, DType, Node, Quant, Shape
from chipfit.ops._base import Call, Const, Kernel, Op, Port, float_type, for_types, int8_type, make_node, register
from chipfit.ops._float import exp32, log32, sum_last32
from chipfit.ops._roles import Fixed, Roles, fixed_output
from chipfit.ops._softmax import (
    ROW_SHAPES,
    below_max,
    check_rows,
    difference_scaling,
    exp_table,
    infer_rows,
    sum_of_exps,
)
from chipfit.ops._types import require_one_type

_OUTPUT = Quant.per_tensor(1 / 16, 127)


@register
@dataclass(frozen=True)
class LogSoftmax(Op):
    """y = x - log(sum of exp(x)) along the last axis.

    x: any shape, int8 or float32; an int8 y has scale 1/16 and zero point 127. Source: TFLite LOG_SOFTMAX, integers as
    in the TFLite Micro reference kernel (gemmlowp fixed point).
    """

    name: ClassVar[str] = "log_softmax"
    quant: ClassVar[Roles] = fixed_output(Fixed(1 / 16, 127))
    kernels: ClassVar[tuple[Kernel, ...]] = (
        Kernel("cf_log_softmax_s8", for_types("int8")),
        Kernel("cf_log_softmax_f32", for_types("float32")),
    )

    def infer(self, node: Node) -> Sequence[Shape]:
        return infer_rows(node)

    def check(self, node: Node) -> None:
        require_one_type(node, DType.INT8, DType.FLOAT32)
        check_rows(node, 1.0, {DType.INT8: _OUTPUT})

    def eval_float(self, node: Node, *x: Array) -> Array:
        z = x[0] - x[0].max(axis=-1, keepdims=True)
        return z - log32(sum_last32(exp32(z)))

    def eval_int(self, node: Node, *x: Array) -> Array:
        low, high = node["y"].dtype.range
        scale = node["x"].q.s
        below = below_max(x[0])
        _, sums = sum_of_exps(below, exp_table(scale, 1.0))
        log_sums = log_of_sum(sums)
        m, shift, diff_min = difference_scaling(scale, 1.0)
        reach = multiply_by_quantized_multiplier(log_sums + INT32_MIN, *_reverse_scaling(m, shift))
        difference = multiply_by_quantized_multiplier(-below, m, shift)
        y = rounding_divide_by_pot(wrap_int32(difference - log_sums), 22) + high
        return np.where(-below > np.maximum(reach, diff_min - 1), np.clip(y, low, high), low)

    def call(self, node: Node) -> Call:
        x = node["x"]
        rows = {"rows": x.type.size // x.shape[-1], "depth": x.shape[-1]}
        if x.dtype is DType.FLOAT32:
            return Call([Port("x"), Port("y")], rows)
        exps = exp_table(x.q.s, 1.0).astype(np.int32)
        m, shift, diff_min = difference_scaling(x.q.s, 1.0)
        reverse_m, reverse_shift = _reverse_scaling(m, shift)
        scaling = {"m": m, "shift": shift, "reverse_m": reverse_m, "reverse_shift": reverse_shift}
        params = {**rows, "entries": len(exps), **scaling, "diff_min": diff_min}
        return Call([Port("x"), Const("exps", exps), Port("y")], params)

    @classmethod
    def samples(cls, rng: np.random.Generator) -> Iterator[Node]:
        for shape in ROW_SHAPES:
            for scale in (None, 1e-3, 0.02, 0.11, 0.9, 3.0, 20.0):
                x = int8_type(rng, *shape, scale=scale)
                yield make_node(cls(), {"x": x}, (DType.INT8, _OUTPUT))
            yield make_node(cls(), {"x": float_type(*shape)}, (DType.FLOAT32, None))


def _reverse_scaling(m: int, shift: int) -> tuple[int, int]:
    """Q5.26 back to differences of inputs. Source: TFLite ``PreprocessLogSoftmaxScalingExp``."""
    return quantize_multiplier(math.ldexp(1.0, 31 - shift) / m)
