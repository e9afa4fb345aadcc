"""What a search found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from chipfit.deployment import Limits, Needs
from chipfit.report.data import envelope
from chipfit.search.space import Point

HOW = "accuracy: measured (integer C on this computer, all validation pictures)"


@dataclass(frozen=True)
class Trial:
    """A candidate that was trained. ``float32``, ``integer``: shares of right answers; ``needs``: of its program.

    ``folder``: where its run and, as a path in it, its quantized ``file`` are; ``on_front``: it keeps to the limits,
    and no other trial that does is as good in accuracy, instructions, RAM and flash, and better in one of them.
    """

    number: int
    point: Point
    float32: float
    integer: float
    needs: Needs
    folder: str
    file: str
    seconds: float
    on_front: bool = False


@dataclass(frozen=True)
class SearchReport:
    """``candidates``: points of the space; ``costed``: of these, whose needs were computed; ``refused``: of these,
    those over the limits. ``trials``: in the order in which they were asked for; ``best``: number of the most accurate
    one, that with the fewest instructions among equals; None: no candidate keeps to the limits.
    ``pictures``: that accuracies are of. ``offer``: the command to go on with; ``files``: what was written.
    """

    space: str
    data: str
    board: str
    limits: Limits
    folder: str
    candidates: int
    costed: int
    refused: int
    trials: tuple[Trial, ...]
    best: int | None
    pictures: int
    seconds: float
    offer: str
    files: tuple[str, ...] = ()
    how: str = HOW

    @property
    def best_trial(self) -> Trial | None:
        return next((t for t in self.trials if t.number == self.best), None)

    @property
    def front(self) -> tuple[Trial, ...]:
        """Most accurate first."""
        return tuple(sorted((t for t in self.trials if t.on_front), key=lambda t: (-t.integer, _costs(t))))

    def to_json(self) -> dict[str, Any]:
        return envelope("chipfit.search", self)


def best_of(trials: Sequence[Trial]) -> int | None:
    ordered = sorted(trials, key=lambda t: (-t.integer, _costs(t), t.number))
    return ordered[0].number if ordered else None


def is_dominated(one: Trial, others: Sequence[Trial]) -> bool:
    """Whether another one is as good in all and better in something: accuracy, instructions, RAM, flash."""
    mine = (-one.integer, *_costs(one))
    return any(dominates((-other.integer, *_costs(other)), mine) for other in others)


def dominates(theirs: Sequence[float], mine: Sequence[float]) -> bool:
    """Whether none of theirs is greater, and one is smaller; all is better the smaller it is."""
    return theirs != mine and all(a <= b for a, b in zip(theirs, mine, strict=True))


def _costs(trial: Trial) -> tuple[int, int, int]:
    needs = trial.needs
    return needs.instructions or 0, needs.ram, needs.flash
