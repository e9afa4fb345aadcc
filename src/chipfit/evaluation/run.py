"""Run models over the same samples, batch by batch, and say how they differ."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

from chipfit.errors import ChipfitError
from chipfit.evaluation.candidates import Candidate, candidates, size_of
from chipfit.evaluation.data import Dataset, DataSource, open_data
from chipfit.evaluation.engines import LITERT, WORKERS, Engine
from chipfit.evaluation.figures import BoardFigures, EvaluationReport, Latency, ModelFigures
from chipfit.evaluation.labels import check_labels, wanted_labels
from chipfit.evaluation.latency import latencies
from chipfit.evaluation.statistics import confusion_matrix, difference, share_of, worst_confusions
from chipfit.evaluation.tally import Tally
from chipfit.graph import Array
from chipfit.metadata import facts_of
from chipfit.model import Model
from chipfit.quantize import Preprocessing, Progress, no_progress
from chipfit.targets import Board, load_board

_BATCH_BYTES = 32 << 20
_MOST_IN_BATCH = 512
_MOST_CLASSES = 100
"""Classes up to which the confusion matrix is reported."""

_WORST = 10

_MOST_CLIPPED = 0.02
"""Share of the data that may lie beyond what an input can hold without a note."""


def evaluate_models(
    models: Sequence[Model | str | Path],
    data: DataSource,
    *,
    labels: Sequence[str] = (),
    reference: Model | str | Path | None = None,
    preprocessing: Preprocessing | None = None,
    skip: int = 0,
    limit: int | None = None,
    board: str | Board | None = None,
    allow_code: bool = False,
    channels_last: bool = False,
    progress: Progress = no_progress,
) -> EvaluationReport:
    """Accuracy, agreement, size and speed of models that take the same inputs, on the same samples.

    ``models``: loaded, or names of files. ``data``: a folder of pictures, a sub-folder for each class; an ``.npz`` or
    ``.npy`` file or arrays by the names of the inputs, with ``labels`` or ``y``; or an IDX file with that of its labels
    beside it. ``labels``: as ``chipfit evaluate --labels`` takes them. ``reference``: what the others are held against;
    default: the first float32 model. ``preprocessing``: how pixels become inputs, for models whose files do not say.
    ``skip``: samples to leave out first, such as those that were calibrated with; ``limit``: at most so many of the
    others. ``board``: also compile for it, and run a sample. ``allow_code``,
    ``channels_last``: as for :func:`chipfit.load`.

    Models of floats run by LiteRT, models of integers by the C that is generated for them. Raises ChipfitError Q001
    (no samples), Q002 (samples that cannot be used), Q005 (models that cannot be compared), Q006 (labels), F001..F005
    (files), I001, I003, I004 (arrays), B001, B002 (board).
    """
    started = time.perf_counter()
    target = load_board(board) if isinstance(board, str) else board
    chosen, base = _chosen(models, reference, allow_code, channels_last)
    with ThreadPoolExecutor(WORKERS) as pool:
        dataset = _opened(chosen, data, labels, preprocessing, (skip, limit), pool)
        engines = _engines(chosen, pool, progress)
        tallies, seconds = _run(engines, dataset, base, progress)
        sample = dataset.read(0, 1)
        times = _times(engines, sample, progress)
        boards = [_on_board(e, sample, target, progress) for e in engines]
    measured = list(map(_Measured, engines, tallies, seconds, times, boards))
    exact = None if base is None else tallies[base]
    figures = [_figures(m, None if m.tally is exact else exact) for m in measured]
    rights = [t.right for t in tallies]
    pairs = [(i, j) for i in range(len(chosen)) for j in range(i + 1, len(chosen))]
    names = [c.name for c in chosen]
    return EvaluationReport(
        data=str(data) if isinstance(data, str | Path) else "arrays",
        samples=dataset.count,
        skipped=skip,
        labelled=dataset.labels.how,
        classes=chosen[0].classes,
        class_names=dataset.labels.names,
        pixels=None if dataset.pixels is None else dataset.pixels.to_json(),
        reference=None if base is None else names[base],
        board=None if target is None else target.name,
        models=tuple(figures),
        differences=tuple(
            difference((names[i], names[j]), a, b)
            for i, j in pairs
            if (a := rights[i]) is not None and (b := rights[j]) is not None
        ),
        notes=tuple(_notes(engines, base, dataset)),
        seconds=time.perf_counter() - started,
    )


def right_answers(
    models: Sequence[Model | str | Path],
    data: DataSource,
    *,
    preprocessing: Preprocessing | None = None,
    skip: int = 0,
    limit: int | None = None,
    progress: Progress = no_progress,
) -> list[Array] | None:
    """Which samples each model tells right: (samples,), bool, for each; None: the data have no labels.

    As :func:`evaluate_models` finds it, without its other figures; it raises the same.
    """
    chosen, _ = _chosen(models, None, False, False)
    with ThreadPoolExecutor(WORKERS) as pool:
        dataset = _opened(chosen, data, (), preprocessing, (skip, limit), pool)
        if dataset.labels.index is None:
            return None
        tallies, _ = _run(_engines(chosen, pool, progress), dataset, None, progress)
    return [right for t in tallies if (right := t.right) is not None]


# ---------------------------------------------------------------------------------------------- what is compared


def _opened(
    models: Sequence[Candidate],
    data: DataSource,
    labels: Sequence[str],
    preprocessing: Preprocessing | None,
    part: tuple[int, int | None],
    pool: ThreadPoolExecutor,
) -> Dataset:
    """``part``: samples to leave out first, and at most so many of the others."""
    _require_comparable(models)
    dataset = open_data(data, models, wanted_labels(labels), _pixels(models, preprocessing), pool).part(*part)
    check_labels(dataset.labels, models[0].classes)
    return dataset


def _engines(models: Sequence[Candidate], pool: ThreadPoolExecutor, progress: Progress) -> list[Engine]:
    engines: list[Engine] = []
    for i, c in enumerate(models):
        progress(f"preparing {c.name}", i, len(models))
        engines.append(Engine(c, pool))
    return engines


def _chosen(
    models: Sequence[Model | str | Path], reference: Model | str | Path | None, allow_code: bool, channels_last: bool
) -> tuple[list[Candidate], int | None]:
    """All models with names of their own, and the place of the reference."""
    if not models:
        raise ChipfitError("U001", "there are no models to evaluate")
    listed = list(models)
    at: int | None = None
    if reference is not None:
        at = next((i for i, m in enumerate(listed) if _is_same(m, reference)), None)
        if at is None:
            listed.insert(0, reference)
            at = 0
    found = candidates(listed, allow_code, channels_last)
    if at is None:
        at = next((i for i, c in enumerate(found) if c.form == "float32"), None)
    return found, at


def _is_same(a: Model | str | Path, b: Model | str | Path) -> bool:
    if isinstance(a, Model) or isinstance(b, Model):
        return a is b
    return Path(a).resolve() == Path(b).resolve()


def _require_comparable(models: Sequence[Candidate]) -> None:
    """Raise Q005 unless all take the same inputs and give as many scores."""
    first = models[0]
    for other in models[1:]:
        a, b = ([list(i.shape) for i in c.inputs] for c in (first, other))
        if a != b:
            raise ChipfitError(
                "Q005", f"the models take different inputs: '{first.name}' {a}, '{other.name}' {b}",
                "evaluate them one after the other",
            )  # fmt: skip
        if first.classes != other.classes:
            raise ChipfitError(
                "Q005",
                f"'{first.name}' has {first.classes} classes, '{other.name}' has {other.classes}",
                "evaluate them one after the other",
            )


def _pixels(models: Sequence[Candidate], stated: Preprocessing | None) -> Preprocessing | None:
    """How pixels become inputs: as the models' files say, or as stated. Raises ChipfitError Q005 if they disagree."""
    said = [(c.name, kept) for c in models if c.model and (kept := facts_of(c.model).preprocessing) is not None]
    if stated is not None:
        said.append(("the options", stated))
    for name, kept in said[1:]:
        if kept != said[0][1]:
            raise ChipfitError(
                "Q005",
                f"pictures become inputs in different ways: '{said[0][0]}' says {said[0][1].to_json()}, "
                f"'{name}' says {kept.to_json()}",
                "evaluate models apart that were made with different options; leave out options that a file keeps",
            )
    return said[0][1] if said else None


