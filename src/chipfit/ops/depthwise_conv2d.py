"""DEPTHWISE_CONV_2D."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from chipfit.errors import ChipfitError
from chipfit.fixedpoint import requantize
from chipfit.graph import Array, DType, Node, Quant, Shape, TensorType
from chipfit.ops._activation import Activation, activation_float, activation_range
from chipfit.ops._avr import depthwise_kernel
from chipfit.ops._base import Call, Const, Kernel, Op, Port, float_type, for_types, int8_type, make_node, register
from chipfit.ops._checks import require_weight_scales
from chipfit.ops._depthwise_dsp_3x3 import KERNELS_3X3
from chipfit.ops._depthwise_dsp_any import KERNELS_ANY
from chipfit.ops._depthwise_mve import KERNELS_MVE
from chipfit.ops._depthwise_scalar import (
    depthwise_scalar_call,
    depthwise_scalar_reason,
    depthwise_scalar_traversal,
)
from chipfit.ops._layers_s16 import arguments_s16, check_s16, is_s16, requantize_s16
from chipfit.ops._layers_s16_dsp import DEPTHWISE_KERNELS_S16
from chipfit.ops._roles import Roles, weighted
from chipfit.ops._samples_s16 import s16_sample
from chipfit.ops._small import (
    depthwise_small_call,
    depthwise_small_reason,
    depthwise_small_traversal,
    has_few_pixels,
)
from chipfit.ops._steps import channels_in_order
from chipfit.ops._traversal import Rows, slice_window_rows, window_rows
from chipfit.ops._weights_only import float_call, float_kernels, real_weights, small_weight_samples
from chipfit.ops._window import Pads, output_multipliers, require_int8_weights, same_pads, window_count, windows


@register
@dataclass(frozen=True)
class DepthwiseConv2D(Op):
    """y = act(sum over the window of (x - zx) * w, plus b), each output channel from one input channel.

    x: (n, h, w, in); w: (1, kh, kw, out), out = in * multiplier, output channel o reads input channel o // multiplier;
    b: (out,), int32 (float32 in float models), optional. ``pad`` is explicit: top, left, bottom, right.
    In float models w can be int8 (symmetric, one scale or one per output channel) or float16: arithmetic stays float32,
    with the real weights. LiteRT instead quantizes x as it runs where w is int8, so its results differ by that noise.
    Source: TFLite DEPTHWISE_CONV_2D; integers as in the TFLite Micro reference kernel (double rounding).
    """

    name: ClassVar[str] = "depthwise_conv2d"
    inputs: ClassVar[tuple[str, ...]] = ("x", "w", "b?")
    quant: ClassVar[Roles] = weighted(axis=3)

    stride: tuple[int, int] = (1, 1)
    pad: Pads = (0, 0, 0, 0)
    dilation: tuple[int, int] = (1, 1)
    act: Activation = "none"

    kernels: ClassVar[tuple[Kernel, ...]] = (
        Kernel(
            "cf_depthwise_conv2d_s8_dsp_small",
            for_types("int8"),
            frozenset({"dsp"}),
            depthwise_small_reason,
            depthwise_small_call,
            compact=True,
            also_for=has_few_pixels,
            traversal=depthwise_small_traversal,
        ),
        *KERNELS_MVE,
        *KERNELS_3X3,
        *KERNELS_ANY,
        Kernel(
            "cf_depthwise_conv2d_s8_mla",
            for_types("int8"),
            frozenset({"mla"}),
            depthwise_scalar_reason,
            lambda node: depthwise_scalar_call(node, high_multiply=True),
            shareable=False,  # its table of offsets is made for one shape
            traversal=lambda node, backward: depthwise_scalar_traversal(node, 1, backward),
        ),
        Kernel(
            "cf_depthwise_conv2d_s8_scalar",
            for_types("int8"),
            frozenset({"mulh"}),
            depthwise_scalar_reason,
            lambda node: depthwise_scalar_call(node, high_multiply=True),
            shareable=False,  # its table of offsets is made for one shape
            traversal=lambda node, backward: depthwise_scalar_traversal(node, 1, backward),
        ),
        Kernel(
            "cf_depthwise_conv2d_s8_thumb1",
            for_types("int8"),
            frozenset({"thumb1"}),
            depthwise_scalar_reason,
            lambda node: depthwise_scalar_call(node, high_multiply=False),
            shareable=False,
            traversal=lambda node, backward: depthwise_scalar_traversal(node, 4, backward),
        ),
        depthwise_kernel(),
        Kernel("cf_depthwise_conv2d_s8", for_types("int8"), per_mac=8.0, traversal=channels_in_order),
        *DEPTHWISE_KERNELS_S16,
        *float_kernels("depthwise_conv2d", channels_in_order),
    )

    def infer(self, node: Node) -> Sequence[Shape]:
        x, w, b = node["x"], node["w"], node.get("b")
        if len(x.shape) != 4 or len(w.shape) != 4:
            raise ChipfitError("G003", f"{self.name} needs 4 dimensions: '{x.name}' is {x.type}, '{w.name}' {w.type}")
        n, h, width, channels = x.shape
        one, kh, kw, out = w.shape
        if one != 1 or channels == 0 or out % channels:
            raise ChipfitError("G003", f"{self.name}: '{x.name}' {x.type} does not fit the weights '{w.name}' {w.type}")
        if b is not None and b.shape != (out,):
            raise ChipfitError("G003", f"{self.name}: bias '{b.name}' is {b.type}, expected ({out},)")
        top, left, bottom, right = self.pad
        oh = window_count(h, top, bottom, kh, self.stride[0], self.dilation[0])
        ow = window_count(width, left, right, kw, self.stride[1], self.dilation[1])
        if oh < 1 or ow < 1:
            raise ChipfitError("G003", f"{self.name}: '{x.name}' {x.type} is smaller than the window ({kh}, {kw})")
        return [(n, oh, ow, out)]

    def check(self, node: Node) -> None:
        if is_s16(node):
            check_s16(node, axis=3, bias32=False)
            return
        require_int8_weights(node)
        require_weight_scales(node, axis=3)

    def eval_float(self, node: Node, *x: Array) -> Array:
        acc = self._accumulate(x[0].astype(np.float32), real_weights(node["w"], x[1]))
        if len(x) > 2:
            acc = acc + x[2]
        return activation_float(self.act, acc)

    def eval_int(self, node: Node, *x: Array) -> Array:
        vx, vw, vy = node["x"], node["w"], node["y"]
        acc = self._accumulate(x[0].astype(np.int64) - vx.q.zp, x[1].astype(np.int64))
        if len(x) > 2:
            acc = acc + x[2].astype(np.int64)
        if is_s16(node):
            return requantize_s16(node, acc)
        m, shift = output_multipliers(vx, vw, vy, vw.shape[3])
        low, high = activation_range(self.act, vy.dtype, vy.q)
        return requantize(acc, m, shift, vy.q.zp, low, high)

    def _accumulate(self, x: Array, w: Array) -> Array:
        """Sums over windows, tap by tap: (n, out_h, out_w, out)."""
        _, kh, kw, out = w.shape
        multiplier = out // x.shape[3]
        view = windows(x, self.pad, (kh, kw), self.stride, self.dilation, 0)
        acc = np.zeros((*view.shape[:3], out), x.dtype)
        for i in range(kh):
            for j in range(kw):
                acc += np.repeat(view[:, :, :, i, j], multiplier, axis=3) * w[0, i, j]
        return acc

    def macs(self, node: Node) -> int:
        _, kh, kw, _ = node["w"].shape
        return node["y"].type.size * kh * kw

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
            "multiplier": w.shape[3] // x.shape[3],
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
            return Call(args, {**params, "act_min": fields["act_min"], "act_max": fields["act_max"]})
        m, shift = output_multipliers(x, w, y, y.shape[3])
        low_q, high_q = activation_range(self.act, y.dtype, y.q)
        quant = {"in_zero": x.q.zp, "out_zero": y.q.zp, "act_min": low_q, "act_max": high_q}
        tables = [Const("m", m, "weights"), Const("shift", shift.astype(np.int8), "weights")]
        return Call([Port("x"), Port("w"), Port("b"), *tables, Port("y")], {**params, **quant})

    @classmethod
    def samples(cls, rng: np.random.Generator) -> Iterator[Node]:
        cases: list[tuple[Shape, Shape, DepthwiseConv2D]] = [
            ((1, 1, 1, 1), (1, 1, 1, 1), cls()),
            ((1, 1, 1, 5), (1, 3, 3, 5), cls(pad=(1, 1, 1, 1))),
            ((1, 5, 7, 8), (1, 3, 3, 8), cls(pad=(1, 1, 1, 1), act="relu")),
            ((2, 6, 5, 3), (1, 3, 2, 6), cls(stride=(1, 2), pad=(1, 0, 1, 1), act="relu6")),
            ((1, 9, 8, 7), (1, 3, 3, 7), cls(dilation=(2, 3), pad=(2, 3, 2, 3))),
            ((1, 5, 4, 1), (1, 3, 3, 3), cls(pad=(1, 1, 1, 1), act="relu_n1_to_1")),
            ((1, 13, 5, 1), (1, 10, 4, 8), cls()),
            ((1, 7, 11, 17), (1, 1, 1, 17), cls(stride=(1, 3))),
            ((1, 4, 4, 2), (1, 5, 5, 6), cls(pad=(2, 2, 2, 2))),
            ((1, 1, 12, 6), (1, 1, 5, 6), cls(stride=(1, 2), pad=(0, 1, 0, 2))),
        ]
        for x_shape, w_shape, op in cases:
            yield _int8_sample(rng, op, x_shape, w_shape)
            yield (node := _float_sample(rng, op, x_shape, w_shape))
            yield from small_weight_samples(rng, node, axis=3)
        h_pads, w_pads = same_pads(8, 3, 2, 1), same_pads(7, 3, 2, 1)
        strided = cls(stride=(2, 2), pad=(h_pads[0], w_pads[0], h_pads[1], w_pads[1]))
        yield _int8_sample(rng, strided, (1, 8, 7, 6), (1, 3, 3, 6), bias=False)
        yield _int8_sample(rng, strided, (1, 8, 7, 6), (1, 3, 3, 6), per_tensor=True)
        yield from _samples_3x3(rng)
        yield from _samples_any(rng)
        yield from _samples_s16(rng)


def _samples_3x3(rng: np.random.Generator) -> Iterator[Node]:
    """Layers with ReLU and the zero point that a converter gives them: what the 3x3 kernel is for."""
    same, after = (1, 1, 1, 1), (0, 0, 1, 1)
    cases: list[tuple[Shape, int, Pads]] = [
        ((1, 1, 1, 4), 1, same),
        ((1, 2, 2, 5), 1, same),
        ((2, 3, 3, 7), 1, same),
        ((1, 25, 5, 8), 1, same),  # lines are columns
        ((1, 6, 6, 9), 1, same),
        ((1, 12, 44, 4), 1, same),  # bands of lines, lines in parts
        ((1, 3, 112, 4), 1, same),  # a third line too far for an offset
        ((1, 3, 13, 340), 1, same),  # outputs too far for an offset
        ((1, 8, 8, 6), 2, after),
        ((2, 8, 12, 4), 2, same),
        ((1, 5, 7, 5), 2, same),
        ((1, 7, 9, 4), 2, (0, 0, 0, 0)),
        ((1, 21, 60, 4), 2, (1, 0, 1, 1)),
        ((1, 4, 116, 4), 2, after),
        ((1, 3, 5, 4), 1, (1, 1, 5, 1)),  # output lines below the image: not for the 3x3 kernel
    ]
    for shape, stride, pad in cases:
        yield _plain_sample(rng, DepthwiseConv2D((stride, stride), pad, act="relu"), shape, (1, 3, 3, shape[3]))
    dead = np.zeros(16, np.bool_)
    dead[[2, 7]] = True
    yield _plain_sample(rng, DepthwiseConv2D(pad=same, act="relu"), (1, 4, 5, 16), (1, 3, 3, 16), dead=dead)
    yield _plain_sample(rng, DepthwiseConv2D(pad=same, act="relu"), (1, 4, 5, 16), (1, 3, 3, 16), faint=5)
    yield _plain_sample(rng, DepthwiseConv2D((2, 2), after, act="relu"), (1, 6, 8, 16), (1, 3, 3, 16), faint=5)


def _samples_any(rng: np.random.Generator) -> Iterator[Node]:
    """Layers for the general kernel: long and wide kernels, all requantizations."""
    cases: list[tuple[Shape, Shape, DepthwiseConv2D]] = [
        ((1, 28, 1, 8), (1, 5, 1, 8), DepthwiseConv2D()),
        ((1, 24, 1, 5), (1, 10, 1, 5), DepthwiseConv2D()),
        ((1, 15, 1, 8), (1, 15, 1, 8), DepthwiseConv2D()),
        ((1, 21, 17, 1), (1, 10, 8, 8), DepthwiseConv2D((2, 2), (4, 3, 5, 3))),
        ((1, 9, 9, 6), (1, 7, 7, 6), DepthwiseConv2D((2, 2), (3, 3, 3, 3))),
        ((1, 3, 3, 9), (1, 7, 7, 9), DepthwiseConv2D(pad=(3, 3, 3, 3))),
        ((1, 5, 6, 4), (1, 5, 5, 4), DepthwiseConv2D(pad=(2, 2, 2, 2))),
        ((1, 24, 60, 4), (1, 4, 4, 4), DepthwiseConv2D(pad=(1, 1, 2, 2))),
        ((1, 10, 20, 3), (1, 2, 9, 6), DepthwiseConv2D((2, 3), (0, 2, 1, 3))),
        ((1, 7, 20, 4), (1, 2, 11, 4), DepthwiseConv2D((1, 2), (0, 2, 1, 3), (2, 1))),
        ((1, 6, 6, 4), (1, 2, 2, 4), DepthwiseConv2D((2, 2))),
    ]
    for x_shape, w_shape, op in cases:
        yield _int8_sample(rng, op, x_shape, w_shape)
        yield _plain_sample(rng, replace(op, act="relu"), x_shape, w_shape)
    dead = np.arange(6) == 1
    acts: list[tuple[Activation, int]] = [("none", -20), ("none", 90), ("relu", -128), ("relu", 3)]
    for act, zero in acts:
        op = DepthwiseConv2D(pad=(2, 2, 2, 2), act=act)
        yield _plain_sample(rng, op, (1, 3, 4, 6), (1, 5, 5, 6), dead=dead, faint=4, zero=zero)


def _samples_s16(rng: np.random.Generator) -> Iterator[Node]:
    """On int16: borders, strides, several outputs of a channel, channels that are no fours; long windows."""
    same = (1, 1, 1, 1)
    cases: list[tuple[Shape, Shape, DepthwiseConv2D]] = [
        ((1, 1, 1, 1), (1, 1, 1, 1), DepthwiseConv2D()),
        ((1, 1, 1, 5), (1, 3, 3, 5), DepthwiseConv2D(pad=same)),
        ((1, 5, 7, 8), (1, 3, 3, 8), DepthwiseConv2D(pad=same, act="relu")),
        ((1, 6, 6, 4), (1, 3, 3, 4), DepthwiseConv2D((2, 2), (0, 0, 1, 1))),
        ((2, 6, 5, 3), (1, 3, 2, 6), DepthwiseConv2D((1, 2), (1, 0, 1, 1), act="relu6")),
        ((2, 5, 5, 8), (1, 2, 3, 8), DepthwiseConv2D(pad=(0, 1, 1, 1))),
        ((1, 9, 8, 7), (1, 3, 3, 7), DepthwiseConv2D(pad=(2, 3, 2, 3), dilation=(2, 3))),
        ((1, 7, 11, 17), (1, 1, 1, 17), DepthwiseConv2D((1, 3), act="relu_n1_to_1")),
        ((1, 4, 4, 12), (1, 5, 5, 12), DepthwiseConv2D(pad=(2, 2, 2, 2))),
        ((1, 24, 1, 8), (1, 10, 1, 8), DepthwiseConv2D()),
    ]
    for x_shape, w_shape, op in cases:
        yield s16_sample(rng, op, x_shape, w_shape, 3)
        yield s16_sample(rng, op, x_shape, w_shape, 3, gain=6.0, bias="none")
    yield s16_sample(rng, DepthwiseConv2D(pad=same), (1, 4, 5, 16), (1, 3, 3, 16), 3, per_tensor=True)
    yield s16_sample(rng, DepthwiseConv2D(pad=same), (1, 4, 5, 16), (1, 3, 3, 16), 3, far=True)
    yield s16_sample(rng, DepthwiseConv2D(), (1, 1, 620, 4), (1, 1, 600, 4), 3, heavy=True)


def _plain_sample(
    rng: np.random.Generator,
    op: DepthwiseConv2D,
    x_shape: Shape,
    w_shape: Shape,
    dead: Array | None = None,
    faint: int | None = None,
    zero: int = -128,
) -> Node:
    """``zero``: the zero point of the output. ``dead`` channels have no weights; those of channel ``faint``
    have so small a scale that it has no cheap requantization."""
    node = _int8_sample(rng, op, x_shape, w_shape)
    x, w, b, y = node["x"], node["w"], node["b"], node["y"]
    weights, bias = w.array.copy(), b.array.copy()
    if dead is not None:
        weights[..., dead] = 0
    w_type = w.type
    if faint is not None:
        tiny = float(np.float32(float(y.q.s) / float(x.q.s) / (1 << 22)))
        scales = tuple(tiny if i == faint else s for i, s in enumerate(w.q.scale))
        w_type = TensorType(w.shape, w.dtype, Quant(scales, w.q.zero_point, w.q.axis))
        bias[faint] = 21 << 21  # 10.5 in outputs
    return make_node(
        op,
        {"x": x.type, "w": (w_type, weights), "b": (b.type, bias)},
        (DType.INT8, Quant.per_tensor(float(y.q.s), zero)),
    )


def _int8_sample(
    rng: np.random.Generator,
    op: DepthwiseConv2D,
    x_shape: Shape,
    w_shape: Shape,
    bias: bool = True,
    per_tensor: bool = False,
) -> Node:
    x, out = int8_type(rng, *x_shape), w_shape[3]
    w = rng.integers(-127, 128, w_shape, dtype=np.int8)
    scales = tuple(float(s) for s in rng.uniform(1e-4, 2e-2, 1 if per_tensor else out).astype(np.float32))
    zeros = (0,) * len(scales)
    w_type = TensorType(w_shape, DType.INT8, Quant(scales, zeros, None if per_tensor else 3))
    b = rng.integers(-3000, 3000, out, dtype=np.int32)
    b_type = TensorType(b.shape, DType.INT32, Quant(tuple(x.q.s * s for s in scales), zeros, None if per_tensor else 0))
    # about the spread of the sums, so that outputs fill the range instead of clamping
    spread = x.q.s * max(scales) * 73 * 73 * float(np.sqrt(w_shape[1] * w_shape[2])) / 64
    y = Quant.per_tensor(spread * float(rng.uniform(0.5, 2.0)), int(rng.integers(-128, 128)))
    return make_node(op, {"x": x, "w": (w_type, w), "b": (b_type, b) if bias else None}, (DType.INT8, y))


def _float_sample(rng: np.random.Generator, op: DepthwiseConv2D, x_shape: Shape, w_shape: Shape) -> Node:
    w = rng.normal(0, 0.3, w_shape).astype(np.float32)
    b = rng.normal(0, 1, w_shape[3]).astype(np.float32)
    return make_node(op, {"x": float_type(*x_shape), "w": w, "b": b}, (DType.FLOAT32, None))
