"""Learning for each weight whether it is rounded up or down, so that a layer's output stays that of the float layer.

Source: Nagel et al., Up or Down? Adaptive Rounding for Post-Training Quantization (2020). The inputs are those that the
integer layers before give, the target is the float layer's output, and both are compared behind the activation.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import cycle

import numpy as np

from chipfit.graph import Array

POSITIONS = 8192
"""Output positions that are sampled for each layer."""

ITERATIONS = 500
BATCH = 256
"""Positions of an iteration."""

HELD_BACK = 0.2
"""Share of the positions, those of the last samples, that only judge what was learnt on the others."""

LEARNING_RATE = 0.01
_MOMENTS = (0.9, 0.999)
_TINY = 1e-12

_STRETCH = (-0.1, 1.1)
"""The sigmoid is stretched to these and clipped, so that it can reach 0 and 1."""

WARM_UP = 0.2
"""Share of the iterations before weights are pushed to 0 or 1."""

_SHARPNESS = (20.0, 2.0)
"""Exponent of the push, first and last: in the beginning only weights near 0 or 1 feel it."""

_PUSH = 1.0
"""Of a channel whose weights all lie between 0 and 1, relative to its error when they are rounded to the nearest."""

_BIAS_RATE = 0.1
"""How fast biases follow the mean error of a batch."""


@dataclass(frozen=True)
class Sums:
    """What a layer computes at some positions, and what it should.

    ``columns``: (groups, positions, columns), real numbers as the integer model has them, less their mean; ``target``:
    (groups, positions, channels), sums of the float layer with its bias; ``bounds``: of the output.
    """

    columns: Array
    target: Array
    bounds: tuple[float, float]

    def part(self, positions: slice | Array) -> Sums:
        return Sums(self.columns[:, positions], self.target[:, positions], self.bounds)

    def clipped(self, x: Array) -> Array:
        return np.clip(x, *self.bounds)

    def of(self, w: Array) -> Array:
        """(groups, positions, channels), without bias. ``w``: (groups, channels, columns), real numbers."""
        return self.columns @ w.transpose(0, 2, 1)

    def errors(self, w: Array, b: Array) -> Array:
        """Mean square behind the activation, (groups, channels)."""
        return np.square(self.clipped(self.of(w) + b) - self.clipped(self.target)).mean(axis=1)


def adaround(w: Array, scales: Array, start: Array, sums: Sums, iterations: int = ITERATIONS) -> Array:
    """Integers that keep a layer's output closer than ``start`` does, channel by channel; else those of ``start``.

    ``w``: (groups, channels, columns), real numbers; ``scales``: (groups, channels); ``start``: int8 in the shape of
    ``w``; ``sums``: positions in the order of the samples. Returns int8 like ``start``.
    """
    count = sums.columns.shape[1]
    kept = max(1, round((1.0 - HELD_BACK) * count))
    centred = Sums(sums.columns - sums.columns[:, :kept].mean(axis=1, keepdims=True), sums.target, sums.bounds)
    fit, judge = centred.part(slice(0, kept)), centred.part(slice(min(kept, count - 1), None))
    unit = scales[..., None].astype(np.float32)
    learnt = _learn(w, unit, fit, iterations)
    before, after = (judge.errors(q * unit, _bias(q * unit, fit)) for q in (start, learnt))
    return np.where((after < before)[..., None], learnt, start).astype(np.int8)


def _bias(w: Array, sums: Sums) -> Array:
    """(groups, 1, channels): the bias for which the means behind the activation are those of the target."""
    b = sums.target.mean(axis=1, keepdims=True)
    have, wanted = sums.of(w), sums.clipped(sums.target).mean(axis=1, keepdims=True)
    for _ in range(4):
        b = b + wanted - sums.clipped(have + b).mean(axis=1, keepdims=True)
    return b


def _learn(w: Array, unit: Array, sums: Sums, iterations: int) -> Array:
    """int8 in the shape of ``w``: each real weight in units of its scale, rounded up or down."""
    real = (w / unit).astype(np.float32)
    low = np.clip(np.floor(real), -127, 126)
    share = (np.clip(real - low, 0.01, 0.99) - _STRETCH[0]) / (_STRETCH[1] - _STRETCH[0])
    b = sums.target.mean(axis=1, keepdims=True)
    nearest = sums.errors(np.clip(np.rint(real), -127, 127) * unit, b)[..., None]
    weight = np.where(nearest > 0, 1.0 / np.maximum(nearest, 1e-30), 0.0).astype(np.float32)
    adam = _Adam(np.log(share / (1.0 - share)))
    for t, batch in zip(range(1, iterations + 1), _batches(sums), strict=False):
        sigmoid = 1.0 / (1.0 + np.exp(-adam.x))
        stretched = sigmoid * (_STRETCH[1] - _STRETCH[0]) + _STRETCH[0]
        up = np.clip(stretched, 0.0, 1.0)
        # where both sides are clipped at the same end, the error is 0: no other gradient of the clamp is needed
        error = batch.clipped(batch.of((low + up) * unit) + b) - batch.clipped(batch.target)
        b = b - _BIAS_RATE * error.mean(axis=1, keepdims=True)
        slope = error.transpose(0, 2, 1) @ batch.columns
        slope *= unit * weight * np.float32(2.0 / error.shape[1])
        slope += _push(up, t / iterations)
        slope *= (stretched == up) * sigmoid * (1.0 - sigmoid) * (_STRETCH[1] - _STRETCH[0])
        adam.step(slope)
    return np.clip(low + (adam.x > 0), -127, 127).astype(np.int8)


def _push(up: Array, progress: float) -> Array | float:
    """Slope of ``_PUSH`` times the mean of 1 - |2 up - 1| ** sharpness over a channel's weights."""
    done = (progress - WARM_UP) / (1.0 - WARM_UP)
    if done <= 0.0:
        return 0.0
    first, last = _SHARPNESS
    power = last + 0.5 * (first - last) * (1.0 + np.cos(np.pi * done))
    side = 2.0 * up - 1.0
    return np.sign(side) * np.abs(side) ** np.float32(power - 1.0) * np.float32(-2.0 * power * _PUSH / up.shape[2])


def _batches(sums: Sums) -> Iterator[Sums]:
    """All positions in a random order, part after part, again and again."""
    count = sums.columns.shape[1]
    mixed = sums.part(np.random.default_rng(0).permutation(count))  # once, so that parts lie in memory as they are read
    size = min(BATCH, count)
    parts = [mixed.part(slice(start, start + size)) for start in range(0, count - size + 1, size)]
    return cycle(parts)


class _Adam:
    """Source: Kingma and Ba, Adam: a method for stochastic optimization (2015)."""

    def __init__(self, x: Array) -> None:
        self.x = x
        self._mean, self._square = np.zeros_like(x), np.zeros_like(x)
        self._steps = 0

    def step(self, slope: Array) -> None:
        self._steps += 1
        first, second = _MOMENTS
        self._mean += (slope - self._mean) * np.float32(1.0 - first)
        self._square += (slope * slope - self._square) * np.float32(1.0 - second)
        rate = LEARNING_RATE * (1.0 - second**self._steps) ** 0.5 / (1.0 - first**self._steps)
        self.x -= np.float32(rate) * self._mean / (np.sqrt(self._square) + np.float32(_TINY))
