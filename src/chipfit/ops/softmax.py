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
    int16_type,
    make_node,
    register,
)
from chipfit.ops._float import exp32, sum_last32
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
from chipfit.ops._softmax16 import check_softmax16, softmax16, softmax16_call
from chipfit.ops._types import require_fixed_output, require_one_type

_OUTPUT = Fixed(1 / 256, -128, 1 / 32768)
_OF_INT8 = {DType.INT8: Quant.per_tensor(1 / 256, -128), DType.INT16: Quant.per_tensor(1 / 65536, -32768)}
"""What an int8 input may become."""

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

    x: any shape, int8, int16 or float32; y: float32 for float32; for int16 also int16 (scale 1/32768, zero point 0);
    for int8 either int8 (scale 1/256, zero point -128) or int16 (scale 1/65536, zero point -32768). Source: TFLite
    SOFTMAX, integers as in the TFLite Micro reference kernels: int8 in gemmlowp's fixed point, int16 interpolated in
    two tables. The int8 kernel aborts when a row's exponentials sum to 512 or more and y is int8; here every output is
    then 0, as its rounding would give.
    """

    name: ClassVar[str] = "softmax"
    quant: ClassVar[Roles] = fixed_output(_OUTPUT)
    beta: float = 1.0

    kernels: ClassVar[tuple[Kernel, ...]] = (
        Kernel(
            "cf_softmax_s8_small",
            for_types("int8"),
            when=_small_reason,
            call=_small_call,
            compact=True,
            without=frozenset({"harvard"}),  # its table is in RAM, that of cf_softmax_s8 in flash
        ),
        Kernel("cf_softmax_s8", for_types("int8")),
        Kernel("cf_softmax_s8_s16", for_types("int8", "int16")),
        Kernel("cf_softmax_s16", for_types("int16"), call=softmax16_call),
        Kernel("cf_softmax_f32", for_types("float32")),
    )

    def infer(self, node: Node) -> Sequence[Shape]:
        return infer_rows(node)

    def check(self, node: Node) -> None:
        if node["x"].dtype is DType.INT8:
            check_rows(node, self.beta, _OF_INT8)
            return
        require_one_type(node, DType.INT8, DType.INT16, DType.FLOAT32)
        require_fixed_output(node, _OUTPUT)
        check_softmax16(node)

    def eval_float(self, node: Node, *x: Array) -> Array:
        e = exp32((x[0] - x[0].max(axis=-1, keepdims=True)) * np.float32(self.beta))
        return e / sum_last32(e)

    def eval_int(self, node: Node, *x: Array) -> Array:
        dtype = node["y"].dtype
        if node["x"].dtype is DType.INT16:
            return softmax16(node, x[0])
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
                yield make_node(op, {"x": x}, (DType.INT8, _OF_INT8[DType.INT8]))
            x = int8_type(rng, *shape, scale=0.1)
            yield make_node(op, {"x": x}, (DType.INT16, _OF_INT8[DType.INT16]))
            for scale in (None, 1e-6, 0.0001, 0.0003, 0.01, 0.5):
                wide = int16_type(rng, *shape, scale=scale)
                yield make_node(op, {"x": wide}, (DType.INT16, Quant.per_tensor(1 / 32768)))
            yield make_node(op, {"x": float_type(*shape)}, (DType.FLOAT32, None))
