"""What pruning did, for the report of a compression."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from chipfit.compress.channels.sensitivity import Point


@dataclass(frozen=True)
class GroupResult:
    """``tensors``: whose layers make the channels; ``before``, ``after``: numbers of channels; ``fixed``: how many had
    to stay, ``reason``: why."""

    name: str
    tensors: tuple[str, ...]
    before: int
    after: int
    fixed: int
    reason: str


@dataclass(frozen=True)
class StageResult:
    """``limits``: of the stage; ``estimated``: what channels were chosen by; ``reached``: compiled and run; empty: it
    was not. ``loss``, ``accuracy``: behind it, before anything learned, on the samples of the sensitivity; ``epochs``:
    of learning; ``val_accuracy``: then, on the validation pictures."""

    number: int
    limits: Mapping[str, float]
    estimated: Mapping[str, float]
    reached: Mapping[str, float]
    channels: int
    loss: float
    accuracy: float | None
    epochs: int = 0
    val_accuracy: float | None = None


@dataclass(frozen=True)
class Sensitivity:
    """What removing channels of one group alone costs. ``measured``: what loss and accuracy are, in words; ``samples``:
    on how many; ``loss``, ``accuracy``: of the whole network."""

    model: str
    measured: str
    samples: int
    loss: float
    accuracy: float | None
    groups: tuple[GroupResult, ...]
    points: tuple[Point, ...]


@dataclass(frozen=True)
class PruneDetails:
    """``budget``: at most so much of each aspect in the end."""

    importance: str
    budget: Mapping[str, float]
    sensitivity: Sensitivity
    groups: tuple[GroupResult, ...]
    stages: tuple[StageResult, ...]
