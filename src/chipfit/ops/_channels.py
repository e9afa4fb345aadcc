"""Layers of weighted sums as their output channels see them: what the proofs of the fast kernels start from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from chipfit.fixedpoint import Int
from chipfit.graph import Array, Node
from chipfit.ops._fold import Staircase


@dataclass(frozen=True)
class Channels:
    """Output channels of a layer: ``acc = sum(q * w) + start`` with ``q`` the stored inputs.

    w: (out, taps); start: (out,), the bias with the share of the input's zero point, so that no zero point is left to
    subtract (taps outside of the input hold the zero point); stairs: from the accumulator to the output, per channel.
    """

    w: Int
    start: Int
    stairs: tuple[Staircase, ...]

    @property
    def scales(self) -> list[float]:
        return [s.scale for s in self.stairs]

    @property
    def greatest(self) -> int:
        """The greatest magnitude that any accumulator reaches."""
        return max(max(abs(s.acc_min), abs(s.acc_max)) for s in self.stairs)


def constant_operands(node: Node) -> bool | str:
    """True, or why weights cannot be prepared at compile time."""
    w, b = node["w"], node.get("b")
    return True if w.is_const and (b is None or b.is_const) else "the weights are computed at run time"


def channels_of(node: Node, w: Array, m: Array, shift: Array, act_range: tuple[int, int]) -> Channels:
    """``w``: (out, taps); ``m``, ``shift``: the output multipliers, one for each channel or one for all."""
    x, y, b = node["x"], node["y"], node.get("b")
    weights = w.astype(np.int64)
    bias = np.zeros(len(w), np.int64) if b is None else b.array.astype(np.int64)
    low, high = x.dtype.range
    start = bias - x.q.zp * weights.sum(axis=1)
    acc_min = start + np.minimum(weights * low, weights * high).sum(axis=1)
    acc_max = start + np.maximum(weights * low, weights * high).sum(axis=1)
    numbers = np.broadcast_arrays(m.astype(np.int64), shift.astype(np.int64), acc_min, acc_max)
    stairs = tuple(
        Staircase(m_, s_, y.q.zp, *act_range, least, most)
        for m_, s_, least, most in zip(*(a.tolist() for a in numbers), strict=True)
    )
    return Channels(weights, start, stairs)
