"""CONV_2D on cores without DSP instructions: strips of four output pixels (runtime/include/cf_strip.h)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from chipfit.graph import Array, Node
from chipfit.ops._activation import activation_range
from chipfit.ops._base import Call, Const, Port, Scratch
from chipfit.ops._channels import channels_of, constant_operands
from chipfit.ops._coded import all_bytes
from chipfit.ops._prepared import prepared
from chipfit.ops._scalar import Finish, finish_with_digits, finish_with_high_multiply
from chipfit.ops._window import output_multipliers

if TYPE_CHECKING:
    from chipfit.ops.conv2d import Conv2D


def conv_scalar_reason(node: Node) -> bool | str:
    """True, or why the kernels of this module cannot be used."""
    if node["x"].shape[3] != node["w"].shape[3]:
        return "groups"
    return constant_operands(node)


def conv_scalar_call(node: Node, high_multiply: bool, part: slice | None = None) -> Call:
    """Arguments of ``cf_conv2d_s8_scalar`` (``high_multiply``) or ``cf_conv2d_s8_thumb1``; ``part``: of these output
    channels alone."""
    op: Conv2D = node.op  # type: ignore[assignment]
    x, w, y = node["x"], node["w"], node["y"]
    act_range = activation_range(op.act, y.dtype, y.q)
    filters = w.array.reshape(w.shape[0], -1)

    def prove() -> Finish:
        channels = channels_of(node, filters, *output_multipliers(x, w, y, w.shape[0]), act_range)
        return finish_with_high_multiply(channels) if high_multiply else finish_with_digits(channels)

    finish = prepared(node, ("finish", high_multiply), prove)
    taps = -(-filters.shape[1] // 4) * 4
    first, end, _ = (part or slice(None)).indices(len(filters))
    rows = padded_rows(filters[first:end], taps)
    args = [
        Port("x"),
        Const("w", rows, "weights", all_bytes(rows)),
        Const("numbers", finish.numbers[first:end], "weights"),
        Scratch(4 * taps * (1 if high_multiply else 4)),
        Port("y", offset=first),
    ]
    params: dict[str, int | float | tuple[int, ...]] = {
        "n": x.shape[0],
        "in_h": x.shape[1],
        "in_w": x.shape[2],
        "in_c": x.shape[3],
        "out_h": y.shape[1],
        "out_w": y.shape[2],
        "out_c": end - first,
        "out_pixel": y.shape[3],
        "kernel_h": w.shape[1],
        "kernel_w": w.shape[2],
        "stride_h": op.stride[0],
        "stride_w": op.stride[1],
        "dilation_h": op.dilation[0],
        "dilation_w": op.dilation[1],
        "pad_top": op.pad[0],
        "pad_left": op.pad[1],
        "in_zero": x.q.zp,
        "taps": taps,
        "finish": finish.field(y.q.zp, *act_range),
    }
    return Call(args, params, "cf_conv2d_s8_scalar_params")


def padded_rows(rows: Array, columns: int) -> Array:
    """Rows filled up with zeros."""
    return np.pad(rows, ((0, 0), (0, columns - rows.shape[1])))
