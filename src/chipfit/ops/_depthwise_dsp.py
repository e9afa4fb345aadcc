"""DEPTHWISE_CONV_2D on cores with DSP instructions: how the image is cut, and one stream of weights and numbers.

The C side is runtime/kernels/cf_depthwise_conv2d_s8_dsp*.h and runtime/include/cf_tile_depthwise*.h. Four channels at a
time are copied to int16 planes; a line of a plane runs along one image axis, the other axis counts lines. Which is
which, and how many lines a band has, is decided here.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Protocol, cast
from weakref import WeakKeyDictionary

import numpy as np

from chipfit.fixedpoint import requantize
from chipfit.graph import Array, Node, Value
from chipfit.ops._activation import Activation, activation_range
from chipfit.ops._channels import Channels, channels_of
from chipfit.ops._coded import Coded
from chipfit.ops._fold import (
    Line,
    Staircase,
    TwoLines,
    common_shift,
    fold_line,
    fold_two_lines,
    two_lines_rounding,
)
from chipfit.ops._window import Pads, output_multipliers

SCRATCH_BYTES = 4096
"""The most that the planes of a band take, or 1/32 of the layer's tensors if that is more; one line at least."""

FORMS: dict[str, int | None] = {"": None, "2 KiB": 2048, "1 KiB": 1024, "single lines": 0, "single channels": 0}
"""The most that the planes of a band take in each form (:attr:`Kernel.form`), None: as above. The last form takes one
channel at a time instead of four."""

_FACTORS = (*range(256, 223, -1), 192, 128, 64, 32, 16, 8)
"""What weights are multiplied by, so that the start of a sum has fraction bits: the first that has a proof."""

_LONGEST_COLUMN = 160
"""Elements of a line that are within reach of the kernels' offsets in any case."""

_SHIFTS = (16, 12, 8, 4)
"""Shifts after the multiplication: few, so that layers of one shape can share their code."""


class Window(Protocol):
    """What is read of a depthwise convolution here."""

    stride: tuple[int, int]
    pad: Pads
    dilation: tuple[int, int]
    act: Activation


def window_of(node: Node) -> Window:
    return cast(Window, node.op)


