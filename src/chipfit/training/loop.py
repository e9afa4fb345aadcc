"""Epochs: the head alone first, then all layers; what is better is kept, and every epoch can be gone on from."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np

from chipfit.errors import ChipfitError
from chipfit.graph import Array
from chipfit.quantize import Preprocessing
from chipfit.training.augment import Augmentation, batches
from chipfit.training.backbones import Outputs
from chipfit.training.judge import cross_entropy, outputs_of
from chipfit.training.learner import Learner, Phase
from chipfit.training.numbers import Standard
from chipfit.training.pictures import PictureSet
from chipfit.training.run_folder import LAST, RunFolder
from chipfit.training.split import Split

_LOWER = 0.3
"""The learning rate is multiplied by it when validation gets no better."""


@dataclass(frozen=True)
class Epoch:
    """``phase``: which layers learn. ``loss`` and ``accuracy``: while it learned, on changed pictures; ``val_loss`` and
    ``val_accuracy``: afterwards, on those for validation. Accuracies are None for a network of numbers, whose loss is
    the mean squared error; that of classes is the cross-entropy, nats. ``rate``: of learning."""

    number: int
    phase: Phase
    loss: float
    accuracy: float | None
    val_loss: float
    val_accuracy: float | None
    rate: float
    seconds: float

    @property
    def score(self) -> tuple[float, float]:
        """Greater is better: the accuracy decides, then the loss."""
        return (self.val_accuracy or 0.0, -self.val_loss)


class Watch:
    """Told what happens while a network learns; this one does not care."""

    def batch(self, number: int, phase: Phase, done: int, total: int, loss: float, accuracy: float | None) -> None:
        """After each batch of epoch ``number``: means over the epoch so far."""

    def epoch(self, epoch: Epoch, is_best: bool) -> None:
        """After each epoch, when all of it is on the disk."""


class Behind(Watch):
    """Tells another one of epochs that follow ``before`` others."""

    def __init__(self, watch: Watch, before: int) -> None:
        self._watch, self._before = watch, before

    def batch(self, number: int, phase: Phase, done: int, total: int, loss: float, accuracy: float | None) -> None:
        self._watch.batch(self._before + number, phase, done, total, loss, accuracy)

    def epoch(self, epoch: Epoch, is_best: bool) -> None:
        self._watch.epoch(replace(epoch, number=self._before + epoch.number), is_best)


@dataclass(frozen=True)
class Data:
    """``names``: of the outputs. ``targets``: (labels, outputs), float32: what the network should say for each label;
    ``weights``: (labels,): how much a picture of it counts. Pixels are as they were read. Where numbers are learned,
    each picture has a label of its own; ``values``: (labels, outputs), float64: they in their units; ``standard``: what
    they were standardised by; None: classes are learned."""

    pictures: PictureSet
    split: Split
    preprocessing: Preprocessing
    names: tuple[str, ...]
    targets: Array
    weights: Array
    values: Array | None = None
    standard: Standard | None = None


@dataclass(frozen=True)
class Plan:
    """``frozen``: epochs in which the head alone learns; ``epochs``: all. ``patience``: so many epochs of the second
    phase without a better one end it, 0: none do; half as many lower the learning rate. ``falls``: it also falls from
    epoch to epoch, along a quarter of a cosine wave."""

    kind: Outputs
    frozen: int
    epochs: int
    batch: int
    rate: float
    patience: int
    augmentation: Augmentation
    seed: int
    falls: bool = False

    def phase(self, number: int) -> Phase:
        return "head" if number <= self.frozen else "all"

    def part(self, number: int) -> float:
        """What an epoch learns with of the rate that it would have if that did not fall."""
        done = max(0, number - 1 - self.frozen) / max(1, self.epochs - self.frozen)
        return math.cos(done * math.pi / 2) if self.falls else 1.0


@dataclass(frozen=True)
class Progress:
    """What has happened. ``best``: number of the best epoch, 0: none yet; ``waited``: epochs of this phase since it or
    since the phase began; ``rate``: of the next epoch."""

    rate: float
    history: tuple[Epoch, ...] = ()
    best: int = 0
    waited: int = 0

    @property
    def best_epoch(self) -> Epoch | None:
        return self.history[self.best - 1] if self.best else None

    def is_over(self, plan: Plan) -> bool:
        return len(self.history) >= plan.epochs or bool(plan.patience and self.waited >= plan.patience)

    def after(self, epoch: Epoch, plan: Plan) -> Progress:
        """With one epoch more."""
        is_better = self.best_epoch is None or epoch.score > self.best_epoch.score
        begins = plan.phase(epoch.number + 1) != epoch.phase
        waited = 0 if is_better or begins else self.waited + 1
        rate = plan.rate if begins else self.rate * plan.part(epoch.number + 1) / plan.part(epoch.number)
        lowers = plan.patience and epoch.phase == "all" and waited and waited % max(1, plan.patience // 2) == 0
        return Progress(
            rate=rate * _LOWER if lowers else rate,
            history=(*self.history, epoch),
            best=epoch.number if is_better else self.best,
            waited=waited,
        )

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> Progress:
        history = tuple(Epoch(**epoch) for epoch in data["history"])
        return Progress(data["rate"], history, data["best"], data["waited"])


@dataclass
class Loop:
    """One run. ``learner``: with the weights that it begins with; ``folder``: where all goes; ``state``: the file of
    it that a run goes on with."""

    learner: Learner
    data: Data
    plan: Plan
    folder: RunFolder
    watch: Watch
    state: str = LAST
    progress: Progress = field(init=False)

    def __post_init__(self) -> None:
        self.progress = Progress(self.plan.rate)

    def resume(self) -> None:
        """Go on where the folder's last epoch ended. Raises ChipfitError N003 if it is of another network."""
        last = self.folder.read_last(self.state)
        if last is None:
            return
        arrays, state = last
        try:
            self.progress = Progress.from_json(state)
            self.learner.begin(self.plan.phase(len(self.progress.history)), self.progress.rate)
            for variable, array in zip(self.learner.variables(), arrays, strict=True):
                variable.assign(array)
        except (ValueError, LookupError, TypeError) as error:
            raise ChipfitError(
                "N003", f"the state of the run does not fit: {error}", "start anew: another -o"
            ) from None

    def run(self) -> Iterator[Progress]:
        """After each epoch what has happened so far, until it is over. Raises ChipfitError N004 for an infinite loss,
        P003 where the folder cannot be written."""
        begun = self.plan.phase(len(self.progress.history)) if self.progress.history else None
        convert = self.learner.keras.ops.convert_to_numpy
        while not self.progress.is_over(self.plan):
            number = len(self.progress.history) + 1
            phase = self.plan.phase(number)
            if phase != begun:
                self.learner.begin(phase, self.progress.rate)
                begun = phase
            self.learner.set_rate(self.progress.rate)
            epoch = self._epoch(number, phase)
            self.progress = self.progress.after(epoch, self.plan)
            is_best = self.progress.best == number
            if is_best:
                self.learner.save(self.folder)
            variables = [convert(v) for v in self.learner.variables()]
            self.folder.write_last(variables, self.progress.to_json(), self.state)
            self.watch.epoch(epoch, is_best)
            yield self.progress

    def _epoch(self, number: int, phase: Phase) -> Epoch:
        began, data, plan = time.perf_counter(), self.data, self.plan
        # what is drawn depends on the epoch alone, so that a resumed run draws the same; dropout of PyTorch draws from
        # the process's generator
        rng = np.random.default_rng([plan.seed, number])
        self.learner.keras.utils.set_random_seed(int(rng.integers(1 << 31)))
        self.learner.epoch(number)
        total = steps_of(data, plan.batch)
        sums, seen = np.zeros(2), 0
        drawn = batches(data.pictures, data.split.train, plan.batch, plan.augmentation, rng)
        for done, (pixels, labels) in enumerate(drawn, 1):
            x, y, weights = data.preprocessing.apply(pixels), data.targets[labels], data.weights[labels]
            sums += len(labels) * np.array(self.learner.train(x, y, weights), np.float64)
            seen += len(labels)
            loss, accuracy = _means(sums, seen)
            if not math.isfinite(loss):
                hint = f"a smaller learning rate: --rate {self.progress.rate / 5:g}"
                raise ChipfitError("N004", f"the loss of epoch {number} is {loss} after {done} batches", hint)
            self.watch.batch(number, phase, done, total, loss, accuracy)
        loss, accuracy = _means(sums, seen)
        val_loss, val_accuracy = self.validate()
        seconds = time.perf_counter() - began
        return Epoch(number, phase, loss, accuracy, val_loss, val_accuracy, self.progress.rate, seconds)

    def validate(self) -> tuple[float, float | None]:
        """Loss and accuracy on the pictures for validation as it is now; no accuracy of numbers."""
        data = self.data
        indices = data.split.validation
        outputs = outputs_of(self.learner.predict, data.pictures, indices, data.preprocessing)
        labels = data.pictures.labels[indices]
        if self.plan.kind == "numbers":
            return float(np.square(outputs - data.targets[labels]).mean()), None
        return cross_entropy(outputs, labels), float((outputs.argmax(axis=1) == labels).mean())


def steps_of(data: Data, batch: int) -> int:
    """Batches of an epoch."""
    return -(-len(data.split.train) // batch)


def _means(sums: Array, count: int) -> tuple[float, float | None]:
    """Loss and accuracy over ``count`` pictures; None where there is no accuracy."""
    loss, accuracy = (sums / count).tolist()
    return loss, None if math.isnan(accuracy) else accuracy
