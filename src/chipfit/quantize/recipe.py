"""Recipes: how a float model becomes a smaller one, in words that a person can read and write.

::

    int8 input=uint8 -equalize ; conv2d_1*: activations=int16 ranges=percentile:99.99 -reconstruct

A recipe is a mode with options, then rules for layers and tensors by name pattern (a layer has the name of its output).
Clauses end at a line break or at a semicolon that is followed by a space (names of tensors may contain one without). An
option is ``key=value``, ``+step`` or ``-step``; the last one counts. Patterns are those of the shell: ``*``, ``?``,
``[abc]``. What means nothing in a mode is an error.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from fnmatch import fnmatchcase
from typing import Any, get_args

from chipfit.errors import ChipfitError
from chipfit.quantize.modes import DEFAULT_STEPS, MODES, STEPS, Compute, Edge, Granularity, Mode, ModeInfo, Step, Width

METHODS = ("auto", "minmax", "average", "percentile", "mse", "entropy")
_DEFAULT_PERCENTILE = "99.99"


@dataclass(frozen=True)
class LayerRule:
    """Options for the layers and tensors whose name matches ``pattern``; None and empty: as the recipe says."""

    pattern: str
    activations: Width | None = None
    ranges: str | None = None
    weights: Granularity | None = None
    with_steps: frozenset[Step] = frozenset()
    without_steps: frozenset[Step] = frozenset()

    def __str__(self) -> str:
        options = [f"{key}={value}" for key in _RULE_KEYS if (value := getattr(self, key)) is not None]
        return f"{self.pattern}: {' '.join([*options, *_signed(self.with_steps, self.without_steps)])}".rstrip()


@dataclass(frozen=True)
class Recipe:
    """``input``, ``output``: element type at the model's edges; None: that of the tensors there. ``activations``: their
    width; None: the mode's. ``ranges``: how activations get their range: ``auto`` (the full range where outliers carry
    meaning or cannot occur, else ``mse``), ``minmax``, ``average`` (moving), ``percentile:P``, ``mse``, ``entropy``.
    ``weights``: one scale per output channel or per tensor. ``compute``: how a file of mode ``dynamic`` asks its
    interpreter to calculate. ``steps``: None: those of the mode. Rules apply in order; the last that says something of
    an option wins.
    """

    mode: Mode = "int8"
    input: Edge | None = None
    output: Edge | None = None
    activations: Width | None = None
    ranges: str = "auto"
    weights: Granularity = "channel"
    compute: Compute = "float"
    steps: frozenset[Step] = None  # type: ignore[assignment] - never None once it is made
    rules: tuple[LayerRule, ...] = ()

    def __post_init__(self) -> None:
        _require("mode", self.mode, get_args(Mode))
        info = MODES[self.mode]
        if self.steps is None:  # type: ignore[comparison-overlap] - the default
            object.__setattr__(self, "steps", DEFAULT_STEPS & frozenset(info.steps))
        self._check(info)
        if self.activations is None:
            object.__setattr__(self, "activations", info.activations)

    def _check(self, info: ModeInfo) -> None:
        for holder, known in ((self, info.options), *((rule, info.rules) for rule in self.rules)):
            for key in _KEYS:
                value = getattr(holder, key, None)
                if value is None:
                    continue
                if key == "ranges":
                    split_ranges(value)
                else:
                    _require(key, value, _CHOICES[key])
                if value != _DEFAULTS[key]:
                    _require_meaning(f"{key}={value}", key in known, self.mode, known)
        if self.rules and not (info.rules or info.steps):
            _require_meaning(f"the rule '{self.rules[0]}'", False, self.mode, info.options)
        for steps in (self.steps, *(r.with_steps | r.without_steps for r in self.rules)):
            for step in steps:
                _require("step", step, tuple(STEPS))
                _require_meaning(f"the step '{step}'", step in info.steps, self.mode, info.options)

    # ------------------------------------------------------------------------------------------ questions

    def ranges_of(self, name: str) -> str:
        """How the tensor of this name gets its range."""
        return next((r.ranges for r in self._rules_of(name) if r.ranges is not None), self.ranges)

    def width_of(self, name: str) -> Width | None:
        """The activation width of the tensor of this name; None: float32."""
        found: list[Width] = [r.activations for r in self._rules_of(name) if r.activations is not None]
        return found[0] if found else self.activations

    def names_width_of(self, name: str) -> bool:
        """Whether a rule says which width the tensor of this name has."""
        return any(r.activations is not None for r in self._rules_of(name))

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

    @property
    def file_word(self) -> str:
        """The recipe as part of a file's name: letters, digits, ``-`` and ``_``."""
        words = re.sub(r"[^A-Za-z0-9]+", "-", str(self).replace(" -", " no-").replace(" +", " with-")).strip("-")
        return words[:_FILE_WORD].rstrip("-")

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


