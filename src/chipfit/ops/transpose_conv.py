"""TRANSPOSE_CONV."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from chipfit.errors import ChipfitError
from chipfit.fixedpoint import requantize
from chipfit.graph import Array, DType, Node, Quant, Shape, TensorType
from chipfit.ops._activation import Activation, activation_float, activation_range
from chipfit.ops._base import Call, Const, Kernel, Op, Port, float_type, for_types, int8_type, make_node, register
from chipfit.ops._channels import constant_operands
from chipfit.ops._checks import require_weight_scales
from chipfit.ops._layers_s16 import arguments_s16, check_s16, is_s16, requantize_s16
from chipfit.ops._roles import Roles, weighted
from chipfit.ops._samples_s16 import s16_sample
from chipfit.ops._transpose_conv import (
    transpose_conv_dsp_call,
    transpose_conv_dsp_reason,
    transpose_conv_scalar_call,
    transposed_sums,
)
from chipfit.ops._weights_only import float_call, has_small_weights
from chipfit.ops._window import Pads, output_multipliers, require_int8_weights


@register
@dataclass(frozen=True)
class TransposeConv(Op):
    """y = act(every x times all taps of w, put down at ``stride`` times its position and summed up, plus b).

    x: (n, h, w, in); w: (out, kh, kw, in); b: (out,), int32 (float32 in float models, int64 on int16), optional.
    The sums are (h - 1) * stride + kernel rows high, and as wide along columns. ``pad`` is cut off of them: top, left,
    bottom, right. Where bottom or right are negative, so many rows or columns are added, which no x reaches.
    Source: TFLite TRANSPOSE_CONV; integers as in the TFLite Micro reference kernel (double rounding, int8; one
    rounding of sums of 64 bits, int16). TFLite Micro ignores a fused activation on integers: LiteRT is followed.
    """

    name: ClassVar[str] = "transpose_conv"
    inputs: ClassVar[tuple[str, ...]] = ("x", "w", "b?")
    quant: ClassVar[Roles] = weighted(axis=0)

    stride: tuple[int, int] = (1, 1)
    pad: Pads = (0, 0, 0, 0)
    act: Activation = "none"

    kernels: ClassVar[tuple[Kernel, ...]] = (
        Kernel(
            "cf_transpose_conv_s8_dsp",
            for_types("int8"),
            frozenset({"dsp"}),
            transpose_conv_dsp_reason,
            transpose_conv_dsp_call,
        ),
        Kernel(
            "cf_transpose_conv_s8_scalar",
            for_types("int8"),
            frozenset({"mulh"}),
            constant_operands,
            lambda node: transpose_conv_scalar_call(node, high_multiply=True),
        ),
        Kernel(
            "cf_transpose_conv_s8_thumb1",
            for_types("int8"),
            frozenset({"thumb1"}),
            constant_operands,
            lambda node: transpose_conv_scalar_call(node, high_multiply=False),
        ),
        Kernel("cf_transpose_conv_s8", for_types("int8")),
        Kernel("cf_transpose_conv_s16", for_types("int16")),
        Kernel("cf_transpose_conv_f32", for_types("float32")),
    )

    def infer(self, node: Node) -> Sequence[Shape]:
        x, w, b = node["x"], node["w"], node.get("b")
        if len(x.shape) != 4 or len(w.shape) != 4 or x.shape[3] != w.shape[3]:
            raise ChipfitError("G003", f"{self.name}: '{x.name}' {x.type} does not fit the weights '{w.name}' {w.type}")
        if b is not None and b.shape != (w.shape[0],):
            raise ChipfitError("G003", f"{self.name}: bias '{b.name}' is {b.type}, expected ({w.shape[0]},)")
        top, left, bottom, right = self.pad
        height, width = (
            (size - 1) * stride + kernel - before - after
            for size, stride, kernel, before, after in zip(
                x.shape[1:3], self.stride, w.shape[1:3], (top, left), (bottom, right), strict=True
            )
        )
        if min(top, left) < 0 or min(height, width) < 1:
            raise ChipfitError(
                "G003", f"{self.name}: {list(self.pad)} cannot be cut off what '{x.name}' ({x.type}) becomes"
            )
        return [(x.shape[0], height, width, w.shape[0])]

    def check(self, node: Node) -> None:
        if is_s16(node):
            check_s16(node, axis=0, bias32=False)
            return
        require_int8_weights(node)
        require_weight_scales(node, axis=0)
        if has_small_weights(node):
            raise ChipfitError(
                "O002",
                f"{self.name} '{node.name}' has {node['w'].dtype.value} weights '{node['w'].name}' where x is float32",
                "leave its weights in float32, or quantize the model to full int8",
            )

    def eval_float(self, node: Node, *x: Array) -> Array:
        acc = transposed_sums(node, x[0].astype(np.float32), x[1])
        if len(x) > 2:
            acc = acc + x[2]
        return activation_float(self.act, acc)

    def eval_int(self, node: Node, *x: Array) -> Array:
        vx, vw, vy = node["x"], node["w"], node["y"]
        # float64 holds every sum of products exactly (far below 2**53), and uses fast matrix products
        acc = transposed_sums(node, x[0].astype(np.float64) - vx.q.zp, x[1].astype(np.float64)).astype(np.int64)
        if len(x) > 2:
            acc = acc + x[2].astype(np.int64)
        if is_s16(node):
            return requantize_s16(node, acc)
        m, shift = output_multipliers(vx, vw, vy, vw.shape[0])
        low, high = activation_range(self.act, vy.dtype, vy.q)
        return requantize(acc, m, shift, vy.q.zp, low, high)

    def macs(self, node: Node) -> int:
        """Those of elements that are cut off included."""
        return node["x"].type.size * node["w"].type.size // node["w"].shape[3]

    def call(self, node: Node) -> Call:
        x, w, y = node["x"], node["w"], node["y"]
        params: dict[str, int | float | tuple[int, ...]] = {
            "n": x.shape[0],
            "in_h": x.shape[1],
            "in_w": x.shape[2],
            "in_c": x.shape[3],
            "out_h": y.shape[1],
            "out_w": y.shape[2],
            "out_c": y.shape[3],
            "kernel_h": w.shape[1],
            "kernel_w": w.shape[2],
            "stride_h": self.stride[0],
            "stride_w": self.stride[1],
            "cut_top": self.pad[0],
            "cut_left": self.pad[1],
        }
        if y.dtype is DType.FLOAT32:
            return float_call(node, params)
        if is_s16(node):
            args, fields = arguments_s16(node)
            return Call(args, {**params, "act_min": fields["act_min"], "act_max": fields["act_max"]})
        m, shift = output_multipliers(x, w, y, y.shape[3])
        low_q, high_q = activation_range(self.act, y.dtype, y.q)
        quant = {"in_zero": x.q.zp, "out_zero": y.q.zp, "act_min": low_q, "act_max": high_q}
        tables = [Const("m", m, "weights"), Const("shift", shift.astype(np.int8), "weights")]
        return Call([Port("x"), Port("w"), Port("b"), *tables, Port("y")], {**params, **quant})

    @classmethod
    def samples(cls, rng: np.random.Generator) -> Iterator[Node]:
        cases: list[tuple[Shape, Shape, TransposeConv]] = [
            ((1, 1, 1, 1), (1, 1, 1, 1), cls()),
            ((1, 4, 5, 8), (6, 2, 2, 8), cls((2, 2))),
            ((1, 4, 5, 3), (5, 3, 3, 3), cls((2, 2), (0, 0, 1, 1), "relu")),
            ((2, 3, 4, 4), (3, 4, 4, 4), cls((2, 2), (1, 1, 1, 1), "relu6")),
            ((1, 3, 3, 16), (7, 3, 3, 16), cls((1, 1), (1, 1, 1, 1))),
            ((1, 2, 3, 5), (4, 5, 2, 5), cls((3, 1), (2, 0, 1, 1), "relu_n1_to_1")),
            ((1, 1, 5, 6), (4, 3, 4, 6), cls((1, 2))),
            ((2, 3, 2, 4), (2, 1, 2, 4), cls((2, 3), (0, 0, -1, -1))),  # rows that no x reaches
            ((1, 3, 2, 4), (3, 3, 3, 4), cls((2, 2), (1, 1, 0, 0))),
            ((1, 2, 2, 7), (2, 9, 9, 7), cls((4, 4), (2, 3, 3, 2))),
            ((1, 3, 3, 1), (1, 4, 4, 1), cls((2, 2), (5, 4, 2, 3))),  # more is cut than a kernel is wide
        ]
        for x_shape, w_shape, op in cases:
            yield _int8_sample(rng, op, x_shape, w_shape)
            yield _int8_sample(rng, op, x_shape, w_shape, per_tensor=True)
            yield _float_sample(rng, op, x_shape, w_shape)
            wide = op if op.act != "relu_n1_to_1" else replace(op, act="relu")
            yield s16_sample(rng, wide, x_shape, w_shape, 0)
            yield s16_sample(rng, wide, x_shape, w_shape, 0, bias="none", per_tensor=True, gain=4.0)
        strided = cls((2, 2), (0, 0, 1, 1))
        yield _int8_sample(rng, strided, (1, 3, 4, 6), (4, 3, 3, 6), bias=False)
        yield _int8_sample(rng, strided, (1, 3, 4, 6), (4, 3, 3, 6), computed=True)
        yield s16_sample(rng, cls((2, 2)), (1, 2, 2, 300), (2, 2, 2, 300), 0, heavy=True)


def _int8_sample(
    rng: np.random.Generator,
    op: TransposeConv,
    x_shape: Shape,
    w_shape: Shape,
    bias: bool = True,
    per_tensor: bool = False,
    computed: bool = False,
) -> Node:
    """``computed``: the weights are an input."""
    x, out = int8_type(rng, *x_shape), w_shape[0]
    w = rng.integers(-127, 128, w_shape, dtype=np.int8)
    scales = tuple(float(s) for s in rng.uniform(1e-3, 2e-2, 1 if per_tensor else out).astype(np.float32))
    zeros = (0,) * len(scales)
    w_type = TensorType(w_shape, DType.INT8, Quant(scales, zeros, None if per_tensor else 0))
    b = rng.integers(-3000, 3000, out, dtype=np.int32)
    b_quant = Quant(tuple(x.q.s * s for s in scales), zeros, None if per_tensor else 0)
    b_type = TensorType((out,), DType.INT32, b_quant)
    # about the spread of the sums, so that outputs fill the range instead of clamping
    taps = max(1, w_shape[1] // op.stride[0]) * max(1, w_shape[2] // op.stride[1]) * w_shape[3]
    spread = x.q.s * max(scales) * 73 * 73 * float(np.sqrt(taps)) / 64
    y = Quant.per_tensor(spread * float(rng.uniform(0.5, 2.0)), int(rng.integers(-128, 128)))
    weights = w_type if computed else (w_type, w)
    return make_node(op, {"x": x, "w": weights, "b": (b_type, b) if bias else None}, (DType.INT8, y))


def _float_sample(rng: np.random.Generator, op: TransposeConv, x_shape: Shape, w_shape: Shape) -> Node:
    w = rng.normal(0, 0.3, w_shape).astype(np.float32)
    b = rng.normal(0, 1, w_shape[0]).astype(np.float32)
    return make_node(op, {"x": float_type(*x_shape), "w": w, "b": b}, (DType.FLOAT32, None))
