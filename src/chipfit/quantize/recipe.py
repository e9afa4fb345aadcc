"""Recipes: how a float model becomes an integer one, in words that a person can read and write.

::

    int8 input=uint8 -equalize ; conv2d_1*: ranges=percentile:99.99 -reconstruct

A recipe is a mode with options, then rules for layers by name pattern. Clauses end at a line break or at a semicolon
that is followed by a space (names of tensors may contain one without). An option is ``key=value``, ``+step`` or
``-step``; the last one counts. Patterns are those of the shell: ``*``, ``?``, ``[abc]``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from fnmatch import fnmatchcase
from typing import Any, Literal, get_args

from chipfit.errors import ChipfitError

Mode = Literal["int8"]
Edge = Literal["int8", "uint8", "float32"]
Granularity = Literal["channel", "tensor"]
Step = Literal["equalize", "reconstruct", "bias", "match", "pool"]

STEPS: dict[Step, str] = {
    "equalize": "channels that stay below the clamp of relu6 are scaled up to it before a depthwise layer",
    "reconstruct": "weights are rounded column by column, each later one making up for the errors before it",
    "bias": "biases make up for the mean error of each channel, in the order of the layers",
    "match": "biases are matched once more behind the activation, where clamped values no longer count",
    "pool": "the pooled image gets a range of its own where that helps",
}
"""What each step that restores accuracy does, in the order in which they apply to a layer."""

METHODS = ("auto", "minmax", "average", "percentile", "mse", "entropy")
_DEFAULT_PERCENTILE = "99.99"


def _all_steps() -> frozenset[Step]:
    return frozenset(STEPS)


@dataclass(frozen=True)
class LayerRule:
    """Options for the layers and tensors whose name matches ``pattern``; None and empty: as the recipe says."""

    pattern: str
    ranges: str | None = None
    weights: Granularity | None = None
    with_steps: frozenset[Step] = frozenset()
    without_steps: frozenset[Step] = frozenset()

    def __str__(self) -> str:
        options = [f"{key}={value}" for key in ("ranges", "weights") if (value := getattr(self, key)) is not None]
        return f"{self.pattern}: {' '.join([*options, *_signed(self.with_steps, self.without_steps)])}".rstrip()


@dataclass(frozen=True)
class Recipe:
    """``input``, ``output``: element type at the model's edges. ``ranges``: how activations get their range: ``auto``
    (the full range where outliers carry meaning or cannot occur, else ``mse``), ``minmax``, ``average`` (moving),
    ``percentile:P``, ``mse``, ``entropy``. ``weights``: one scale per output channel or per tensor. Rules apply in
    order; the last that says something of an option wins.
    """

    mode: Mode = "int8"
    input: Edge = "int8"
    output: Edge = "int8"
    ranges: str = "auto"
    weights: Granularity = "channel"
    steps: frozenset[Step] = field(default_factory=_all_steps)
    rules: tuple[LayerRule, ...] = ()

    def __post_init__(self) -> None:
        for key, allowed in _CHOICES.items():
            _require(key, getattr(self, key), allowed)
        for steps in (self.steps, *(r.with_steps | r.without_steps for r in self.rules)):
            for step in steps:
                _require("step", step, tuple(STEPS))
        for ranges in (self.ranges, *(r.ranges for r in self.rules)):
            if ranges is not None:
                split_ranges(ranges)
        for rule in self.rules:
            if rule.weights is not None:
                _require("weights", rule.weights, get_args(Granularity))

    # ------------------------------------------------------------------------------------------ questions

    def ranges_of(self, name: str) -> str:
        """How the tensor of this name gets its range."""
        return next((r.ranges for r in self._rules_of(name) if r.ranges is not None), self.ranges)

    def weights_of(self, name: str) -> Granularity:
        """Scales of the weights of the layer with this name."""
        found: list[Granularity] = [r.weights for r in self._rules_of(name) if r.weights is not None]
        return found[0] if found else self.weights

    def has(self, step: Step, name: str) -> bool:
        """Whether a step applies to the layer of this name."""
        for rule in self._rules_of(name):
            if step in rule.with_steps | rule.without_steps:
                return step in rule.with_steps
        return step in self.steps

    def _rules_of(self, name: str) -> list[LayerRule]:
        """The last one first."""
        return [rule for rule in reversed(self.rules) if fnmatchcase(name, rule.pattern)]

    # ------------------------------------------------------------------------------------------ forms

    def __str__(self) -> str:
        """What differs from the defaults, as :func:`parse_recipe` reads it."""
        default = Recipe(self.mode)
        options = [f"{key}={getattr(self, key)}" for key in _KEYS if getattr(self, key) != getattr(default, key)]
        head = " ".join([self.mode, *options, *_signed(self.steps - default.steps, default.steps - self.steps)])
        return " ; ".join([head, *map(str, self.rules)])

    def to_json(self) -> dict[str, Any]:
        rules = [{key: _plain(getattr(rule, key)) for key in _names(LayerRule)} for rule in self.rules]
        return {**{key: _plain(getattr(self, key)) for key in _names(Recipe)}, "rules": rules}

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> Recipe:
        """Raises ChipfitError Q003 for keys and values that are none of a recipe's."""
        try:
            given = _frozen(data)
            given["rules"] = tuple(LayerRule(**_frozen(rule)) for rule in data.get("rules", ()))
            return Recipe(**given)
        except (TypeError, AttributeError, ValueError) as error:
            raise ChipfitError("Q003", f"this is no recipe: {json.dumps(data, default=str)[:200]} ({error})") from None


