"""3x3 convolution by Winograd's method along the rows, on cores with DSP instructions: weights and proofs.

The C side is runtime/include/cf_tile_winograd.h, which states how the weights lie, and cf_tile_winograd_rows.h.

A tile is ``m`` neighbouring output pixels of a row. With d its ``m + 2`` input pixels and g a row of the kernel, its
outputs are ``outputs @ ((weights @ g) * (inputs @ d)) / factor``, for any numbers: the sums over kernel rows and input
channels are taken inside, before ``outputs``. Integers throughout and nothing is divided: ``factor`` becomes a part of
k, the multiple of the accumulator that the requantization starts from (see _fold.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from chipfit.fixedpoint import Int
from chipfit.graph import Array, Node
from chipfit.ops._activation import activation_range
from chipfit.ops._base import Call, Const, Port, Scratch
from chipfit.ops._channels import Channels, constant_operands
from chipfit.ops._conv_forms import conv_channels
from chipfit.ops._fold import Staircase, fold_line, fold_two_lines, two_lines_rounding
from chipfit.ops._prepared import prepared

if TYPE_CHECKING:
    from chipfit.ops.conv2d import Conv2D


@dataclass(frozen=True)
class Winograd:
    """F(m, 3). Rows of ``inputs`` and ``weights`` are positions in the order in which the tile goes through them."""

    m: int
    factor: int
    k: int
    inputs: tuple[tuple[int, ...], ...]
    weights: tuple[tuple[int, ...], ...]
    outputs: tuple[tuple[int, ...], ...]


F23 = Winograd(
    2,
    factor=2,
    k=170,
    inputs=((0, 1, 1, 0), (0, -1, 1, 0), (1, 0, -1, 0), (0, 1, 0, -1)),
    weights=((1, 1, 1), (1, -1, 1), (2, 0, 0), (0, 0, -2)),
    outputs=((1, 1, 1, 0), (1, -1, 0, 1)),
)

F43 = Winograd(
    4,
    factor=24,
    k=240,
    inputs=(
        (0, -4, -4, 1, 1, 0),
        (0, 4, -4, -1, 1, 0),
        (0, -2, -1, 2, 1, 0),
        (0, 2, -1, -2, 1, 0),
        (4, 0, -5, 0, 1, 0),
        (0, 4, 0, -5, 0, 1),
    ),
    weights=((-4, -4, -4), (-4, 4, -4), (1, 2, 4), (1, -2, 4), (6, 0, 0), (0, 0, 24)),
    outputs=((1, 1, 1, 1, 1, 0), (1, -1, 2, -2, 0, 0), (1, 1, 4, 4, 0, 0), (1, -1, 8, -8, 0, 1)),
)
"""k: the largest multiple of ``factor`` with which weights of -128..127 stay inside of 16 bits."""

SHIFTS = (12, 8)
"""Shifts for which there is a tile. A smaller shift has coarser multipliers, a larger one no room for large scales."""

_UNSIGNED = 128
"""What the kernel adds to each stored input."""

_UNITS, _UNIT_BYTES = 12, 40
"""Units that the tile runs through in one go, and the code of one."""

_SCRATCH = 8192
"""Bytes of scratch that the kernels may ask for."""


# ---------------------------------------------------------------------------------------------- when


def winograd_reason(node: Node, f: Winograd) -> bool | str:
    """True, or why the kernel cannot be used, or is not better than others."""
    reason = constant_operands(node)
    if reason is not True:
        return reason
    op: Conv2D = node.op  # type: ignore[assignment]
    x, w, y = node["x"], node["w"], node["y"]
    if w.shape[1:3] != (3, 3) or op.stride != (1, 1) or op.dilation != (1, 1):
        return "it is for 3x3 kernels with stride and dilation 1"
    if x.shape[3] != w.shape[3]:
        return "it has groups"
    if x.shape[3] % 4 or w.shape[0] % 2:
        return "it is for a multiple of 4 input channels and an even number of output channels"
    if 2 * _columns(node, f) > 3 * y.shape[2]:
        return f"rows of {y.shape[2]} pixels fill tiles of {2 * f.m} badly"
    scratch = scratch_bytes(node, f)
    if scratch > _SCRATCH:
        return f"it needs {scratch:,} B of scratch, more than {_SCRATCH:,}"
    if _pairs(node, f) is None:
        return f"no cheap requantization is proven for all its channels with accumulators times {f.k}"
    return True


def _columns(node: Node, f: Winograd) -> int:
    """Output pixels of a row, filled up to whole pairs of tiles."""
    return -(-node["y"].shape[2] // (2 * f.m)) * 2 * f.m


def scratch_bytes(node: Node, f: Winograd) -> int:
    """Transformed rows, one row as it is, and outputs that have no place."""
    columns, in_c, y = _columns(node, f), node["x"].shape[3], node["y"]
    transformed = columns // f.m * len(f.inputs) * 3 * in_c * 2
    outputs = 0 if y.shape[2] == columns else 2 * f.m * y.shape[3]
    return transformed + (columns + 2) * in_c + outputs


# ---------------------------------------------------------------------------------------------- proof


@dataclass(frozen=True)
class Form:
    """What the accumulator of a channel starts from, less k times its own start, and the numbers of its form."""

    c: int
    numbers: tuple[int, ...]


def _line(channel: Staircase, k: int, s: int) -> Form | None:
    found = fold_line(channel, k, s)
    return None if found is None else Form(found.c, (found.m,))


def _two_lines(channel: Staircase, k: int, s: int) -> Form | None:
    found = fold_two_lines(channel, k, s)
    return None if found is None else Form(found.c, (found.m, found.j))


def _pairs(node: Node, f: Winograd) -> tuple[int, list[tuple[Form, Form]]] | None:
    return prepared(node, ("pairs of channels", f.m), lambda: _proven(conv_channels(node), f.k))


def _proven(channels: Channels, k: int) -> tuple[int, list[tuple[Form, Form]]] | None:
    """A shift, and for each pair of channels the cheapest form that holds for both; None if a pair has none."""
    for s in SHIFTS:
        pairs: list[tuple[Form, Form]] = []
        if max(channels.scales) * 2.0 ** (32 + s) / k >= 2**31 - 1:
            continue
        for a, b in zip(channels.stairs[::2], channels.stairs[1::2], strict=True):
            pair = next(
                (
                    (of_a, of_b)
                    for form in (_line, _two_lines)
                    if (of_a := form(a, k, s)) is not None and (of_b := form(b, k, s)) is not None
                ),
                None,
            )
            if pair is None:
                break
            pairs.append(pair)
        else:
            return s, pairs
    return None


# ---------------------------------------------------------------------------------------------- call


def winograd_call(node: Node, f: Winograd) -> Call:
    """Arguments of ``cf_conv2d_s8_dsp_f23`` or ``_f43``."""
    op: Conv2D = node.op  # type: ignore[assignment]
    x, w, y = node["x"], node["w"], node["y"]
    channels = conv_channels(node)
    proven = _pairs(node, f)
    if proven is None:
        raise ValueError("the call of a kernel that cannot be used")
    s, pairs = proven
    units = 3 * x.shape[3] // 4
    first = (units - 2) % _UNITS + 1  # after the very first unit, before the next twelve
    low, high = activation_range(op.act, y.dtype, y.q)
    params: dict[str, int | float | tuple[int, ...]] = {
        "n": x.shape[0],
        "in_h": x.shape[1],
        "in_w": x.shape[2],
        "in_c": x.shape[3],
        "out_h": y.shape[1],
        "out_w": y.shape[2],
        "out_c": y.shape[3],
        "pad_top": op.pad[0],
        "pad_left": op.pad[1],
        "units": units,
        "skip": (_UNITS - first) * _UNIT_BYTES,
        "shift": s,
        "in_zero": x.q.zp,
        "act_min": low,
        "act_max": high,
    }

    def make_stream() -> Array:
        start = f.k * (channels.start - _UNSIGNED * channels.w.sum(axis=1))
        return _stream(_lanes(w.array, f), start.tolist(), pairs, y.q.zp, s, first)

    stream = prepared(node, ("stream", f.m), make_stream)
    args = [Port("x"), Const("w", stream, "weights"), Port("y"), Scratch(scratch_bytes(node, f))]
    return Call(args, params, "cf_winograd_params")


def _lanes(w: Array, f: Winograd) -> Int:
    """(out, 3, 3, in) to the words of the units: (pairs, positions, units, 4)."""
    out, _, _, in_c = w.shape
    u = np.einsum("pk,orkc->oprc", np.array(f.weights, np.int64) * (f.k // f.factor), w.astype(np.int64))
    words = u.reshape(out // 2, 2, len(f.weights), 3 * in_c // 4, 2, 2)  # (.., unit, lane, word): channels 0 1, 2 3
    packed = (words[..., 0, :] & 0xFFFF) | words[..., 1, :] << 16
    return packed.transpose(0, 2, 3, 1, 4).reshape(out // 2, len(f.weights), -1, 4)


def _stream(u: Int, start: list[int], pairs: list[tuple[Form, Form]], zero: int, s: int, first: int) -> Array:
    """All channel pairs in a row, as cf_tile_winograd.h states it."""
    stream: list[int] = []
    positions = u.shape[1]
    for i, (a, b) in enumerate(pairs):
        stream += [start[2 * i] + a.c, start[2 * i + 1] + b.c]
        is_two_lines = len(a.numbers) == 2
        for position in range(positions):
            units = u[i, position]
            for at in range(1 + first, len(units) + 1, _UNITS):
                begin = 0 if at == 1 + first else at - _UNITS
                stream += units[begin:at].reshape(-1).tolist()
                stream.append(0 if at < len(units) else position + 1)
        stream[-1] += is_two_lines
        stream += [number for both in zip(a.numbers, b.numbers, strict=True) for number in both]
        stream += [two_lines_rounding(zero, s)] if is_two_lines else []
        stream.append(int(i + 1 < len(pairs)))
    return np.array(stream, np.int64).astype(np.uint32).view(np.int32)
