"""Epochs: the head alone first, then all layers; what is better is kept, and every epoch can be gone on from."""

from __future__ import annotations

import math
import time
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import numpy as np

from chipfit.errors import ChipfitError
from chipfit.graph import Array
from chipfit.quantize import Preprocessing
from chipfit.training.augment import Augmentation, batches
from chipfit.training.backbones import HEAD, Outputs
from chipfit.training.judge import cross_entropy, outputs_of
from chipfit.training.numbers import Standard
from chipfit.training.pictures import PictureSet
from chipfit.training.run_folder import BEST, RunFolder
from chipfit.training.split import Split

Phase = Literal["head", "all"]

_FOLLOWED = 4
"""Batch norms forget this many times in an epoch."""
_LEAST_MOMENTUM = 0.5

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
    phase without a better one end it, 0: none do; half as many lower the learning rate."""

    kind: Outputs
    frozen: int
    epochs: int
    batch: int
    rate: float
    patience: int
    augmentation: Augmentation
    seed: int

    def phase(self, number: int) -> Phase:
        return "head" if number <= self.frozen else "all"


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
        rate = plan.rate if begins else self.rate
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
    """One run. ``model``: with the weights that it begins with; ``folder``: where all goes."""

    keras: Any
    model: Any
    data: Data
    plan: Plan
    folder: RunFolder
    watch: Watch
    progress: Progress = field(init=False)

    def __post_init__(self) -> None:
        self.progress = Progress(self.plan.rate)
        steps = self._steps()
        for layer in self.model.layers:
            if isinstance(layer, self.keras.layers.BatchNormalization):
                # statistics that follow within an epoch, however few batches it has
                layer.momentum = max(_LEAST_MOMENTUM, min(layer.momentum, 1 - _FOLLOWED / steps))
        # it shares the layers and knows no optimizer, which a saved model has no use for
        self._saved = self.keras.Model(self.model.input, self.model.output, name=self.model.name)

    def resume(self) -> None:
        """Go on where the folder's last epoch ended. Raises ChipfitError N003 if it is of another network."""
        last = self.folder.read_last()
        if last is None:
            return
        arrays, state = last
        try:
            self.progress = Progress.from_json(state)
            self._compile(self.plan.phase(len(self.progress.history)))
            for variable, array in zip(self._variables(), arrays, strict=True):
                variable.assign(array)
        except (ValueError, LookupError, TypeError) as error:
            raise ChipfitError(
                "N003", f"the state of the run does not fit: {error}", "start anew: another -o"
            ) from None

    def run(self) -> Iterator[Progress]:
        """After each epoch what has happened so far, until it is over. Raises ChipfitError N004 for an infinite loss,
        P003 where the folder cannot be written."""
        compiled = self.plan.phase(len(self.progress.history)) if self.progress.history else None
        while not self.progress.is_over(self.plan):
            number = len(self.progress.history) + 1
            phase = self.plan.phase(number)
            if phase != compiled:
                self._compile(phase)
                compiled = phase
            self.model.optimizer.learning_rate = self.progress.rate
            epoch = self._epoch(number, phase)
            self.progress = self.progress.after(epoch, self.plan)
            is_best = self.progress.best == number
            if is_best:
                with self.folder.staged(BEST) as part, self._in_units():
                    self._saved.save(part)
            self.folder.write_last(
                [self.keras.ops.convert_to_numpy(v) for v in self._variables()], self.progress.to_json()
            )
            self.watch.epoch(epoch, is_best)
            yield self.progress

    def _compile(self, phase: Phase) -> None:
        """With a new optimizer. Frozen batch norms keep their statistics and use them."""
        for layer in self.model.layers:
            layer.trainable = phase == "all" or layer.name in HEAD
        is_classes = self.plan.kind == "classes"
        self.model.compile(
            self.keras.optimizers.Adam(self.progress.rate),
            "categorical_crossentropy" if is_classes else "mean_squared_error",
            metrics=["accuracy"] if is_classes else None,
        )
        self.model.optimizer.build(self.model.trainable_variables)

    @contextmanager
    def _in_units(self) -> Generator[None]:
        """The last layer gives numbers in their units meanwhile; it learns standardised ones."""
        standard, head = self.data.standard, self.model.get_layer(HEAD[-1])
        learned = head.get_weights()
        if standard is not None:
            head.set_weights(standard.folded(*learned))
        try:
            yield
        finally:
            head.set_weights(learned)

    def _variables(self) -> list[Any]:
        """All that changes while it learns: weights, statistics, states of random numbers, the optimizer's."""
        return [*self.model.variables, *self.model.optimizer.variables]

    def _epoch(self, number: int, phase: Phase) -> Epoch:
        began, data, plan = time.perf_counter(), self.data, self.plan
        # what is drawn depends on the epoch alone, so that a resumed run draws the same; dropout of PyTorch draws from
        # the process's generator
        rng = np.random.default_rng([plan.seed, number])
        self.keras.utils.set_random_seed(int(rng.integers(1 << 31)))
        total = self._steps()
        sums, seen = np.zeros(2), 0
        drawn = batches(data.pictures, data.split.train, plan.batch, plan.augmentation, rng)
        for done, (pixels, labels) in enumerate(drawn, 1):
            x, y, weights = data.preprocessing.apply(pixels), data.targets[labels], data.weights[labels]
            logs = self.model.train_on_batch(x, y, sample_weight=weights, return_dict=True)
            sums += len(labels) * np.array([logs["loss"], logs.get("accuracy", math.nan)], np.float64)
            seen += len(labels)
            loss, accuracy = _means(sums, seen)
            if not math.isfinite(loss):
                hint = f"a smaller learning rate: --rate {self.progress.rate / 5:g}"
                raise ChipfitError("N004", f"the loss of epoch {number} is {loss} after {done} batches", hint)
            self.watch.batch(number, phase, done, total, loss, accuracy)
        loss, accuracy = _means(sums, seen)
        val_loss, val_accuracy = self._validate()
        seconds = time.perf_counter() - began
        return Epoch(number, phase, loss, accuracy, val_loss, val_accuracy, self.progress.rate, seconds)

    def _steps(self) -> int:
        """Batches of an epoch."""
        return -(-len(self.data.split.train) // self.plan.batch)

    def _validate(self) -> tuple[float, float | None]:
        data = self.data
        indices = data.split.validation
        outputs = outputs_of(self.model.predict_on_batch, data.pictures, indices, data.preprocessing)
        labels = data.pictures.labels[indices]
        if self.plan.kind == "numbers":
            return float(np.square(outputs - data.targets[labels]).mean()), None
        return cross_entropy(outputs, labels), float((outputs.argmax(axis=1) == labels).mean())


def _means(sums: Array, count: int) -> tuple[float, float | None]:
    """Loss and accuracy over ``count`` pictures; None where there is no accuracy."""
    loss, accuracy = (sums / count).tolist()
    return loss, None if math.isnan(accuracy) else accuracy
