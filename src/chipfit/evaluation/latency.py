"""How long a single run takes on this computer."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from chipfit.evaluation.figures import Latency

_SECONDS = 0.5
_RUNS = (7, 300)
"""Single runs that are timed for about so long, but at least and at most so many."""

Run = Callable[[], Any]


def latencies(runs: Sequence[tuple[str, Run]], progress: Callable[[int, int], None]) -> list[Latency]:
    """``runs``: each with what runs it. They take turns: whatever else the computer does meets all of them."""
    counts = [_affordable(run) for _, run in runs]
    times: list[list[float]] = [[] for _ in runs]
    for k in range(max(counts, default=0)):
        progress(k, max(counts))
        for (_, run), count, mine in zip(runs, counts, times, strict=True):
            if k < count:
                mine.append(_timed(run))
    return [_latency(mine, engine) for mine, (engine, _) in zip(times, runs, strict=True)]


def _affordable(run: Run) -> int:
    once = min(_timed(run) for _ in range(3))  # the first ones warm up
    least, most = _RUNS
    return max(least, min(most, round(_SECONDS / max(once, 1e-9))))


def _timed(run: Run) -> float:
    started = time.perf_counter()
    run()
    return time.perf_counter() - started


def _latency(times: list[float], engine: str) -> Latency:
    low, median, high = (float(q) for q in np.quantile(times, (0.25, 0.5, 0.75)))
    return Latency(median, low, high, len(times), engine, f"measured (host: {engine}, 1 thread)")
