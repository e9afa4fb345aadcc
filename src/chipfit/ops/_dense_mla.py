"""FULLY_CONNECTED on cores with a multiply-accumulate instruction, but no DSP ones: runtime/include/cf_tile_mla.h."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from chipfit.graph import Array, Node
from chipfit.ops._base import Call, Const
from chipfit.ops._coded import all_bytes
from chipfit.ops._dense_scalar import dense_scalar_call


def dense_mla_call(node: Node, part: slice | None = None) -> Call:
    """Arguments of ``cf_fully_connected_s8_mla``: those of ``cf_fully_connected_s8_scalar`` with other weights."""
    call = dense_scalar_call(node, part)
    x, _, *others = call.args
    fours = in_fours(node["w"].array[part or slice(None)])
    return replace(call, args=[x, Const("w", fours, "weights", all_bytes(fours)), *others])


def in_fours(w: Array) -> Array:
    """(out, in) to (out / 4, in, 4): the inputs of four filters in turn; filters of zeros fill up the last four."""
    padded = np.pad(w, ((0, -w.shape[0] % 4), (0, 0)))
    return np.ascontiguousarray(padded.reshape(-1, 4, w.shape[1]).transpose(0, 2, 1))
