"""Layers on int16 with int8 weights for cores with DSP instructions: which form their sums take, and its stream.

The C side is runtime/include/cf_tile_s16.h, which states both forms. The narrow one is exact: a multiplier has 15 bits,
so that it fits a word even when it is multiplied by the power of two that makes one shift do for all channels, and a
sum is scaled, rounded and shifted with nothing lost on the way. It asks for sums of 32 bits and for scales that are
less than a quarter and not too far apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from chipfit.fixedpoint import Int
from chipfit.graph import Array, Node
from chipfit.ops._channels import constant_operands
from chipfit.ops._layers_s16 import has_bias32, multipliers_s16, range_s16
from chipfit.ops._prepared import prepared

_LIMIT = 1 << 31
_ROOM = 16
"""Bits by which a multiplier of 15 bits may be shifted up."""


@dataclass(frozen=True, eq=False)
class Sums:
    """Output channels of a layer: ``acc = sum(x * w) + start``, scaled by ``m * 2**-right`` with 15 bits of m.

    ``narrow``: the shift of the narrow form, or the reason why the layer has none.
    """

    w: Int
    start: Int
    m: Int
    right: Int

    @property
    def narrow(self) -> int | str:
        greatest = int((np.abs(self.w).sum(axis=1) * (1 << 15) + np.abs(self.start)).max())
        if greatest >= _LIMIT:
            return f"sums reach {greatest:,}, which 32 bits do not hold"
        rights = self.right[self.m > 0]
        least, most = int(rights.min(initial=1 << 10)), int(rights.max(initial=0))
        if not len(rights):
            return 1
        if least <= _ROOM:
            return "a channel scales its sums by a quarter or more"
        if most > least + _ROOM:
            return "the scales of the channels are too far apart for one shift"
        return least + _ROOM - 32

    @property
    def is_narrow(self) -> bool:
        return isinstance(self.narrow, int)

    @property
    def shift(self) -> int:
        """That of the narrow form, 0 if there is none."""
        return self.narrow if isinstance(self.narrow, int) else 0

    def tables(self) -> tuple[Int, Int]:
        """Words of each channel: before its weights (the start), and behind them (the multiplier)."""
        if self.is_narrow:
            up = np.where(self.m > 0, 32 + self.shift - self.right, 0)
            return self.start[:, None], (self.m << up)[:, None]
        low, high = self.start & 0xFFFFFFFF, self.start >> 32
        return np.stack([low, high], axis=1), np.stack([self.m, 15 - self.right], axis=1)


def sums_reason(node: Node) -> bool | str:
    """True, or why the weights of a layer cannot be prepared for the kernels with DSP instructions."""
    if has_bias32(node):
        return "its bias and sums have 32 bits, which are rounded in another way"
    return constant_operands(node)


def sums_of_layer(node: Node, axis: int) -> Sums:
    """``axis``: of the output channels in the weights; each channel's taps are in the order of the weights."""

    def make() -> Sums:
        w, b = node["w"], node.get("b")
        taps = np.moveaxis(w.array.astype(np.int64), axis, 0).reshape(w.shape[axis], -1)
        start = np.zeros(len(taps), np.int64) if b is None else b.array.astype(np.int64)
        m, shift = multipliers_s16(node)
        return Sums(taps, start, m.astype(np.int64), 15 - shift.astype(np.int64))

    return prepared(node, "sums of int16", make)


def layer_fields(node: Node, sums: Sums, fours: int) -> tuple[int, ...]:
    """The fields of ``cf_s16_layer``."""
    return (len(sums.w), fours, sums.shift, *range_s16(node))


def rows_stream(node: Node, sums: Sums, group: int) -> Array:
    """The stream with ``group`` channels beside each other: starts, weights four by four, multipliers."""

    def make() -> Array:
        out, columns = sums.w.shape
        groups, fours = -(-out // group), -(-columns // 4)
        w = np.zeros((groups * group, 4 * fours), np.int64)
        w[:out, :columns] = sums.w
        words = as_words(w.reshape(groups, group, fours, 4)).transpose(0, 2, 1)
        before, after = (_filled(t, groups * group).reshape(groups, group, -1) for t in sums.tables())
        # starts of 64 bits stay together; numbers behind the weights come number by number
        return joined([before, words, after.transpose(0, 2, 1)])

    return prepared(node, ("stream of int16", group), make)


def as_words(fours: Int) -> Int:
    """(..., 4) weights as words, in the order in which their halves become pairs: bytes 0, 2, 1, 3."""
    return sum((fours[..., lane] & 0xFF) << (8 * at) for lane, at in ((0, 0), (1, 2), (2, 1), (3, 3)))  # type: ignore[return-value]


def joined(parts: Sequence[Int]) -> Array:
    """(groups, ...) parts as one stream of words, group by group."""
    stream = np.concatenate([p.reshape(len(p), -1) for p in parts], axis=1)
    return (stream & 0xFFFFFFFF).astype(np.uint32).reshape(-1)


def _filled(table: Int, channels: int) -> Int:
    """Numbers of nothing for channels that are not there."""
    return np.concatenate([table, np.zeros((channels - len(table), table.shape[1]), np.int64)])
