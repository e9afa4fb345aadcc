"""Quantization-aware training as a method: a network learns in the integers that it is deployed with."""

from __future__ import annotations

from dataclasses import dataclass

from chipfit.compress.fine import tuning_words
from chipfit.compress.run import Outcome, Session
from chipfit.trainable.aware import SETTINGS, train_aware
from chipfit.trainable.tune import TuneSettings


@dataclass(frozen=True)
class Qat:
    """``chipfit compress qat``."""

    settings: TuneSettings = SETTINGS

    @property
    def name(self) -> str:
        return "qat"

    @property
    def words(self) -> list[str]:
        return tuning_words(self.settings)

    @property
    def epochs(self) -> int:
        return self.settings.epochs

    def apply(self, session: Session) -> Outcome:
        made = train_aware(
            session.subject.model.graph, session.subject.require_data(), session.state(self.name), self.settings,
            watch=session.watch, resume=True,
        )  # fmt: skip
        figures = made.figures
        return Outcome(made.graph, made.int8, str(made.recipe), figures, figures.history, figures.best)
