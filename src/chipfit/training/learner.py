"""What a loop lets learn: a Keras model, or anything else that takes batches."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any, Literal

from chipfit.graph import Array
from chipfit.training.backbones import HEAD, Outputs
from chipfit.training.numbers import Standard
from chipfit.training.run_folder import BEST, RunFolder

Phase = Literal["head", "all"]

_FOLLOWED = 4
"""Batch norms forget this many times in an epoch."""
_LEAST_MOMENTUM = 0.5


class Learner(ABC):
    """Learns batch by batch. ``x``: (n, h, w, c), float32, as the network takes it; ``y``: (n, outputs), float32."""

    keras: Any

    @abstractmethod
    def begin(self, phase: Phase, rate: float) -> None:
        """With a new optimizer, whose variables are there at once."""

    @abstractmethod
    def set_rate(self, rate: float) -> None: ...

    @abstractmethod
    def epoch(self, number: int) -> None:
        """Before each epoch; the first one is 1."""

    @abstractmethod
    def train(self, x: Array, y: Array, weights: Array) -> tuple[float, float]:
        """Mean loss and accuracy of a batch, while it learns; NaN where there is no accuracy. ``weights``: (n,)."""

    @abstractmethod
    def predict(self, x: Array) -> Array:
        """(n, outputs): probabilities of classes, or standardised numbers."""

    @abstractmethod
    def variables(self) -> list[Any]:
        """All that changes while it learns, in an order of its own: what a run goes on with."""

    @abstractmethod
    def save(self, folder: RunFolder) -> None:
        """Keep it as it is now: the best one so far."""


class KerasLearner(Learner):
    """A model of :func:`chipfit.training.backbones.build`. ``steps``: batches of an epoch; ``standard``: what its
    numbers are standardised by, None: there is nothing to undo."""

    def __init__(self, keras: Any, model: Any, kind: Outputs, steps: int, standard: Standard | None = None) -> None:
        self.keras, self.model, self._kind, self._standard = keras, model, kind, standard
        for layer in model.layers:
            if isinstance(layer, keras.layers.BatchNormalization):
                # statistics that follow within an epoch, however few batches it has
                layer.momentum = max(_LEAST_MOMENTUM, min(layer.momentum, 1 - _FOLLOWED / steps))
        # it shares the layers and knows no optimizer, which a saved model has no use for
        self._saved = keras.Model(model.input, model.output, name=model.name)

    def begin(self, phase: Phase, rate: float) -> None:
        """Frozen batch norms keep their statistics and use them."""
        for layer in self.model.layers:
            layer.trainable = phase == "all" or layer.name in HEAD
        is_classes = self._kind == "classes"
        self.model.compile(
            self.keras.optimizers.Adam(rate),
            "categorical_crossentropy" if is_classes else "mean_squared_error",
            metrics=["accuracy"] if is_classes else None,
        )
        self.model.optimizer.build(self.model.trainable_variables)

    def set_rate(self, rate: float) -> None:
        self.model.optimizer.learning_rate = rate

    def epoch(self, number: int) -> None:
        """Nothing of it depends on the epoch."""

    def train(self, x: Array, y: Array, weights: Array) -> tuple[float, float]:
        logs = self.model.train_on_batch(x, y, sample_weight=weights, return_dict=True)
        return float(logs["loss"]), float(logs.get("accuracy", math.nan))

    def predict(self, x: Array) -> Array:
        return self.model.predict_on_batch(x)

    def variables(self) -> list[Any]:
        """Weights, statistics, states of random numbers, the optimizer's."""
        return [*self.model.variables, *self.model.optimizer.variables]

    def save(self, folder: RunFolder) -> None:
        with folder.staged(BEST) as part, self._in_units():
            self._saved.save(part)

    @contextmanager
    def _in_units(self) -> Generator[None]:
        """The last layer gives numbers in their units meanwhile; it learns standardised ones."""
        head = self.model.get_layer(HEAD[-1])
        learned = head.get_weights()
        if self._standard is not None:
            head.set_weights(self._standard.folded(*learned))
        try:
            yield
        finally:
            head.set_weights(learned)
