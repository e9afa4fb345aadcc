"""Requantization on cores with MVE: the table of a layer's numbers, in the cheapest form that holds for all channels.

The C side is runtime/include/cf_mve.h, which states the forms.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from chipfit.graph import Array
from chipfit.ops._channels import Channels
from chipfit.ops._fold import common_shift, fold_line

LINE, RIGHT, ANY = range(3)
_FRACTION = 1 << 8
"""What sums are multiplied by in the one-line form, which gives them as many parts of one."""


@dataclass(frozen=True)
class Requantization:
    """``table``: int32, for each four channels their numbers, those of a kind side by side; ``right``: of LINE."""

    form: int
    right: int
    table: Array


def requantization(channels: Channels) -> Requantization:
    """The numbers of all channels; those that fill the last four up are 0."""
    stairs = channels.stairs
    right = common_shift(channels.scales, _FRACTION)
    lines = [fold_line(channel, _FRACTION, right) for channel in stairs] if right >= 0 else [None]
    if all(line is not None for line in lines):
        starts = [_FRACTION * int(start) for start in channels.start]
        numbers = [(start + line.c, line.m) for start, line in zip(starts, lines, strict=True) if line]
        if all(-(1 << 31) <= c < 1 << 31 for c, _ in numbers):
            return Requantization(LINE, right, _by_fours(numbers))
    form = RIGHT if all(channel.shift < 0 for channel in stairs) else ANY
    pairs = zip(channels.start.tolist(), stairs, strict=True)
    return Requantization(form, 0, _by_fours([(start, channel.m, channel.shift) for start, channel in pairs]))


def _by_fours(numbers: list[tuple[int, ...]]) -> Array:
    table = np.array(numbers, np.int64)
    padded = np.concatenate([table, np.zeros((-len(table) % 4, table.shape[1]), np.int64)])
    return padded.reshape(-1, 4, table.shape[1]).transpose(0, 2, 1).reshape(-1).astype(np.int32)