@dataclass(frozen=True)
class Axes:
    """An image seen as lines: ``n`` elements of a line ``step`` bytes apart, ``lines`` of them ``line`` bytes apart.

    ``out_*``: the same of the output. ``pad``: before a line; ``lines_pad``: before the first line.
    """

    n: int
    step: int
    pad: int
    out_n: int
    out_step: int
    lines: int
    line: int
    lines_pad: int
    out_lines: int
    out_line: int

    @property
    def row(self) -> int:
        """Bytes of one line of four planes."""
        return 16 * -(-self.n // 2)


def axes_of(node: Node, along_rows: bool) -> Axes:
    """The image with its rows (``along_rows``) or its columns as lines."""
    _, h, w, c = node["x"].shape
    _, oh, ow, oc = node["y"].shape
    top, left = window_of(node).pad[:2]
    if along_rows:
        return Axes(w, c, left, ow, oc, h, w * c, top, oh, ow * oc)
    return Axes(h, w * c, top, oh, ow * oc, w, c, left, ow, oc)


def directions(node: Node) -> tuple[bool, ...]:
    """Which lines may be chosen from: rows (True), columns (False).

    An output of one row may be a part of an image that is computed row by row. All parts must be alike in all but what
    the kernel takes as variables, however many rows of padding each has: lines are rows, whose length is fixed. Only in
    an image of one column they are not: lines of one element would be a waste.
    """
    (_, h, w, _), kw = node["x"].shape, node["w"].shape[2]
    if w == kw == 1 and h <= _LONGEST_COLUMN:
        return (False,)
    return (True,) if node["y"].shape[1] == 1 else (True, False)


def scratch_limit(node: Node, form: str) -> int:
    """Bytes for the planes of a band, unless one line needs more."""
    limit = FORMS[form]
    return max(SCRATCH_BYTES, (node["x"].type.nbytes + node["y"].type.nbytes) // 32) if limit is None else limit


def larger_form(form: str) -> str | None:
    """The form with the next larger bands."""
    forms = list(FORMS)
    at = forms.index(form)
    return forms[at - 1] if at else None


def band_lines(out_lines: int, stride: int, span: int, line: int, limit: int) -> int:
    """Output lines of a band: as many as ``limit`` bytes hold of planes (``line`` bytes a line), then even bands."""
    most = max(1, (limit // line - span) // stride + 1)
    return -(-out_lines // -(-out_lines // most))


def planes_from(axes: Axes, odd: int) -> dict[str, int]:
    """The fields of ``cf_planes_from``."""
    units = (axes.n - odd) // 4
    unroll = min(units, 1 + (units % 2 == 0))  # two save 5 % of the copying; more would not pay for their code
    return {
        "from.n": axes.n,
        "from.step": axes.step,
        "from.line": axes.line,
        "from.odd": odd,
        "from.unroll": unroll,
        "from.loops": units // max(1, unroll),
    }


def lanes(low: int, high: int) -> int:
    return (low & 0xFFFF) | (high & 0xFFFF) << 16


def table(node: Node, streams: list[list[int]], exact: list[list[int]]) -> Array:
    """The zero point in the two ways that the copy to planes needs it, the streams, the numbers of exact channels."""
    zero = node["x"].q.zp
    head = [(zero & 0xFF) * 0x01010101, lanes(-zero, -zero)]
    words = np.array([word for part in (head, *streams, *exact) for word in part], np.int64)
    return (words & 0xFFFFFFFF).astype(np.uint32).view(np.int32)


def table_words(size: int, factors: list[int], stream: int, weights: slice) -> Coded:
    """Which of the ``size`` words of such a table are weights: those of each channel's stream of ``stream`` words,
    times its factor. A filter whose factor is 0 has no weights left."""
    where, of_word = np.zeros(size, np.bool_), np.zeros(size, np.int64)
    streams = slice(2, 2 + len(factors) * stream)
    of_word[streams].reshape(-1, stream)[:, weights] = np.array(factors)[:, None]
    where[streams] = of_word[streams] > 0
    return Coded(where, "scaled", of_word)


# ---------------------------------------------------------------------------------------------- requantization


@dataclass(frozen=True, eq=False)
class Form:
    """Requantization of each channel: its cheap form with the factor of its weights, None where there is none.

    ``is_two``: the form is that of two lines, else that of one. ``tables``: those made so far.
    """

    channels: Channels
    bias: list[int]
    lines: list[Line | TwoLines | None]
    k: list[int]
    shift: int
    is_two: bool
    tables: dict[Hashable, Array] = field(default_factory=dict[Hashable, Array])

    def table(self, key: Hashable, make: Callable[[], Array]) -> Array:
        """The table for a kernel, which ``make`` makes; the same array for the same key."""
        if key not in self.tables:
            self.tables[key] = make()
        return self.tables[key]

    @property
    def rounding(self) -> int:
        return two_lines_rounding(self.channels.stairs[0].zero, self.shift)

    @property
    def exacts(self) -> int:
        return sum(line is None for line in self.lines)

    def exact(self, i: int) -> list[int]:
        """Numbers of the plain form: bias, multiplier, shift, zero point, least, greatest output."""
        stair = self.channels.stairs[i]
        return [self.bias[i], stair.m, stair.shift, stair.zero, stair.low, stair.high]


_FORMS: WeakKeyDictionary[Value, dict[Hashable, Form]] = WeakKeyDictionary()


def form_of(node: Node) -> Form:
    """The proofs of a node; kept by its weights, since parts of an image share them."""
    x, w, y, b = node["x"], node["w"], node["y"], node.get("b")
    forms = _FORMS.setdefault(w, {})
    key = (b, x.type.quant, y.type.quant, window_of(node).act)
    if key not in forms:
        forms[key] = _prove(node)
    return forms[key]


def _prove(node: Node) -> Form:
    """One line for most channels, or two lines for most channels; the rest is exact."""
    x, w, y, b = node["x"], node["w"], node["y"], node.get("b")
    out = w.shape[3]
    m, shift = output_multipliers(x, w, y, out)
    limits = activation_range(window_of(node).act, y.dtype, y.q)
    channels = channels_of(node, w.array.reshape(-1, out).T, m, shift, limits)
    bias = [0] * out if b is None else b.array.astype(np.int64).tolist()
    s = next((s for s in _SHIFTS if s <= common_shift(channels.scales, _FACTORS[0])), 0)
    if limits != y.dtype.range:  # the cheap forms clamp to int8 and to nothing else
        s = 0
    quick = [fold_line(stair, _FACTORS[0], s) if s else None for stair in channels.stairs]
    if s and 2 * quick.count(None) > out:
        two = [_fold(stair, s, True) for stair in channels.stairs]
        if any(fold is not None for fold, _ in two):
            return Form(channels, bias, [fold for fold, _ in two], [k for _, k in two], s, True)
    one = [
        (line, _FACTORS[0]) if line is not None else _fold(stair, s, False)
        for line, stair in zip(quick, channels.stairs, strict=True)
    ]
    return Form(channels, bias, [fold for fold, _ in one], [k for _, k in one], s or _SHIFTS[-1], False)


def _fold(stair: Staircase, s: int, is_two: bool) -> tuple[Line | TwoLines | None, int]:
    """The cheap form of a channel and the factor of its weights; without a proof None and 1."""
    if not s:
        return None, 1
    ends = requantize(np.array([stair.acc_min, stair.acc_max]), stair.m, stair.shift, stair.zero, stair.low, stair.high)
    if ends[0] == ends[1]:  # a dead filter: the output is a constant
        y, m = int(ends[0]), 1 << 30
        return (TwoLines(m, (y - stair.zero) << (s + 2), 0) if is_two else Line(m, y << (s + 2))), 0
    for k in _FACTORS:
        fold = fold_two_lines(stair, k, s) if is_two else fold_line(stair, k, s)
        if fold is not None:
            return fold, k
    return None, 1
