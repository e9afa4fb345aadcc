"""Which layers are taken apart, and with which ranks."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

from chipfit.compress.decompose.forms import Choice, Site
from chipfit.errors import ChipfitError

_HALVINGS = 40
_MEASURED = 8
"""Halvings when each step measures a network."""
_CERTAIN = 1e-9
_TYPICAL = 0.1
"""Error of a layer at which is measured what errors of it do."""
_LEAST_RISE = 0.02
"""Of the greatest rise: what errors of a layer cost in any case."""

Chosen = Mapping[Site, Choice]
Options = Mapping[Site, Sequence[Choice]]


def within_energy(options: Options, energy: float) -> Chosen:
    """The cheapest choice of each layer that keeps a share of the power of its sums."""
    found: dict[Site, Choice] = {}
    for site, every in options.items():
        good = [c for c in every if c.error <= 1 - energy]
        if good:
            found[site] = min(good, key=lambda c: (c.macs, c.error))
    return found


def within_macs(options: Options, rises: Mapping[Site, float], limit: float) -> Chosen:
    """The least loss that is expected for ``limit`` multiply-accumulates of all these layers together.

    ``rises``: what errors of each layer cost (see :func:`rise_of`). Raises ChipfitError N006 where no choice is that
    small.
    """
    total = sum(site.macs for site in options)
    least = total - sum(s.macs - min((c.macs for c in every), default=s.macs) for s, every in options.items())
    if least > limit:
        message = f"{total:,} multiply-accumulates cannot become {math.floor(limit):,}: the least is {least:,}"
        raise ChipfitError("N006", message, "a larger budget, or another --form")
    frontiers = {site: _frontier(every) for site, every in options.items()}
    return _at_price(lambda price: _cheapest(frontiers, rises, price), lambda chosen: _macs(options, chosen) <= limit)


def within_loss(options: Options, rises: Mapping[Site, float], is_good: Callable[[Chosen], bool]) -> Chosen:
    """The fewest multiply-accumulates for which the network is still good enough, which is measured."""
    frontiers = {site: _frontier(every) for site, every in options.items()}
    low, high = 0.0, 1.0
    best: Chosen = {}
    total = sum(site.macs for site in options)
    least = sum(min((c.macs for c in frontiers[s]), default=s.macs) for s in options)
    for _ in range(_MEASURED):
        middle = (low + high) / 2
        chosen = within_macs(options, rises, total - middle * (total - least))
        if chosen == best or is_good(chosen):
            best, low = chosen, middle
        else:
            high = middle
    return best


def rise_of(cost: float, error: float) -> float:
    """What is lost for each unit of :func:`_strain`, given what one error costs."""
    return max(0.0, cost) / _strain(error)


def floored(rises: Mapping[Site, float]) -> dict[Site, float]:
    least = _LEAST_RISE * max(rises.values(), default=0.0) or 1.0
    return {site: max(rise, least) for site, rise in rises.items()}


def typical(every: Sequence[Choice]) -> Choice:
    """The one whose error is nearest to what is measured at."""
    return min(every, key=lambda c: abs(math.log(max(c.error, _CERTAIN) / _TYPICAL)))


def _strain(error: float) -> float:
    """Errors add up while they are small; one that leaves nothing of a layer is beyond all price."""
    return -math.log(max(_CERTAIN, 1 - error)) + _CERTAIN


def _frontier(every: Sequence[Choice]) -> list[Choice]:
    """Those that no other one beats in both, cheapest first."""
    kept: list[Choice] = []
    for choice in sorted(every, key=lambda c: (c.error, c.macs)):
        if not kept or choice.macs < kept[-1].macs:
            kept.append(choice)
    return kept[::-1]


def _cheapest(frontiers: Options, rises: Mapping[Site, float], price: float) -> Chosen:
    """At a price of a multiply-accumulate each layer decides for itself."""
    found: dict[Site, Choice] = {}
    for site, every in frontiers.items():
        costs = {c: rises[site] * _strain(c.error) + price * c.macs for c in every}
        best = min(costs, key=lambda c: costs[c], default=None)
        if best is not None and costs[best] < price * site.macs:
            found[site] = best
    return found


def _at_price(at: Callable[[float], Chosen], is_enough: Callable[[Chosen], bool]) -> Chosen:
    """At the least price that is enough."""
    if is_enough(at(0.0)):
        return at(0.0)
    low, high = 1e-20, 1e20
    for _ in range(2 * _HALVINGS):
        middle = math.sqrt(low * high)
        low, high = (low, middle) if is_enough(at(middle)) else (middle, high)
    return at(high)


def _macs(options: Options, chosen: Chosen) -> int:
    return sum(chosen[s].macs if s in chosen else s.macs for s in options)
