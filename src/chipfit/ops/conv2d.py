"""CONV_2D."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from chipfit.errors import ChipfitError
from chipfit.fixedpoint import requantize
from chipfit.graph import Array, DType, Node, Quant, Shape, TensorType
from chipfit.ops._activation import Activation, activation_float, activation_range
from chipfit.ops._avr import conv_kernel
from chipfit.ops._base import (
    Call,
    Const,
    Kernel,
    Op,
    Port,
    float_type,
    for_types,
    int8_type,
    make_node,
    register,
)
from chipfit.ops._checks import require_weight_scales
from chipfit.ops._conv_dense import conv_dense_call, conv_dense_reason, conv_dense_traversal
from chipfit.ops._conv_dsp import (
    conv_direct_call,
    conv_direct_reason,
    conv_dsp_call,
    conv_dsp_reason,
    conv_dsp_traversal,
    conv_rows_traversal,
    conv_tiles_traversal,
)
from chipfit.ops._conv_mla import conv_mla_call
from chipfit.ops._conv_mve import conv_mve_call, conv_mve_reason, conv_mve_traversal
from chipfit.ops._conv_scalar import conv_scalar_call, conv_scalar_reason
from chipfit.ops._conv_winograd import F23, F43, winograd_call, winograd_reason
from chipfit.ops._layers_s16 import arguments_s16, check_s16, is_s16, requantize_s16
from chipfit.ops._layers_s16_dsp import CONV_KERNELS_S16
from chipfit.ops._roles import Roles, weighted
from chipfit.ops._samples_s16 import s16_sample
from chipfit.ops._small import conv_small_call, conv_small_reason, conv_small_traversal
from chipfit.ops._steps import pixels_in_order, strips_in_order
from chipfit.ops._traversal import Rows, slice_window_rows, window_rows
from chipfit.ops._weights_only import float_call, float_kernels, real_weights, small_weight_samples
from chipfit.ops._window import (
    Pads,
    output_multipliers,
    require_int8_weights,
    same_pads,
    window_count,
    windows,
)


@register
@dataclass(frozen=True)
class Conv2D(Op):
    """y = act(sum over window and input channels of (x - zx) * w, plus b), requantized per output channel.

    x: (n, h, w, in); w: (out, kh, kw, in / groups); b: (out,), int32 (float32 in float models), optional.
    ``pad`` is explicit: top, left, bottom, right. Groups follow from the shapes.
    In float models w can be int8 (symmetric, one scale or one per output channel) or float16: arithmetic stays float32,
    with the real weights. LiteRT instead quantizes x as it runs where w is int8, so its results differ by that noise.
    Source: TFLite CONV_2D; integers as in the TFLite Micro reference kernel (double rounding).
    """

    name: ClassVar[str] = "conv2d"
    inputs: ClassVar[tuple[str, ...]] = ("x", "w", "b?")
    quant: ClassVar[Roles] = weighted(axis=0)

    stride: tuple[int, int] = (1, 1)
    pad: Pads = (0, 0, 0, 0)
    dilation: tuple[int, int] = (1, 1)
    act: Activation = "none"

    kernels: ClassVar[tuple[Kernel, ...]] = (
        Kernel(
            "cf_conv2d_s8_dsp_small",
            for_types("int8"),
            needs=frozenset({"dsp"}),
            when=conv_small_reason,
            call=conv_small_call,
            compact=True,
            traversal=conv_small_traversal,
        ),
        Kernel(
            "cf_conv2d_s8_mve",
            for_types("int8"),
            needs=frozenset({"mve"}),
            when=conv_mve_reason,
            call=conv_mve_call,
            weight_bytes=1.1,
            per_mac=0.15,
            traversal=conv_mve_traversal,
        ),
        Kernel(
            "cf_fully_connected_s8_dsp_wide",
            for_types("int8"),
            needs=frozenset({"dsp"}),
            when=lambda node: conv_dense_reason(node, "wide"),
            call=lambda node: conv_dense_call(node, "wide"),
            weight_bytes=2.0,
            per_mac=0.72,
            traversal=conv_dense_traversal,
        ),
        Kernel(
            "cf_fully_connected_s8_dsp",
            for_types("int8"),
            needs=frozenset({"dsp"}),
            when=lambda node: conv_dense_reason(node, "pairs"),
            call=lambda node: conv_dense_call(node, "pairs"),
            per_mac=0.91,
            traversal=conv_dense_traversal,
            part=lambda node, first, end: conv_dense_call(node, "pairs", slice(first, end)),
        ),
        Kernel(
            "cf_conv2d_s8_dsp_f43",
            for_types("int8"),
            needs=frozenset({"dsp"}),
            when=lambda node: winograd_reason(node, F43),
            call=lambda node: winograd_call(node, F43),
            weight_bytes=4.2,
            per_mac=0.42,
            traversal=conv_rows_traversal,
        ),
        Kernel(
            "cf_conv2d_s8_dsp_f23",
            for_types("int8"),
            needs=frozenset({"dsp"}),
            when=lambda node: winograd_reason(node, F23),
            call=lambda node: winograd_call(node, F23),
            weight_bytes=2.8,
            per_mac=0.5,
            traversal=conv_rows_traversal,
        ),
        Kernel(
            "cf_conv2d_s8_dsp_wide",
            for_types("int8"),
            needs=frozenset({"dsp"}),
            when=lambda node: conv_dsp_reason(node, wide=True),
            call=lambda node: conv_dsp_call(node, wide=True),
            weight_bytes=2.1,
            per_mac=0.72,
            traversal=conv_dsp_traversal,
        ),
        Kernel(
            "cf_conv2d_s8_dsp_direct",
            for_types("int8"),
            needs=frozenset({"dsp"}),
            when=conv_direct_reason,
            call=conv_direct_call,
            per_mac=0.78,
            shareable=False,
            traversal=conv_rows_traversal,
            part=lambda node, first, end: conv_direct_call(node, part=slice(first, end)),
        ),
        Kernel(
            "cf_conv2d_s8_dsp_direct",
            for_types("int8"),
            needs=frozenset({"dsp"}),
            when=lambda node: conv_direct_reason(node, tiled=True),
            call=lambda node: conv_direct_call(node, tiled=True),
            per_mac=0.8,
            shareable=False,
            form="tiles",
            traversal=conv_tiles_traversal,
            part=lambda node, first, end: conv_direct_call(node, tiled=True, part=slice(first, end)),
        ),
        Kernel(
            "cf_conv2d_s8_dsp",
            for_types("int8"),
            needs=frozenset({"dsp"}),
            when=lambda node: conv_dsp_reason(node, wide=False),
            call=lambda node: conv_dsp_call(node, wide=False),
            per_mac=0.87,
            traversal=conv_dsp_traversal,
            part=lambda node, first, end: conv_dsp_call(node, wide=False, part=slice(first, end)),
        ),
        Kernel(
            "cf_conv2d_s8_mla",
            for_types("int8"),
            needs=frozenset({"mla"}),
            when=conv_scalar_reason,
            call=conv_mla_call,
            traversal=strips_in_order,
            part=lambda node, first, end: conv_mla_call(node, slice(first, end)),
        ),
        Kernel(
            "cf_conv2d_s8_scalar",
            for_types("int8"),
            needs=frozenset({"mulh"}),
            when=conv_scalar_reason,
            call=lambda node: conv_scalar_call(node, high_multiply=True),
            traversal=strips_in_order,
            part=lambda node, first, end: conv_scalar_call(node, high_multiply=True, part=slice(first, end)),
        ),
        Kernel(
            "cf_conv2d_s8_thumb1",
            for_types("int8"),
            needs=frozenset({"thumb1"}),
            when=conv_scalar_reason,
            call=lambda node: conv_scalar_call(node, high_multiply=False),
            traversal=strips_in_order,
            part=lambda node, first, end: conv_scalar_call(node, high_multiply=False, part=slice(first, end)),
        ),
        conv_kernel(),
        Kernel("cf_conv2d_s8", for_types("int8"), per_mac=5.0, traversal=pixels_in_order),
        *CONV_KERNELS_S16,
        *float_kernels("conv2d", pixels_in_order),
    )

    def infer(self, node: Node) -> Sequence[Shape]:
        x, w = node["x"], node["w"]
        if len(x.shape) != 4 or len(w.shape) != 4:
            raise ChipfitError("G003", f"conv2d '{node.op.name}' needs 4 dimensions: x is {x.type}, w is {w.type}")
        n, h, width, channels = x.shape
        out, kh, kw, per_group = w.shape
        if per_group == 0 or channels % per_group or out % (channels // per_group):
            raise ChipfitError("G003", f"conv2d: '{x.name}' {x.type} does not fit the weights '{w.name}' {w.type}")
        b = node.get("b")
        if b is not None and b.shape != (out,):
            raise ChipfitError("G003", f"conv2d: bias '{b.name}' is {b.type}, expected ({out},)")
        top, left, bottom, right = self.pad
        oh = window_count(h, top, bottom, kh, self.stride[0], self.dilation[0])
        ow = window_count(width, left, right, kw, self.stride[1], self.dilation[1])
        return [(n, oh, ow, out)]

    def check(self, node: Node) -> None:
        if is_s16(node):
            check_s16(node, axis=0)
            return
        require_int8_weights(node)
        require_weight_scales(node, axis=0)

    def eval_float(self, node: Node, *x: Array) -> Array:
        acc = self._accumulate(x[0].astype(np.float32), real_weights(node["w"], x[1]), 0.0)
        if len(x) > 2:
            acc = acc + x[2]
        return activation_float(self.act, acc)

    def eval_int(self, node: Node, *x: Array) -> Array:
        vx, vw, vy = node["x"], node["w"], node["y"]
        # float64 holds every sum of int8 products exactly (far below 2**53), and uses fast matrix products
        acc = self._accumulate(x[0].astype(np.float64) - vx.q.zp, x[1].astype(np.float64), 0.0).astype(np.int64)
        if len(x) > 2:
            acc = acc + x[2].astype(np.int64)
        if is_s16(node):
            return requantize_s16(node, acc)
        m, shift = output_multipliers(vx, vw, vy, vw.shape[0])
        low, high = activation_range(self.act, vy.dtype, vy.q)
        return requantize(acc, m, shift, vy.q.zp, low, high)

    def _accumulate(self, x: Array, w: Array, fill: float) -> Array:
        """Sums over windows: (n, out_h, out_w, out)."""
        out, kh, kw, per_group = w.shape
        groups = x.shape[3] // per_group
        view = windows(x, self.pad, (kh, kw), self.stride, self.dilation, fill)
        n, oh, ow = view.shape[:3]
        sums: list[Array] = []
        for g in range(groups):
            columns = view[..., g * per_group : (g + 1) * per_group].reshape(n * oh * ow, -1)
            rows = w[g * (out // groups) : (g + 1) * (out // groups)].reshape(out // groups, -1)
            sums.append(columns @ rows.T)
        return np.concatenate(sums, axis=1).reshape(n, oh, ow, out)

    def macs(self, node: Node) -> int:
        return node["y"].type.size * node["w"].type.size // node["w"].shape[0]

    def rows(self, node: Node) -> Rows | str:
        return window_rows(node)

    def slice_rows(self, node: Node, first: int, count: int, padded: bool) -> Node:
        return slice_window_rows(node, first, count, padded)

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
            "group_c": w.shape[3],
            "kernel_h": w.shape[1],
            "kernel_w": w.shape[2],
            "stride_h": self.stride[0],
            "stride_w": self.stride[1],
            "dilation_h": self.dilation[0],
            "dilation_w": self.dilation[1],
            "pad_top": self.pad[0],
            "pad_left": self.pad[1],
        }
        if y.dtype is DType.FLOAT32:
            return float_call(node, params)
        if is_s16(node):
            args, fields = arguments_s16(node)
            return Call(args, {**params, **fields})
        m, shift = output_multipliers(x, w, y, y.shape[3])
        low_q, high_q = activation_range(self.act, y.dtype, y.q)
        quant = {"in_zero": x.q.zp, "out_zero": y.q.zp, "act_min": low_q, "act_max": high_q}
        tables = [Const("m", m, "weights"), Const("shift", shift.astype(np.int8), "weights")]
        return Call([Port("x"), Port("w"), Port("b"), *tables, Port("y")], {**params, **quant})

    @classmethod
    def samples(cls, rng: np.random.Generator) -> Iterator[Node]:
        cases: list[tuple[Shape, Shape, Conv2D]] = [
            ((1, 1, 1, 1), (1, 1, 1, 1), Conv2D()),
            ((1, 5, 7, 3), (8, 3, 3, 3), Conv2D(pad=(1, 1, 1, 1), act="relu")),
            ((2, 6, 5, 4), (5, 3, 2, 4), Conv2D(stride=(2, 1), pad=(1, 0, 1, 1), act="relu6")),
            ((1, 9, 8, 2), (3, 3, 3, 2), Conv2D(dilation=(2, 3), pad=(2, 3, 2, 3))),
            ((1, 4, 4, 6), (4, 3, 3, 3), Conv2D(pad=(1, 1, 1, 1))),
            ((1, 11, 3, 1), (7, 10, 4, 1), Conv2D(stride=(2, 2), pad=(4, 1, 5, 2), act="relu_n1_to_1")),
            ((1, 3, 13, 16), (17, 1, 1, 16), Conv2D(stride=(1, 3))),
            ((2, 5, 8, 4), (6, 3, 3, 4), Conv2D(pad=(1, 1, 1, 1), act="relu")),
        ]
        for x_shape, w_shape, op in cases:
            yield _int8_sample(rng, op, x_shape, w_shape)
            yield (node := _float_sample(rng, op, x_shape, w_shape))
            yield from small_weight_samples(rng, node, axis=0)
        h_pads, w_pads = same_pads(8, 3, 2, 1), same_pads(7, 3, 2, 1)
        strided = Conv2D(stride=(2, 2), pad=(h_pads[0], w_pads[0], h_pads[1], w_pads[1]))
        yield _int8_sample(rng, strided, (1, 8, 7, 3), (4, 3, 3, 3), bias=False)
        # what the kernels for cores with DSP instructions tell apart: units and halves, odd counts, more than one go
        cases = [
            ((1, 1, 5, 8), (2, 1, 1, 8), Conv2D(act="relu")),
            ((2, 3, 3, 4), (7, 1, 1, 4), Conv2D(act="relu")),
            ((1, 3, 3, 20), (8, 1, 1, 20), Conv2D()),
            ((1, 1, 2, 200), (4, 1, 1, 200), Conv2D()),
            ((1, 3, 5, 20), (3, 3, 3, 20), Conv2D(pad=(1, 1, 1, 1))),
            ((1, 4, 4, 40), (1, 2, 2, 40), Conv2D(act="relu6")),
        ]
        for x_shape, w_shape, op in cases:
            yield _int8_sample(rng, op, x_shape, w_shape, extreme=True)
        yield _int8_sample(rng, Conv2D(), (1, 17, 19, 4), (4, 1, 1, 4), gain=16.0)
        # borders in words: dilated, and rows of several tiles, of which the last is shorter, or the first all padding
        cases = [
            ((1, 6, 7, 4), (3, 3, 3, 4), Conv2D(dilation=(1, 2), pad=(1, 2, 1, 2))),
            ((1, 3, 19, 4), (4, 3, 3, 4), Conv2D(pad=(1, 1, 1, 1))),
            ((2, 4, 20, 16), (5, 3, 2, 16), Conv2D(pad=(0, 1, 0, 0), act="relu")),
            ((1, 2, 3, 4), (2, 2, 3, 4), Conv2D(pad=(0, 11, 1, 10))),
            ((1, 1, 3, 64), (24, 1, 1, 64), Conv2D(act="relu")),
            # one output pixel: a fully connected layer; and one beside it, which is none
            ((1, 1, 1, 37), (9, 1, 1, 37), Conv2D(act="relu")),
            ((1, 2, 3, 5), (6, 2, 3, 5), Conv2D()),
            ((1, 2, 2, 5), (6, 2, 2, 5), Conv2D(stride=(2, 2), pad=(1, 1, 0, 0))),
        ]
        for x_shape, w_shape, op in cases:
            yield _int8_sample(rng, op, x_shape, w_shape)
        # one line does for all channels, and the clamp is that of int8: four pixels and more, an odd channel
        for x_shape, w_shape in [((1, 5, 5, 4), (5, 3, 3, 4)), ((1, 2, 3, 8), (4, 1, 1, 8))]:
            pads = (1, 1, 1, 1) if w_shape[1] == 3 else (0, 0, 0, 0)
            yield _int8_sample(rng, Conv2D(pad=pads, act="relu"), x_shape, w_shape, zero=-128)
        yield from _samples_s16(rng)


def _samples_s16(rng: np.random.Generator) -> Iterator[Node]:
    """On int16: every bias, border, group and clamp; sums of more than 32 bits, and those of less."""
    pads = (1, 1, 1, 1)
    cases: list[tuple[Shape, Shape, Conv2D]] = [
        ((1, 1, 1, 1), (1, 1, 1, 1), Conv2D()),
        ((1, 5, 7, 3), (8, 3, 3, 3), Conv2D(pad=pads, act="relu")),
        ((2, 6, 5, 4), (5, 3, 2, 4), Conv2D(stride=(2, 1), pad=(1, 0, 1, 1), act="relu6")),
        ((1, 9, 8, 2), (3, 3, 3, 2), Conv2D(dilation=(2, 3), pad=(2, 3, 2, 3))),
        ((1, 4, 4, 6), (4, 3, 3, 3), Conv2D(pad=pads)),
        ((1, 3, 13, 16), (17, 1, 1, 16), Conv2D(stride=(1, 3), act="relu_n1_to_1")),
        ((2, 3, 3, 8), (7, 1, 1, 8), Conv2D(act="relu")),
        ((1, 4, 5, 7), (6, 1, 1, 7), Conv2D()),
    ]
    for x_shape, w_shape, op in cases:
        yield s16_sample(rng, op, x_shape, w_shape, 0)
        yield s16_sample(rng, op, x_shape, w_shape, 0, bias="int32", gain=2.0)
    yield s16_sample(rng, Conv2D(pad=pads), (1, 4, 5, 8), (6, 3, 3, 8), 0, bias="none", per_tensor=True)
    for gain in (0.1, 40.0, 3e3):
        yield s16_sample(rng, Conv2D(act="relu"), (1, 3, 5, 12), (5, 2, 2, 12), 0, gain=gain)
    yield s16_sample(rng, Conv2D(), (1, 3, 3, 20), (4, 1, 1, 20), 0, far=True)
    for x_shape, w_shape in [((1, 2, 3, 1024), (3, 1, 1, 1024)), ((1, 3, 4, 130), (5, 2, 3, 130))]:
        yield s16_sample(rng, Conv2D(), x_shape, w_shape, 0, heavy=True)
        yield s16_sample(rng, Conv2D(act="relu"), x_shape, w_shape, 0, heavy=True, gain=1e5)
    # one output pixel: a fully connected layer
    yield s16_sample(rng, Conv2D(act="relu"), (1, 1, 1, 37), (9, 1, 1, 37), 0)
    yield s16_sample(rng, Conv2D(), (1, 4, 4, 40), (6, 4, 4, 40), 0, heavy=True)


def _int8_sample(
    rng: np.random.Generator,
    op: Conv2D,
    x_shape: Shape,
    w_shape: Shape,
    bias: bool = True,
    extreme: bool = False,
    gain: float = 1.0,
    zero: int | None = None,
) -> Node:
    """``extreme``: the first channel has a tiny scale, the second weights of 0. ``gain``: scales all outputs up."""
    x = int8_type(rng, *x_shape)
    w = rng.integers(-127, 128, w_shape, dtype=np.int8)
    scales = tuple(float(s) for s in rng.uniform(1e-4, 2e-2, w_shape[0]).astype(np.float32))
    if extreme and len(scales) > 1:
        scales = (float(np.float32(scales[0] * 1e-7)), *scales[1:])
        w[1] = 0
    w_type = TensorType(w_shape, DType.INT8, Quant(scales, (0,) * w_shape[0], 0))
    b = rng.integers(-3000, 3000, w_shape[0], dtype=np.int32)
    b_type = TensorType(b.shape, DType.INT32, Quant(tuple(x.q.s * s for s in scales), (0,) * w_shape[0], 0))
    # about the spread of the sums, so that outputs fill the range instead of clamping
    spread = x.q.s * max(scales) * 73 * 73 * float(np.sqrt(w[0].size)) / 64
    y = Quant.per_tensor(spread / gain * float(rng.uniform(0.5, 2.0)), int(rng.integers(-128, 128)))
    if zero is not None:
        y = Quant.per_tensor(y.s, zero)
    return make_node(op, {"x": x, "w": (w_type, w), "b": (b_type, b) if bias else None}, (DType.INT8, y))


def _float_sample(rng: np.random.Generator, op: Conv2D, x_shape: Shape, w_shape: Shape) -> Node:
    w = rng.normal(0, 0.3, w_shape).astype(np.float32)
    b = rng.normal(0, 1, w_shape[0]).astype(np.float32)
    return make_node(op, {"x": float_type(*x_shape), "w": w, "b": b}, (DType.FLOAT32, None))
