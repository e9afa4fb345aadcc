"""FULLY_CONNECTED on cores without DSP instructions: four outputs at a time (runtime/kernels)."""

from __future__ import annotations

import numpy as np

from chipfit.graph import Array, Node
from chipfit.ops._base import Call, Const, Port, Scratch
from chipfit.ops._channels import constant_operands
from chipfit.ops._coded import all_bytes
from chipfit.ops._dense import dense_channels, dense_range
from chipfit.ops._prepared import prepared
from chipfit.ops._scalar import Finish, finish_with_digits, finish_with_high_multiply


def dense_scalar_reason(node: Node) -> bool | str:
    """True, or why the kernels of this module cannot be used."""
    return constant_operands(node)


def dense_scalar_call(node: Node, part: slice | None = None) -> Call:
    """Arguments of ``cf_fully_connected_s8_scalar``: weights as they are in the model. ``part``: of these outputs
    alone, of a single row."""
    finish = prepared(node, ("finish", True), lambda: finish_with_high_multiply(dense_channels(node)))
    first, end, _ = (part or slice(None)).indices(node["w"].shape[0])
    w = node["w"].array[first:end]
    numbers = Const("numbers", finish.numbers[first:end], "weights")
    args = [Port("x"), Const("w", w, "weights", all_bytes(w)), numbers, Port("y", offset=first)]
    return Call(args, _params(node, finish, end - first), "cf_fully_connected_s8_scalar_params")


def dense_thumb1_call(node: Node, part: slice | None = None) -> Call:
    """Arguments of ``cf_fully_connected_s8_thumb1``: a word of weights holds one input's of four outputs."""
    finish = prepared(node, ("finish", False), lambda: finish_with_digits(dense_channels(node)))
    columns = node["w"].shape[1]
    first, end, _ = (part or slice(None)).indices(node["w"].shape[0])
    w = _in_fours(node["w"].array[first:end])
    args = [
        Port("x"),
        Const("w", w, "weights", all_bytes(w)),
        Const("numbers", finish.numbers[first:end], "weights"),
        Scratch(4 * (columns + columns % 2)),
        Port("y", offset=first),
    ]
    return Call(args, _params(node, finish, end - first), "cf_fully_connected_s8_scalar_params")


def _params(node: Node, finish: Finish, out: int) -> dict[str, int | float | tuple[int, ...]]:
    columns = node["w"].shape[1]
    return {
        "rows": node["y"].type.size // node["w"].shape[0],
        "in": columns,
        "out": out,
        "finish": finish.field(node["y"].q.zp, *dense_range(node)),
    }


def _in_fours(w: Array) -> Array:
    """(out, in) to words (out / 4, in): byte i is that of output i of four; filled up with zeros, to an even ``in``."""
    out, columns = w.shape
    padded = np.pad(w, ((0, -out % 4), (0, columns % 2)))
    fours = padded.reshape(-1, 4, padded.shape[1]).transpose(0, 2, 1)
    return np.ascontiguousarray(fours).view("<i4")[..., 0]
