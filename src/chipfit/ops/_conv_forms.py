"""Requantization of a convolution for cores with DSP instructions: the cheapest proven form of each channel pair.

The C side is runtime/include/cf_tile_conv.h, which states what each form computes and which numbers it needs.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from chipfit.fixedpoint import requantize
from chipfit.graph import Node
from chipfit.ops._activation import activation_range
from chipfit.ops._channels import Channels, channels_of
from chipfit.ops._fold import Line, Staircase, TwoLines, fold_line, fold_two_lines, two_lines_rounding
from chipfit.ops._prepared import prepared
from chipfit.ops._window import output_multipliers

K = 256
"""What weights are multiplied by, which gives the accumulator as many parts of one."""

SHIFTS = (12, 8)
"""Shifts for which there is a tile. A smaller shift has coarser multipliers, a larger one no room for large scales."""

LINE, TWO_LINES, PLAIN = range(3)
_COST = (2, 4, 6)  # instructions for one output
_GREATEST_RIGHT = 23


def conv_channels(node: Node) -> Channels:
    """The output channels of a convolution, w as (out, kh * kw * in)."""

    def make() -> Channels:
        w, y = node["w"], node["y"]
        act_range = activation_range(node.op.attributes()["act"], y.dtype, y.q)
        m, shift = output_multipliers(node["x"], w, y, w.shape[0])
        return channels_of(node, w.array.reshape(w.shape[0], -1), m, shift, act_range)

    return prepared(node, "channels", make)


def plain_reason(channel: Staircase) -> str | None:
    """Why the plain form, which any channel falls back to, cannot be used for one; None if it can."""
    if channel.acc_min == channel.acc_max:
        return None
    greatest = max(abs(channel.acc_min), abs(channel.acc_max))
    if greatest >= 1 << 23:
        return f"accumulators reach {greatest:,}; times {K} they leave 32 bits"
    if -channel.shift > _GREATEST_RIGHT and greatest >= 1 << 22:
        return f"a channel is scaled by {channel.scale:.3g}, with accumulators of {greatest:,}"
    if channel.m and channel.shift >= 0:
        return f"a channel is scaled by {channel.scale:.3g}, which is not less than 0.5"
    return None


@dataclass(frozen=True)
class Channel:
    """One output channel, ``acc = sum(q * w) + start``."""

    stairs: Staircase
    start: int
    s: int

    @cached_property
    def constant(self) -> int | None:
        """The output if it is the same for every input."""
        c = self.stairs
        if c.acc_min != c.acc_max:
            return None
        return int(requantize(c.acc_min, c.m, c.shift, c.zero, c.low, c.high))

    @cached_property
    def line(self) -> Line | None:
        return fold_line(self.stairs, K, self.s) if self._scale_fits else None

    @cached_property
    def two_lines(self) -> TwoLines | None:
        return fold_two_lines(self.stairs, K, self.s) if self._scale_fits else None

    @property
    def _scale_fits(self) -> bool:
        return self.stairs.scale * 2.0 ** (32 + self.s) / K < 2**31 - 1

    @property
    def form(self) -> int:
        """The cheapest form that holds."""
        if self.constant is not None or self.line is not None:
            return LINE
        return PLAIN if self.two_lines is None else TWO_LINES

    def holds(self, form: int) -> bool:
        if self.constant is not None or form == PLAIN:
            return True
        return (self.line if form == LINE else self.two_lines) is not None

    def numbers(self, form: int) -> tuple[int, tuple[int, ...]]:
        """Where the accumulator starts, and m with the form's own numbers, without those that pairs share."""
        base = K * self.start
        if self.constant is not None:
            return _constant_numbers(self.constant, form, self.s, self.stairs.zero)
        if form == LINE and self.line is not None:
            return base + self.line.c, (self.line.m,)
        if form == TWO_LINES and self.two_lines is not None:
            return base + self.two_lines.c, (self.two_lines.m, self.two_lines.j)
        # beyond 23 bits the rounded product, below 2**22, gives 0 as with 23
        right = min(max(-self.stairs.shift, 1), _GREATEST_RIGHT)
        return base, (self.stairs.m, (self.stairs.zero << right) + (1 << (right - 1)), right)


def _constant_numbers(value: int, form: int, s: int, zero: int) -> tuple[int, tuple[int, ...]]:
    """Numbers with which a sum of nothing gives ``value``: the weights of such a channel are all 0."""
    if form == PLAIN:
        return 0, (0, value, 0)
    wanted = (value << s) + (1 << (s - 1))  # what the shift makes ``value`` of
    if form == LINE:
        return wanted * 4, (1 << 30,)
    return (wanted - two_lines_rounding(zero, s)) * 4, (1 << 30, 0)


@dataclass(frozen=True)
class Pair:
    """Two channels with a form that holds for both; ``only`` is one channel, paired with itself."""

    a: Channel
    b: Channel
    form: int

    def words(self) -> tuple[int, int, list[int]]:
        """C_A, C_B, and what comes after the weights."""
        (c_a, of_a), (c_b, of_b) = self.a.numbers(self.form), self.b.numbers(self.form)
        after = [number for both in zip(of_a, of_b, strict=True) for number in both]
        if self.form == TWO_LINES:
            after.append(two_lines_rounding(self.a.stairs.zero, self.a.s))
        return c_a, c_b, after


def _pair(a: Channel, b: Channel) -> Pair:
    form = max(a.form, b.form)
    return Pair(a, b, form if a.holds(form) and b.holds(form) else PLAIN)


def pairs_of(stairs: tuple[Staircase, ...], start: list[int]) -> tuple[int, list[Pair]]:
    """The shift for the layer, and its channels in pairs; the last of an odd number stands with itself."""
    best: tuple[int, list[Pair]] | None = None
    least = 0
    for s in SHIFTS:
        channels = [Channel(c, first, s) for c, first in zip(stairs, start, strict=True)]
        pairs = [_pair(a, b) for a, b in _two_by_two(channels)]
        cost = sum(_COST[pair.form] for pair in pairs)
        if best is None or cost < least:
            best, least = (s, pairs), cost
        if all(pair.form != PLAIN for pair in pairs):
            break
    assert best is not None
    return best


def _two_by_two(channels: list[Channel]) -> Iterator[tuple[Channel, Channel]]:
    for i in range(0, len(channels), 2):
        yield channels[i], channels[min(i + 1, len(channels) - 1)]
