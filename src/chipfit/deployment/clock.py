"""The time that advice may take, and what a candidate will take of it."""

from __future__ import annotations

import time
from collections.abc import Generator
from contextlib import contextmanager

PROGRAM = 2.5
"""Seconds to compile a program of a few dozen layers, measured on a server of two cores."""

BUILD = 2.5
"""Seconds to build a network in Keras, and to quantize it, its size aside."""

PER_MAC = 30e-9
"""Seconds on the emulated chip; as much again for a network that is quantized first."""


class Clock:
    """``until``: when (monotonic) ``limit`` seconds from now are over.

    What a candidate takes is estimated by its multiply-accumulates. The estimates grow with the slowest candidate that
    was measured: computers differ, and may be busy. ``took``: seconds, and multiply-accumulates, of what was computed
    before.
    """

    def __init__(self, limit: float, *took: tuple[float, int]) -> None:
        self._started = time.monotonic()
        self.until = self._started + limit
        self._slowness = max([1.0, *(seconds / _expected(macs, False) for seconds, macs in took)])

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._started

    def has_time(self, macs: int, *, builds: bool) -> bool:
        """Whether a candidate, which Keras ``builds`` or not, will be computed in time: for its first goal."""
        return time.monotonic() + self._slowness * _expected(macs, builds) <= self.until

    @contextmanager
    def watching(self, macs: int, *, builds: bool) -> Generator[None]:
        """While a candidate is computed, for one goal or more."""
        started = time.monotonic()
        yield
        self._slowness = max(self._slowness, (time.monotonic() - started) / _expected(macs, builds))


def _expected(macs: int, builds: bool) -> float:
    return PROGRAM + PER_MAC * macs + (BUILD + PER_MAC * macs if builds else 0.0)
