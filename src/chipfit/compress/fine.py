"""Learning with weights of a form of their own, and what methods that choose integers hand back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from chipfit.compress.run import Outcome, Session
from chipfit.graph import Graph
from chipfit.trainable.tune import Tuned, TuneSettings, Tuning
from chipfit.trainable.weights import Weight


def tuning_words(tuning: TuneSettings | None) -> list[str]:
    """The options of a command that tunes."""
    if tuning is None:
        return ["--epochs", "0"]
    return [
        "--epochs", str(tuning.epochs), "--rate", f"{tuning.rate:g}", "--batch", str(tuning.batch), "--augment",
        tuning.augment,
    ]  # fmt: skip


def fine_tuned(
    session: Session, graph: Graph, settings: TuneSettings | None, forms: Mapping[str, Weight]
) -> Tuned | None:
    """The graph after learning in these forms of its weights; None: nothing is to learn, or there are no labels."""
    data = session.subject.data
    if settings is None or data is None:
        return None
    return Tuning(graph, data, session.state("tune"), settings, forms).run(session.watch, resume=True)


@dataclass(frozen=True, eq=False)
class Fixed:
    """A float graph and its int8 form, decided together. ``tuned``: what the float graph learned; None: nothing."""

    graph: Graph
    int8: Graph
    details: Any
    tuned: Tuned | None

    def outcome(self, session: Session) -> Outcome:
        progress = None if self.tuned is None else self.tuned.progress
        return Outcome(
            self.graph,
            self.int8,
            details=self.details,
            history=() if progress is None else progress.history,
            best=0 if progress is None else progress.best,
        )
