"""Convolutions, depthwise ones and small dense layers for ``--optimize size``: all layers run through little code.

The C side is runtime/include/cf_small.h and the kernels that include it, for cores with DSP instructions. How sums
become outputs is proven in ``_scalar``. Nothing is asked of the weights; only sizes must fit the parameters' fields.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from chipfit.graph import Array, Node
from chipfit.ops._activation import activation_range
from chipfit.ops._base import Call, Const, Port, Scratch
from chipfit.ops._channels import Channels, channels_of, constant_operands
from chipfit.ops._coded import Coded
from chipfit.ops._dense import dense_channels, dense_range
from chipfit.ops._scalar import LINE, Finish, finish_with_high_multiply
from chipfit.ops._traversal import Traversal, windows_traversal
from chipfit.ops._window import output_multipliers

_STRUCT = "cf_small_params"
_FIELDS: dict[str, int] = {
    **dict.fromkeys(("n", "in_h", "in_w", "in_c", "out_h", "out_w", "out_c", "outside"), (1 << 15) - 1),
    **dict.fromkeys(("kernel_h", "kernel_w", "stride_h", "stride_w", "dilation_h", "dilation_w"), 255),
    **dict.fromkeys(("pad_top", "pad_left"), 255),
}
"""The greatest number that each field for a size holds."""

_FEW_WEIGHTS = 1 << 10
"""Fewer make a dense layer small: beyond, the faster kernel is worth its KiB of code."""

Sizes = dict[str, int]


def conv_small_reason(node: Node) -> bool | str:
    """True, or why ``cf_conv2d_s8_dsp_small`` cannot be used for a convolution."""
    if node["x"].shape[3] != node["w"].shape[3]:
        return "it has groups"
    return _reason(node, _window_sizes(node))


def conv_small_call(node: Node) -> Call:
    """Arguments of ``cf_conv2d_s8_dsp_small`` for a convolution."""
    filters = node["w"].array.reshape(node["w"].shape[0], -1)
    return _pairs_call(node, _window_channels(node, filters), _window_sizes(node), _window_range(node))


def conv_small_traversal(node: Node, backward: bool) -> Traversal | None:
    """Pairs of pixels, across the ends of rows; both windows are copied before the first output."""
    return None if backward else windows_traversal(node, block=2, staged=True)


def dense_small_reason(node: Node) -> bool | str:
    """True, or why ``cf_conv2d_s8_dsp_small`` cannot be used for a fully connected layer."""
    if node["w"].type.size >= _FEW_WEIGHTS:
        return f"a layer of {_FEW_WEIGHTS:,} weights or more is worth a faster one"
    return _reason(node, _dense_sizes(node))


def dense_small_call(node: Node) -> Call:
    """Arguments of ``cf_conv2d_s8_dsp_small`` for a fully connected layer: every row is an image of one pixel."""
    return _pairs_call(node, dense_channels(node), _dense_sizes(node), dense_range(node))


FEW_PIXELS = 4
"""Output pixels up to which a depthwise layer reads each weight so seldom that weights laid out for speed, of twice the
bytes, do not pay: in MobileNetV1 0.25 at 64x64, 3 % more instructions save 4.4 KiB."""


def has_few_pixels(node: Node) -> bool:
    """Not of a single row, which may be one of many: then the weights are read again for each."""
    _, height, width, _ = node.outputs[0].shape
    return height > 1 and height * width <= FEW_PIXELS


def depthwise_small_reason(node: Node) -> bool | str:
    """True, or why ``cf_depthwise_conv2d_s8_dsp_small`` cannot be used."""
    channels = node["x"].shape[3]
    if node["w"].shape[3] != channels:
        return "an input channel has several output channels"
    if channels < 4:
        return "it has fewer than four channels"
    return _reason(node, _window_sizes(node))


def depthwise_small_traversal(node: Node, backward: bool) -> Traversal | None:
    """Pixel by pixel; four channels are written before the next four are read."""
    return None if backward else windows_traversal(node, block=1, staged=False)


def depthwise_small_call(node: Node) -> Call:
    """Arguments of ``cf_depthwise_conv2d_s8_dsp_small``."""
    taps = node["w"].array.reshape(-1, node["w"].shape[3])
    channels = _window_channels(node, taps.T)
    finish = finish_with_high_multiply(channels)
    parts: list[Array] = []
    for first in (0, *range((taps.shape[1] - 1) % 4 + 1, taps.shape[1], 4)):
        four = slice(first, first + 4)
        parts += [_as_words(taps[:, four]), _numbers(finish, four)]
    weights = _in_turn(parts)
    sizes = _window_sizes(node)
    scratch, params = Scratch(_window_bytes(sizes)), _params(node, sizes, finish, _window_range(node))
    return Call([Port("x"), weights, Port("y"), scratch], params, _STRUCT)


def _pairs_call(node: Node, channels: Channels, sizes: Sizes, act_range: tuple[int, int]) -> Call:
    finish = finish_with_high_multiply(channels)
    out, columns = channels.w.shape
    units = -(-columns // 4)
    w = np.zeros((out + out % 2, 4 * units), np.int8)
    w[:out, :columns] = channels.w
    parts: list[Array] = []
    for first in range(0, out, 2):
        pair = w[first : first + 2].reshape(2, units, 4).transpose(1, 0, 2)
        parts += [_as_words(pair), _numbers(finish, slice(first, first + 2))]
    args = [Port("x"), _in_turn(parts), Port("y"), Scratch(16 * units + _window_bytes(sizes))]
    return Call(args, _params(node, sizes, finish, act_range), _STRUCT)


def _in_turn(parts: list[Array]) -> Const:
    """Words of weights and numbers, in turn."""
    where = np.concatenate([np.full(part.size, i % 2 == 0) for i, part in enumerate(parts)])
    return Const("w", np.concatenate(parts), "weights", Coded(where))


def _params(node: Node, sizes: Sizes, finish: Finish, act_range: tuple[int, int]) -> dict[str, Any]:
    return {
        **sizes,
        "form": finish.form,
        "bits": finish.scaling.bits,
        "shift": finish.s,
        "saturates": int(finish.form == LINE and act_range == node["y"].dtype.range),
        "in_zero": node["x"].q.zp,
        "out_zero": node["y"].q.zp,
        "act_min": act_range[0],
        "act_max": act_range[1],
    }


def _reason(node: Node, sizes: Sizes) -> bool | str:
    for name, size in sizes.items():
        if size > _FIELDS[name]:
            return f"{name} is {size:,}, its field holds up to {_FIELDS[name]:,}"
    return constant_operands(node)


def _window_bytes(sizes: Sizes) -> int:
    """A pointer to each tap of a window, 8 bytes on the host, and a pixel of zero points."""
    return 8 * sizes["kernel_h"] * sizes["kernel_w"] + sizes.get("outside", 0)


def _window_sizes(node: Node) -> Sizes:
    x, w, y, op = node["x"].shape, node["w"].shape, node["y"].shape, node.op.attributes()
    return {
        "n": x[0],
        "in_h": x[1],
        "in_w": x[2],
        "in_c": x[3],
        "out_h": y[1],
        "out_w": y[2],
        "out_c": y[3],
        "kernel_h": w[1],
        "kernel_w": w[2],
        "stride_h": op["stride"][0],
        "stride_w": op["stride"][1],
        "dilation_h": op["dilation"][0],
        "dilation_w": op["dilation"][1],
        "pad_top": op["pad"][0],
        "pad_left": op["pad"][1],
        "outside": -(-x[3] // 4) * 4 if any(op["pad"]) else 0,
    }


def _dense_sizes(node: Node) -> Sizes:
    out, columns = node["w"].shape
    ones = dict.fromkeys(("in_h", "in_w", "out_h", "out_w", "kernel_h", "kernel_w", "dilation_w"), 1)
    return {"n": node["y"].type.size // out, "in_c": columns, "out_c": out, **ones}


def _window_range(node: Node) -> tuple[int, int]:
    return activation_range(node.op.attributes()["act"], node["y"].dtype, node["y"].q)


def _window_channels(node: Node, filters: Array) -> Channels:
    """``filters``: (out, taps)."""
    multipliers = output_multipliers(node["x"], node["w"], node["y"], len(filters))
    return channels_of(node, filters, *multipliers, _window_range(node))


def _as_words(weights: Array) -> Array:
    """int8 numbers, four in a word, the first one lowest."""
    return np.ascontiguousarray(weights, np.int8).reshape(-1).view("<u4").astype(np.uint32)


def _numbers(finish: Finish, channels: slice) -> Array:
    return finish.numbers[channels].reshape(-1).view(np.uint32)