_FILE_WORD = 60
"""Characters of a file's name that a recipe may take."""

_KEYS = ("input", "output", "activations", "ranges", "weights", "compute")
_RULE_KEYS = ("activations", "ranges", "weights")
_CHOICES: dict[str, tuple[str, ...]] = {
    "input": get_args(Edge),
    "output": get_args(Edge),
    "activations": get_args(Width),
    "weights": get_args(Granularity),
    "compute": get_args(Compute),
}
_DEFAULTS: dict[str, str | None] = {key: getattr(Recipe, key) for key in _KEYS}


def parse_recipe(text: str) -> Recipe:
    """A recipe from its text. Raises ChipfitError Q003 with the word that is wrong and what could stand there."""
    clauses = [c.strip() for c in re.split(r"\n|;(?=\s)|;$", text) if c.strip()]
    if not clauses:
        raise ChipfitError("Q003", "the recipe is empty", f"begin with a mode: {', '.join(MODES)}")
    first, *words = clauses[0].split()
    _require("mode", first, tuple(MODES))
    mode: Mode = first  # type: ignore[assignment] - one of them
    values, on, off = _options(words, mode, _KEYS, MODES[mode].options)
    # the options of the text are checked when the recipe is made
    recipe = Recipe(mode, **values)  # type: ignore[arg-type]
    return replace(recipe, steps=(recipe.steps | on) - off, rules=tuple(_rule(c, mode) for c in clauses[1:]))


def pattern_for(name: str) -> str:
    """A name as a pattern that matches it: what means something to patterns or to recipes is escaped."""
    return re.sub(r"[;:]\s|\n", "??", re.sub(r"([*?[])", r"[\1]", name))


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


def _rule(clause: str, mode: Mode) -> LayerRule:
    pattern, colon, options = clause.partition(": ")
    if not colon and clause.endswith(":"):
        pattern, colon = clause[:-1], ":"
    if not colon or not pattern.strip():
        raise ChipfitError(
            "Q003", f"'{clause}' is no rule", "a rule is a name pattern, a colon, a space and options: conv_1*: -bias"
        )
    values, on, off = _options(options.split(), mode, _RULE_KEYS, MODES[mode].rules)
    return LayerRule(pattern.strip(), **values, with_steps=on, without_steps=off)  # type: ignore[arg-type]


def _options(
    words: Sequence[str], mode: Mode, keys: Sequence[str], meant: Sequence[str]
) -> tuple[dict[str, str], frozenset[Step], frozenset[Step]]:
    """``keys``: options that can stand here; ``meant``: those that mean something in the mode."""
    values: dict[str, str] = {}
    signs: dict[Step, str] = {}
    steps = MODES[mode].steps
    for word in words:
        key, equals, value = word.partition("=")
        if word[0] in "+-":
            _require("step", word[1:], tuple(STEPS))
            _require_meaning(f"'{word}'", word[1:] in steps, mode, meant)
            signs[word[1:]] = word[0]  # type: ignore[index] - one of STEPS
        elif equals and key in keys:
            _require_meaning(f"'{word}'", key in meant, mode, meant)
            values[key] = value
        else:
            raise ChipfitError("Q003", f"'{word}' is no option of a recipe here", _known(mode, meant))
    on: set[Step] = {step for step, sign in signs.items() if sign == "+"}
    return values, frozenset(on), frozenset(signs.keys() - on)


def _known(mode: Mode, meant: Sequence[str]) -> str:
    steps = MODES[mode].steps
    words = [*(f"{key}=…" for key in meant), *(f"±{step}" for step in steps)]
    return f"options of {mode} here are {', '.join(words)}" if words else f"{mode} has no options"


def _require_meaning(what: str, means: bool, mode: Mode, known: Sequence[str]) -> None:
    if not means:
        raise ChipfitError("Q003", f"{what} means nothing in {mode}: {MODES[mode].stays}", _known(mode, known))


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
    return {
        key: frozenset(value) if key.endswith("steps") and value is not None else value for key, value in data.items()
    }