# ---------------------------------------------------------------------------------------------- what is measured


def _run(
    engines: Sequence[Engine], dataset: Dataset, base: int | None, progress: Progress
) -> tuple[list[Tally], list[float]]:
    """All samples through all models; every batch is read once."""
    size = sum(4 * size_of(i.shape) for i in engines[0].candidate.inputs)
    batch = max(1, min(_MOST_IN_BATCH, _BATCH_BYTES // size))
    tallies, seconds = [Tally() for _ in engines], [0.0] * len(engines)
    labels = dataset.labels.index
    for start in range(0, dataset.count, batch):
        stop = min(start + batch, dataset.count)
        progress("running", start, dataset.count)
        real = dataset.read(start, stop)
        results: list[tuple[Array, Array]] = []
        for i, engine in enumerate(engines):
            begun = time.perf_counter()
            results.append(engine.run(real))
            seconds[i] += time.perf_counter() - begun
        exact = None if base is None else results[base][0]
        for tally, (scores, own) in zip(tallies, results, strict=True):
            tally.add(scores, own, None if labels is None else labels[start:stop], exact)
    progress("running", dataset.count, dataset.count)
    return tallies, seconds


def _times(engines: Sequence[Engine], sample: Sequence[Array], progress: Progress) -> list[tuple[Latency, ...]]:
    """Of each model, by each engine that runs it, LiteRT first."""
    runs: list[tuple[int, str, Callable[[], Any]]] = []
    for i, engine in enumerate(engines):
        ways = engine.singles(sample)
        runs += [(i, name, ways[name]) for name in sorted(ways, key=lambda n: n != LITERT)]
    found = latencies([run[1:] for run in runs], lambda done, total: progress("timing single runs", done, total))
    return [tuple(f for f, (at, _, _) in zip(found, runs, strict=True) if at == i) for i in range(len(engines))]


def _on_board(engine: Engine, sample: Sequence[Array], board: Board | None, progress: Progress) -> BoardFigures | None:
    """What the first sample takes on the board; a model that does not fit it, or that its core has no kernel for, has
    the reason."""
    if board is None:
        return None
    model, name = engine.candidate.model, engine.candidate.name
    if model is None:
        return BoardFigures(problem="chipfit cannot compile it")
    progress(f"{name} on the board", 0, 1)
    with tempfile.TemporaryDirectory(prefix="chipfit-evaluate-") as folder:
        try:
            firmware = model.compile(board, Path(folder) / "firmware")
        except ChipfitError as error:
            if error.code not in ("M001", "O002", "A003", "A004"):
                raise
            return BoardFigures(problem=error.message)
        run = firmware.run([tuple(x[0] for x in engine.inputs(sample))])
        report = firmware.report
        return BoardFigures(run.instructions, run.milliseconds, report.flash.total, report.ram.total)


class _Measured(NamedTuple):
    """All that was found out about one model."""

    engine: Engine
    tally: Tally
    seconds: float
    latency: tuple[Latency, ...]
    board: BoardFigures | None


def _figures(m: _Measured, exact: Tally | None) -> ModelFigures:
    """``exact``: that of the reference; None: there is none, or this is it."""
    c, tally, choices = m.engine.candidate, m.tally, m.tally.choices
    labels, right, near = tally.labels, tally.right, tally.among_five
    has_matrix = labels is not None and c.classes <= _MOST_CLASSES
    return ModelFigures(
        name=c.name,
        file=c.file,
        problem=None if c.problem is None else c.problem.message.split("\n")[0],
        form=c.form,
        engine=m.engine.name,
        top1=None if right is None else share_of(int(right.sum()), len(right)),
        top5=None if near is None or c.classes <= 5 else share_of(near, len(choices)),
        agreement=None if exact is None or c.classes < 2 else float((choices == exact.choices).mean()),
        sqnr=None if exact is None else tally.signal.decibels,
        unclear=tally.unclear,
        file_bytes=len(c.source),
        weights_bytes=c.weights_bytes,
        latency=m.latency,
        seconds=m.seconds,
        board=m.board,
        confusion=_rows(confusion_matrix(labels, choices, c.classes)) if labels is not None and has_matrix else None,
        worst=() if labels is None else worst_confusions(labels, choices, _WORST),
    )


def _rows(matrix: Array) -> tuple[tuple[int, ...], ...]:
    return tuple(tuple(int(n) for n in row) for row in matrix)


def _notes(engines: Sequence[Engine], base: int | None, dataset: Dataset) -> list[str]:
    notes: list[str] = []
    if base is None and len(engines) > 1:
        notes.append("no model is float32: name one with --reference for agreement and signal to noise")
    if dataset.labels.how is None:
        notes.append("the data have no labels: no accuracy")
    for engine in engines:
        c = engine.candidate
        if c.model is None:
            notes.append(f"chipfit cannot compile '{c.name}': it is run by LiteRT")
        if engine.clipped > _MOST_CLIPPED:
            notes.append(
                f"{100 * engine.clipped:.0f}% of the data lie beyond what the input of '{c.name}' can hold: are pixels "
                "scaled as the model was trained?"
            )
    return notes
