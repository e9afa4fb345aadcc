"""Advice in words: what a rule says, and how it names a change to a recipe."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase

from chipfit.quantize.diagnose.evidence import Evidence
from chipfit.quantize.diagnose.trial import Trial
from chipfit.quantize.recipe import pattern_for


@dataclass(frozen=True)
class Advice:
    """``rule``: its name; ``about``: the tensor or layer, or ``samples``. ``recipe``: what to add to the recipe, where
    that is how. ``gain``: dB at the judged tensor that this alone brought in the simulated network; None: not measured.
    """

    rule: str
    about: str
    text: str
    recipe: str | None = None
    gain: float | None = None


Rule = Callable[[Evidence, Trial], Iterator[Advice]]
"""Looks at the evidence, tries changes, and says what it found, or nothing."""


def db(decibels: float | None) -> str:
    return "exact" if decibels is None else f"{decibels:.1f} dB"


def clause(e: Evidence, name: str, option: str) -> str:
    """A rule for one tensor, as a recipe takes it."""
    names = [v.name for v in e.network.floats]
    first = pattern_for(name.split(";")[0]) + "*"
    alone = ";" in name and sum(fnmatchcase(n, first) for n in names) == 1
    return f"{first if alone else pattern_for(name)}: {option}"
