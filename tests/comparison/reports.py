"""Reports of comparisons with figures that are made up."""

from __future__ import annotations

import random
from collections.abc import Collection, Sequence
from dataclasses import replace

from chipfit.comparison import Accuracy, Change, CompareReport, Entry, Judged, OnBoard
from chipfit.comparison.report import is_on_front
from chipfit.evaluation import Difference
from chipfit.evaluation.statistics import share_of

_SAMPLES, _FIRST = 412, 396


def made_up(
    count: int,
    boards: Sequence[str],
    *,
    groups: int = 1,
    energy: bool = False,
    seed: int = 0,
    large: Collection[tuple[int, int]] = (),
) -> CompareReport:
    """``groups``: of samples, in turn. ``large``: models, by their place, that do not fit a board, by its place."""
    rng = random.Random(seed)
    entries: list[Entry] = []
    for k in range(count):
        right = _FIRST if k == 0 else rng.randint(370, 410)
        apart = Difference("model0", f"model{k}", 9, 9, 0.5, abs(right - _FIRST) < 4)
        is_apart = k > 0 and k % groups == 0
        accuracy = Accuracy(
            k % groups, share_of(right + 2, _SAMPLES) if k % 2 == 0 else None, share_of(right, _SAMPLES),
            100 * (right - _FIRST) / _SAMPLES if is_apart else None, apart if is_apart else None,
        )  # fmt: skip
        found: list[OnBoard] = []
        for place, board in enumerate(boards):
            is_large = (k, place) in large
            flash, ram, run = (int(rng.uniform(0.5, 2) * n) for n in (60_000, 30_000, 4_000_000))
            problem = "RAM needs 300.0 KiB of 256.0 KiB" if is_large else ""
            speed = (None, None, None) if is_large else (run, run / 64e3, run / 4e6 if energy else None)
            found.append(OnBoard(board, "balanced", "plain", flash, ram, not is_large, *speed, problem=problem))
        entries.append(
            Entry(
                f"model{k}", f"runs/model{k}", "run", "ds_cnn 0.25, 32x32 RGB", f"runs/model{k}/net.tflite", None,
                200_000 + k, 4_000_000, accuracy, "", tuple(found),
            )
        )  # fmt: skip
    whole = tuple(entries)
    held = tuple(
        replace(
            entry,
            boards=tuple(
                replace(
                    b,
                    against=None if entry is whole[0] else Change.between(whole[0].boards[i], b),
                    on_front=is_on_front(entry, whole, i),
                )
                for i, b in enumerate(entry.boards)
            ),
        )
        for entry in whole
    )
    judged = tuple(
        Judged(f"pictures/photos{g}", "validation pictures: 20 % of each class, seed 0", _SAMPLES)
        for g in range(groups)
    )
    return CompareReport(
        tuple(boards), held, judged, ("a note",), None, (), f"chipfit deploy runs/model0 -b {boards[0]}", 12.0
    )
