"""What a search may choose of: a TOML file with a list for each dimension."""

from __future__ import annotations

import dataclasses
import difflib
import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

from chipfit.build import Weights
from chipfit.compress.qat import Qat
from chipfit.compress.run import Method
from chipfit.errors import ChipfitError
from chipfit.quantize import parse_recipe
from chipfit.search.compression import NONE, QAT, conflict, has_codes, method_of
from chipfit.targets import parse_toml
from chipfit.trainable.tune import TuneSettings
from chipfit.training.settings import TrainSettings
from chipfit.training.train import qat_settings

S = TypeVar("S", TrainSettings, TuneSettings)

_SPACES = Path(__file__).parent / "spaces"


@dataclass(frozen=True)
class Point:
    """One choice of each. ``size``: pixels of both sides; ``colour``: ``grey`` or ``rgb``; ``depth``: share of the
    backbone's blocks; ``quantization``: a recipe as of ``chipfit quantize``, or ``qat``; ``compression``: see
    :func:`~chipfit.search.compression.method_of`."""

    backbone: str
    alpha: float
    size: int
    colour: str
    depth: float
    quantization: str
    compression: str = NONE

    @property
    def title(self) -> str:
        depth = "" if self.depth == 1 else f" depth {self.depth:g}"
        others = [text for text in (self.quantization, self.compression) if text not in ("int8", NONE)]
        return ", ".join([f"{self.backbone} {self.alpha:g}{depth}, {self.size}x{self.size} {self.colour}", *others])

    @property
    def network(self) -> tuple[Any, ...]:
        """What is trained, without what follows."""
        return self.backbone, self.alpha, self.size, self.colour, self.depth

    @property
    def recipe(self) -> str:
        """Of its integers."""
        return "int8" if self.quantization == QAT else self.quantization

    @property
    def weights(self) -> Weights:
        """How they are stored in flash."""
        return "compressed" if has_codes(self.compression) else "plain"

    @property
    def conflict(self) -> str:
        """Why there is no such candidate; empty: there is one."""
        return conflict(self.quantization, self.compression)

    @property
    def key(self) -> str:
        """Of this one and of no other."""
        return " ".join(map(str, dataclasses.astuple(self)))


_DEFAULTS: dict[str, tuple[Any, ...]] = {
    "backbone": ("mobilenet_v1",),
    "alpha": (0.25,),
    "size": (64,),
    "colour": ("rgb",),
    "depth": (1.0,),
    "quantization": ("int8",),
    "compression": (NONE,),
}
"""Where a file has no list."""

_KINDS: dict[str, type] = {"alpha": float, "size": int, "depth": float}
"""Of what is a number, and has an order; all others are text."""

_CHOSEN = ("backbone", "alpha", "height", "width", "grey", "depth", "weights", "labels", "target", "qat")
"""Settings of a training that are the search's, not the file's."""

_TUNING = TuneSettings(epochs=2)


@dataclass(frozen=True)
class Space:
    """``choices``: by dimension, numbers in ascending order. ``settings``: of all trainings. ``weights``: pretrained
    ones, by ``BACKBONE ALPHA``. ``tuning``: how what was compressed learns; None: it does not."""

    name: str
    choices: Mapping[str, tuple[Any, ...]]
    settings: TrainSettings = field(default_factory=TrainSettings)
    weights: Mapping[str, str] = field(default_factory=dict[str, str])
    tuning: TuneSettings | None = _TUNING

    @cached_property
    def size(self) -> int:
        """How many candidates there are."""
        return sum(1 for _ in self.points())

    def is_ordered(self, dimension: str) -> bool:
        return dimension in _KINDS

    def point(self, indices: Mapping[str, int]) -> Point:
        """By the place in each dimension's list."""
        return Point(**{name: choices[indices[name]] for name, choices in self.choices.items()})

    def indices(self, point: Point) -> dict[str, int]:
        return {name: choices.index(getattr(point, name)) for name, choices in self.choices.items()}

    def points(self) -> Iterator[Point]:
        """All whose choices go together."""
        for values in itertools.product(*self.choices.values()):
            point = Point(**dict(zip(self.choices, values, strict=True)))
            if not point.conflict:
                yield point

    def methods_of(self, point: Point, seed: int) -> tuple[Method, ...]:
        """What makes it smaller behind its training, and what it learns then."""
        tuning = None if self.tuning is None else replace(self.tuning, seed=seed)
        method = method_of(point.compression, tuning)
        if method is None or point.quantization != QAT:
            return () if method is None else (method,)
        in_integers = qat_settings(replace(self.settings_of(point), seed=seed))
        aware = method_of(point.compression, in_integers, aware=True)
        return (aware,) if aware is not None and has_codes(point.compression) else (method, Qat(in_integers))

    def settings_of(self, point: Point) -> TrainSettings:
        """Raises ChipfitError U001 for a network that cannot be built."""
        return replace(
            self.settings,
            backbone=point.backbone,
            alpha=point.alpha,
            height=point.size,
            width=point.size,
            grey=point.colour == "grey",
            depth=point.depth,
            weights=self.weights.get(f"{point.backbone} {point.alpha:g}"),
            # what is compressed learns in integers behind that
            qat=point.quantization == QAT and point.compression == NONE,
        ).resolved()

    def to_json(self) -> dict[str, Any]:
        return dataclasses.asdict(self)