_KEYS = ("input", "output", "ranges", "weights")
_CHOICES: dict[str, tuple[str, ...]] = {
    "mode": get_args(Mode),
    "input": get_args(Edge),
    "output": get_args(Edge),
    "weights": get_args(Granularity),
}


def parse_recipe(text: str) -> Recipe:
    """A recipe from its text. Raises ChipfitError Q003 with the word that is wrong and what could stand there."""
    clauses = [c.strip() for c in re.split(r"\n|;(?=\s)|;$", text) if c.strip()]
    if not clauses:
        raise ChipfitError("Q003", "the recipe is empty", f"begin with a mode: {', '.join(get_args(Mode))}")
    words = clauses[0].split()
    values, on, off = _options(words[1:], _KEYS)
    # the mode and the options of the text are checked when the recipe is made
    recipe = Recipe(**{"mode": words[0], **values})  # type: ignore[arg-type]
    return replace(recipe, steps=(recipe.steps | on) - off, rules=tuple(_rule(c) for c in clauses[1:]))


def split_ranges(text: str) -> tuple[str, float]:
    """``percentile:99.9`` as ``("percentile", 99.9)``; other methods have no number (0). Raises ChipfitError Q003."""
    method, colon, number = text.partition(":")
    _require("ranges", method, METHODS)
    if method != "percentile":
        if colon:
            raise ChipfitError("Q003", f"ranges={text}: only percentile takes a number")
        return method, 0.0
    try:
        percent = float(number or _DEFAULT_PERCENTILE)
    except ValueError:
        percent = -1.0
    if not 50.0 <= percent <= 100.0:
        raise ChipfitError("Q003", f"ranges={text}: a percentile lies between 50 and 100", "try percentile:99.99")
    return method, percent


def _rule(clause: str) -> LayerRule:
    pattern, colon, options = clause.partition(": ")
    if not colon and clause.endswith(":"):
        pattern, colon = clause[:-1], ":"
    if not colon or not pattern.strip():
        raise ChipfitError(
            "Q003", f"'{clause}' is no rule", "a rule is a name pattern, a colon, a space and options: conv_1*: -bias"
        )
    values, on, off = _options(options.split(), ("ranges", "weights"))
    return LayerRule(pattern.strip(), **values, with_steps=on, without_steps=off)  # type: ignore[arg-type]


def _options(words: Sequence[str], keys: Sequence[str]) -> tuple[dict[str, str], frozenset[Step], frozenset[Step]]:
    values: dict[str, str] = {}
    signs: dict[Step, str] = {}
    for word in words:
        key, equals, value = word.partition("=")
        if word[0] in "+-":
            _require("step", word[1:], tuple(STEPS))
            signs[word[1:]] = word[0]  # type: ignore[index] - one of STEPS
        elif equals and key in keys:
            values[key] = value
        else:
            known = ", ".join([*(f"{k}=…" for k in keys), *(f"±{s}" for s in STEPS)])
            raise ChipfitError("Q003", f"'{word}' is no option of a recipe here", f"options are {known}")
    on: set[Step] = {step for step, sign in signs.items() if sign == "+"}
    return values, frozenset(on), frozenset(signs.keys() - on)


def _require(what: str, word: Any, allowed: Sequence[str]) -> None:
    if word not in allowed:
        raise ChipfitError("Q003", f"{what} '{word}' is unknown", f"known are: {', '.join(allowed)}")


def _signed(on: frozenset[Step], off: frozenset[Step]) -> list[str]:
    return [f"{sign}{step}" for sign, steps in (("+", on), ("-", off)) for step in STEPS if step in steps]


def _names(kind: type[Recipe] | type[LayerRule]) -> list[str]:
    return [f.name for f in fields(kind)]


def _plain(value: Any) -> Any:
    return [step for step in STEPS if step in value] if isinstance(value, frozenset) else value


def _frozen(data: Mapping[str, Any]) -> dict[str, Any]:
    return {key: frozenset(value) if key.endswith("steps") else value for key, value in data.items()}
