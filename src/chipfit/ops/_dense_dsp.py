"""The fully connected layer on cores with DSP instructions: one stream of weights and numbers for each four outputs.

The C side is runtime/include/cf_dense_dsp.h, which states the order of the stream.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, TypeVar

import numpy as np

from chipfit.fixedpoint import Int
from chipfit.graph import Array, Node
from chipfit.ops._base import Call, Const, Function, Port, Scratch
from chipfit.ops._channels import Channels, constant_operands
from chipfit.ops._coded import Coded
from chipfit.ops._dense import dense_channels, dense_range
from chipfit.ops._fold import common_shift, fold_line, fold_two_lines, two_lines_rounding
from chipfit.ops._prepared import prepared

K = 256
"""What weights are multiplied by."""

Operands = Literal["pairs", "wide", "bytes"]
"""int16 inputs and interleaved weights, int16 inputs and wide weights, or bytes (no scratch) and interleaved ones."""

_BODIES: dict[Operands, str] = {"pairs": "cf_dense_", "wide": "cf_dense_wide_", "bytes": "cf_dense_bytes_"}

Found = TypeVar("Found")


@dataclass(frozen=True)
class _Form:
    """A requantization that is proven for all channels: per channel the start of the sum, multiplier, extra number."""

    name: str
    start: Int
    m: Int
    extra: Int | None
    shift: int
    rounding: int


def dense_dsp_reason(node: Node, operands: Operands) -> bool | str:
    """True, or why the kernel cannot be used."""
    reason = constant_operands(node)
    if reason is not True:
        return reason
    channels = dense_channels(node)
    if channels.greatest >= 1 << 23:
        return f"accumulators reach {channels.greatest:,}; times {K} they leave 32 bits"
    return True if operands == "wide" else pairs_fit(channels.w[fours_of(len(channels.w))])


def sums_fit(greatest: int, shift: int) -> bool | str:
    """True, or why sums up to ``greatest`` cannot be scaled by up to 2**shift in ``cf_scale_256``."""
    left = max(0, shift)
    if left > 7 or greatest >= 1 << (23 if left == 0 else min(23, 30 - left)):
        return f"sums reach {greatest:,}; times {max(K, 2 << left)} they leave 32 bits"
    return True


def pairs_fit(w: Int) -> bool | str:
    """True, or why weights (fours, 4, k) cannot be interleaved."""
    if _interleave(w).min() < -(1 << 15):
        return "a weight of -128 beside a negative one does not fit their common 16 bits"
    return True


def pairs_stream(w: Int, start: Int) -> Int:
    """Per four channels the words that ``cf_dense_four`` reads; w: (fours, 4, k); start: (fours, 4), times ``K``."""
    return np.concatenate([start[:, 0::2], _words(_interleave(w)), start[:, 1::2]], axis=1)


def dense_dsp_call(node: Node, operands: Operands, part: slice | None = None) -> Call:
    """Arguments of ``cf_fully_connected_s8_dsp`` and ``_wide``; ``part``: of these outputs alone, of a single row."""
    channels = dense_channels(node)
    form = prepared(node, "dense form", lambda: _cheapest(channels, node["y"].q.zp))
    low, high = dense_range(node)
    rows, columns = node["y"].type.size // node["w"].shape[0], node["w"].shape[1]
    first, end, _ = (part or slice(None)).indices(node["w"].shape[0])
    fours = first + fours_of(end - first)
    params: dict[str, int | float | tuple[int, ...]] = {
        "rows": rows,
        "in": columns,
        "out": end - first,
        "expands": int(operands != "bytes"),
        "shift": form.shift,
        "rounding": form.rounding,
        "act_min": low,
        "act_max": high,
    }
    words, where = _stream(channels.w, form, fours, operands == "wide")
    stream = Const("w", words, "weights", None if operands == "wide" else Coded(where, "lanes"))
    scratch = Scratch(0 if operands == "bytes" else -(-columns // 8) * 16)
    body = Function(_BODIES[operands] + form.name)
    return Call([Port("x"), stream, scratch, Port("y", offset=first), body], params, "cf_dense_dsp_params")


def _cheapest(channels: Channels, zero: int) -> _Form:
    """The cheapest form that holds for all channels; the last one always does."""
    stairs, start = channels.stairs, K * channels.start
    s = common_shift(channels.scales, K)
    if lines := _all(fold_line(c, K, s) for c in stairs) if s >= 0 else None:
        return _Form("line", start + _array(f.c for f in lines), _array(f.m for f in lines), None, s, 0)
    if two := _all(fold_two_lines(c, K, s) for c in stairs) if s >= 1 else None:
        c, m, j = (_array(getattr(f, name) for f in two) for name in ("c", "m", "j"))
        return _Form("two_lines", start + c, m, j, s, two_lines_rounding(zero, s))
    return _Form("exact", start, _array(c.m for c in stairs), _array(c.shift for c in stairs), 0, zero)


def _all(items: Iterable[Found | None]) -> list[Found] | None:
    """The items, or None as soon as one of them is missing."""
    found: list[Found] = []
    for item in items:
        if item is None:
            return None
        found.append(item)
    return found


def _array(numbers: Iterable[int]) -> Int:
    return np.fromiter(numbers, np.int64)


def fours_of(out: int) -> Int:
    """Channels of each four: (fours, 4). The second four overlap the first; fewer than four channels are repeated."""
    first = [0] if out % 4 else []
    begins = np.array(first + list(range(out % 4, out - 3, 4)), np.int64)
    return np.minimum(begins[:, None] + np.arange(4), out - 1)


def _interleave(w: Int) -> Int:
    """(fours, 4, k) to (fours, 2, k): lanes of two channels each."""
    return K * w[:, 0::2] + w[:, 1::2]


def _stream(w: Int, form: _Form, fours: Int, wide: bool) -> tuple[Array, Array]:
    """The stream, and which words of it are weights."""
    start, m = form.start[fours], form.m[fours]
    after = [m] if form.extra is None else [m, form.extra[fours]]
    parts = [start, _words(K * w[fours])] if wide else [pairs_stream(w[fours], start)]
    words = np.concatenate([*parts, *after], axis=1).astype(np.int32)
    others = 4 * len(after) + 4
    before = 4 if wide else 2
    where = np.zeros(words.shape, np.bool_)
    where[:, before : before + words.shape[1] - others] = True
    return words.reshape(-1), where.reshape(-1)


def _words(lanes: Int) -> Int:
    """(fours, n, k) int16 lanes as words (fours, k/2 * n): of four k the words (0, 2) and (1, 3), n channels each."""
    fours, n, k = lanes.shape
    padded = np.zeros((fours, n, -(-k // 8) * 8), np.int64)
    padded[:, :, :k] = lanes
    quads = padded.reshape(fours, n, -1, 2, 2)  # ..., four k as [low or high][even or odd]
    words = (quads[:, :, :, 0] & 0xFFFF) | quads[:, :, :, 1] << 16
    return words.reshape(fours, n, -1).transpose(0, 2, 1).reshape(fours, -1)
