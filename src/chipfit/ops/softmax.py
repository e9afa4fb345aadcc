"""SOFTMAX."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from chipfit.fixedpoint import reciprocal, rounding_divide_by_pot, srdhm
from chipfit.graph import Array, DType, Node, Quant, Shape
from chipfit.ops._base import (
    Call,
    Const,
    Kernel,
    Op,
    Port,
    Scratch,
    float_type,
    for_types,
    int8_type,
    make_node,
    register,
)
from chipfit.ops._float import exp32, sum_last32
from chipfit.ops._roles import Roles, fixed_output
from chipfit.ops._softmax import (
    ROW_SHAPES,
    below_max,
    check_rows,
    difference_scaling,
    exp_table,
    infer_rows,
    sum_of_exps,
)

_OUTPUTS = {DType.INT8: Quant.per_tensor(1 / 256, -128), DType.INT16: Quant.per_tensor(1 / 65536, -32768)}


_CODE_BYTES = 256
"""Of what computes the table of exponentials."""


def _small_reason(node: Node) -> bool | str:
    entries = len(exp_table(node["x"].q.s, node.op.attributes()["beta"]))
    return 4 * entries > _CODE_BYTES or "its table is smaller than the code that would compute it"


def _small_call(node: Node) -> Call:
    scale, depth, beta = node["x"].q.s, node["x"].shape[-1], node.op.attributes()["beta"]
    entries = len(exp_table(scale, beta))
    m, shift, _ = difference_scaling(scale, beta)
    rows = {"rows": node["x"].type.size // depth, "depth": depth, "entries": entries}
    params = {**{f"softmax.{name}": value for name, value in rows.items()}, "m": m, "shift": shift}
    return Call([Port("x"), Scratch(4 * entries), Port("y")], params)


@register
@dataclass(frozen=True)
class Softmax(Op):
    """y = exp(beta * x) / sum of exp(beta * x) along the last axis.

    x: any shape, int8 or float32; y: float32 for float32; for int8 either int8 (scale 1/256, zero point -128) or int16
    (scale 1/65536, zero point -32768). Source: TFLite SOFTMAX, integers as in the TFLite Micro reference kernel
    (gemmlowp fixed point). That kernel aborts when a row's exponentials sum to 512 or more and y is int8; here every
    output is then 0, as its rounding would give.
    """

    name: ClassVar[str] = "softmax"
    quant: ClassVar[Roles] = fixed_output(1 / 256, -128)
    beta: float = 1.0

    kernels: ClassVar[tuple[Kernel, ...]] = (
        Kernel("cf_softmax_s8_small", for_types("int8"), when=_small_reason, call=_small_call, compact=True),
        Kernel("cf_softmax_s8", for_types("int8")),
        Kernel("cf_softmax_s8_s16", for_types("int8", "int16")),
        Kernel("cf_softmax_f32", for_types("float32")),
    )

    def infer(self, node: Node) -> Sequence[Shape]:
        return infer_rows(node)

    def check(self, node: Node) -> None:
        check_rows(node, self.beta, _OUTPUTS)

    def eval_float(self, node: Node, *x: Array) -> Array:
        e = exp32((x[0] - x[0].max(axis=-1, keepdims=True)) * np.float32(self.beta))
        return e / sum_last32(e)

    def eval_int(self, node: Node, *x: Array) -> Array:
        dtype = node["y"].dtype
        low, high = dtype.range
        exps, sums = sum_of_exps(below_max(x[0]), exp_table(node["x"].q.s, self.beta))
        inverse, bits = reciprocal(sums, 12)
        y = rounding_divide_by_pot(srdhm(inverse, exps), bits + 31 - 8 * dtype.bytes)
        return np.clip(y + low, low, high)

    def call(self, node: Node) -> Call:
        x = node["x"]
        rows = {"rows": x.type.size // x.shape[-1], "depth": x.shape[-1]}
        if x.dtype is DType.FLOAT32:
            return Call([Port("x"), Port("y")], {**rows, "beta": self.beta})
        exps = exp_table(x.q.s, self.beta).astype(np.int32)
        args = [Port("x"), Const("exps", exps), Port("y")]
        return Call(args, {**rows, "entries": len(exps)}, "cf_softmax_s8_params")

    @classmethod
    def samples(cls, rng: np.random.Generator) -> Iterator[Node]:
        for i, shape in enumerate(ROW_SHAPES):
            op = cls(beta=(1.0, 0.5, 2.0)[i % 3])
            for scale in (None, 1e-4, 0.02, 0.9, 3.0, 50.0):
                x = int8_type(rng, *shape, scale=scale)
                yield make_node(op, {"x": x}, (DType.INT8, _OUTPUTS[DType.INT8]))
            x = int8_type(rng, *shape, scale=0.1)
            yield make_node(op, {"x": x}, (DType.INT16, _OUTPUTS[DType.INT16]))
            yield make_node(op, {"x": float_type(*shape)}, (DType.FLOAT32, None))
