"""Learning with weights of a form of their own, and what methods that choose integers hand back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from chipfit.compress.run import Outcome, Session
from chipfit.errors import ChipfitError
from chipfit.graph import Graph, Quant
from chipfit.quantize import Recipe
from chipfit.quantize.run import folded
from chipfit.trainable.aware import Aware, train_aware
from chipfit.trainable.tune import Tuned, TuneSettings, Tuning
from chipfit.trainable.weights import Weight
from chipfit.training.loop import Progress


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


def learned_in_integers(
    session: Session,
    graph: Graph,
    settings: TuneSettings | None,
    forms: Mapping[str, Weight],
    quants: Mapping[str, Quant] | None = None,
) -> Aware | None:
    """As :func:`fine_tuned`, in integers. ``quants``: see :func:`~chipfit.trainable.aware.train_aware`."""
    data = session.subject.data
    if settings is None or data is None:
        return None
    recipe = Recipe()
    if quants is not None:
        recipe = replace(recipe, steps=recipe.steps - {"equalize"})
    return train_aware(
        graph, data, session.state("tune"), settings, recipe=recipe, weights=forms, quants=quants, watch=session.watch,
        resume=True,
    )  # fmt: skip


def require_epochs(aware: bool, tuning: TuneSettings | None) -> None:
    """Raise ChipfitError U001 where something is to learn in integers, and nothing learns."""
    if aware and tuning is None:
        raise ChipfitError("U001", "--qat learns in integers, and --epochs is 0", "such as --epochs 1")


def folded_copy(graph: Graph) -> Graph:
    """The graph with what the quantizer makes part of the first layers' weights, so that these are final."""
    copy = graph.copy()
    folded(copy)
    return copy


def outcome(
    graph: Graph, int8: Graph, details: Any, progress: Progress | None, recipe: Recipe | None = None
) -> Outcome:
    """Of a float graph and its int8 form, decided together. ``progress``: of what was learned; None: nothing was."""
    history, best = ((), 0) if progress is None else (progress.history, progress.best)
    return Outcome(graph, int8, str(recipe or Recipe()), details, history, best)