def space_names() -> tuple[str, ...]:
    """The spaces that come with chipfit."""
    return tuple(sorted(path.stem for path in _SPACES.glob("*.toml")))


def read_space(name: str | Path) -> Space:
    """A space by name, or from a TOML file (anything that ends in ``.toml``, or is a Path).

    Raises ChipfitError F001 for a file that is not there, U001 for a name that is none, or a file with an unknown key
    or a wrong value.
    """
    path = Path(name)
    if not (isinstance(name, Path) or name.endswith(".toml")):
        if name not in space_names():
            hint = f"a file.toml, or one of {', '.join(space_names())}"
            raise ChipfitError("U001", f"there is no space '{name}'", hint)
        path = _SPACES / f"{name}.toml"
    try:
        data = parse_toml(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ChipfitError("F001", f"cannot read '{path}': {error.strerror or error}", "check the path") from None
    except ValueError as error:
        raise ChipfitError("U001", f"'{path}' is no TOML: {error}") from None
    return _space(path, data)


def _space(path: Path, data: dict[str, Any]) -> Space:
    _require_known(path, data, (*_DEFAULTS, "train", "weights", "compress"))
    choices = {name: _choices(path, name, data.get(name, list(default))) for name, default in _DEFAULTS.items()}
    train, weights, compress = (_table(path, data, name) for name in ("train", "weights", "compress"))
    settings = _settings(path, "train", TrainSettings(), train, _CHOSEN)
    # a file of weights is named from where the space lies
    known = {str(key): str((path.parent / file).resolve()) for key, file in weights.items()}
    learns = compress.get("epochs") != 0
    given = compress if learns else {key: value for key, value in compress.items() if key != "epochs"}
    tuning = _settings(path, "compress", _TUNING, given, ("seed",))
    return Space(path.stem, choices, settings, known, tuning if learns else None)


def _table(path: Path, data: Mapping[str, Any], name: str) -> dict[str, Any]:
    table = data.get(name, {})
    if not isinstance(table, dict):
        raise ChipfitError("U001", f"'{path}': {name} is a table", f"[{name}], then a line for each entry")
    return table


def _settings(path: Path, table: str, default: S, given: Mapping[str, Any], chosen: Sequence[str]) -> S:
    """``chosen``: fields of the dataclass that the file does not say."""
    _require_known(path, given, tuple(f.name for f in dataclasses.fields(default) if f.name not in chosen))
    try:
        return replace(default, **given)
    except TypeError as error:
        raise ChipfitError("U001", f"'{path}', [{table}]: {error}") from None


def _require_known(path: Path, data: Mapping[str, Any], names: tuple[str, ...]) -> None:
    for key in data:
        if key not in names:
            near = difflib.get_close_matches(key, names, 1)
            hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(names)}"
            raise ChipfitError("U001", f"'{path}' has an unknown key '{key}'", hint)


def _choices(path: Path, name: str, found: Any) -> tuple[Any, ...]:
    kind = _KINDS.get(name, str)
    values: list[Any] = list(found) if isinstance(found, list) else []
    is_right = all(isinstance(v, (int, float) if kind is float else kind) and not isinstance(v, bool) for v in values)
    if not values or not is_right or len(set(values)) < len(values):
        what = {str: "texts", int: "whole numbers", float: "numbers"}[kind]
        raise ChipfitError("U001", f"'{path}': {name} is a list of different {what}", f"such as {name} = [...]")
    if name == "colour" and not set(values) <= {"grey", "rgb"}:
        raise ChipfitError("U001", f"'{path}': colour is grey or rgb, not {', '.join(values)}")
    for value in values:
        if name == "quantization" and value != QAT:
            parse_recipe(value)
        if name == "compression":
            method_of(value, None)
    return tuple(sorted(map(kind, values))) if name in _KINDS else tuple(values)
