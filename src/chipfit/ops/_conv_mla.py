"""CONV_2D on cores with a multiply-accumulate instruction, but no DSP ones (Armv7-M): runtime/include/cf_tile_mla.h."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from chipfit.graph import Array, Node
from chipfit.ops._base import Call, Const
from chipfit.ops._coded import all_bytes
from chipfit.ops._conv_scalar import conv_scalar_call


def conv_mla_call(node: Node, part: slice | None = None) -> Call:
    """Arguments of ``cf_conv2d_s8_mla``: those of ``cf_conv2d_s8_scalar`` with other weights."""
    call = conv_scalar_call(node, high_multiply=True, part=part)
    x, w, *others = call.args
    assert isinstance(w, Const)
    pairs = in_pairs(w.data)
    return replace(call, args=[x, Const("w", pairs, "weights", all_bytes(pairs)), *others])


def in_pairs(w: Array) -> Array:
    """(out, taps) to (out / 2, taps, 2): the taps of two filters in turn; a filter of zeros fills up the last pair."""
    even = np.pad(w, ((0, w.shape[0] % 2), (0, 0)))
    return np.ascontiguousarray(even.reshape(-1, 2, w.shape[1]).transpose(0, 2, 1))
