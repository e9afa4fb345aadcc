"""How many channels of each group go, so that a budget is kept and the least is lost."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from chipfit.compress.channels.costs import Aspect, Costs
from chipfit.compress.channels.sensitivity import Curve
from chipfit.compress.channels.structure import Group, Structure
from chipfit.errors import ChipfitError
from chipfit.fixedpoint import Int
from chipfit.graph import Array

MULTIPLE = 4
"""Kernels take so many channels at once."""
LEAST_SHARE = 0.1
"""Of a group's channels that stay in any case."""


def allocate(
    structure: Structure,
    order: Mapping[str, Int],
    curves: Mapping[str, Curve],
    costs: Costs,
    limits: Mapping[Aspect, float],
    least_share: float = LEAST_SHARE,
) -> dict[str, int]:
    """Numbers of channels that go, by group: step by step where a step costs the least loss for what it saves.

    A group whose number of channels is a multiple of 4 keeps one. Raises ChipfitError N006 where the budget cannot be
    kept.
    """
    removed = {group.name: 0 for group in structure.open_groups}
    gone = np.zeros(structure.count, bool)
    now = costs.of(gone, limits)
    while over := {a: limit for a, limit in limits.items() if now[a] > limit}:
        best: tuple[float, Group, int, dict[Aspect, float]] | None = None
        for group in structure.open_groups:
            name, before = group.name, removed[group.name]
            after = _next(group, before, least_share)
            if after is None:
                continue
            step = order[name][before:after]
            gone[step] = True
            then = costs.of(gone, limits)
            gone[step] = False
            saved = sum((now[a] - then[a]) / costs.base[a] for a in over)
            if saved <= 0:
                continue
            price = (curves[name].at(after) - curves[name].at(before)) / saved
            if best is None or price < best[0]:
                best = (price, group, after, then)
        if best is None:
            raise _too_little(over, now)
        _, group, after, now = best
        gone[order[group.name][removed[group.name] : after]] = True
        removed[group.name] = after
    return removed


def _next(group: Group, removed: int, least_share: float) -> int | None:
    """How many are gone after one step more; None: no more may go."""
    kept = group.channels - removed
    step = MULTIPLE if group.channels % MULTIPLE == 0 else 1
    after = (kept - 1) // step * step
    least = max(step, group.fixed, round(least_share * group.channels))
    return group.channels - after if after >= least else None


def gone_of(structure: Structure, order: Mapping[str, Int], removed: Mapping[str, int]) -> Array:
    """(numbers,), bool."""
    gone = np.zeros(structure.count, bool)
    for name, count in removed.items():
        gone[order[name][:count]] = True
    return gone


def _too_little(over: Mapping[Aspect, float], now: Mapping[Aspect, float]) -> ChipfitError:
    said = "; ".join(f"{aspect} {now[aspect]:,.0f} of {limit:,.0f}" for aspect, limit in over.items())
    hint = "a larger budget, or a smaller network: chipfit train --alpha, --size"
    return ChipfitError("N006", f"there are not enough channels to remove: {said} are left", hint)
