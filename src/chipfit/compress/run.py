"""The frame of all methods of compression: open, judge, apply, judge again, and write the folder of a run."""

from __future__ import annotations

import shlex
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

from chipfit.compress.judge import figures, judged_samples
from chipfit.compress.report import BoardFigures, CompressReport, ModelFigures
from chipfit.compress.subject import Subject, open_subject
from chipfit.errors import ChipfitError
from chipfit.exporters import to_tflite
from chipfit.graph import Array, Graph
from chipfit.metadata import Facts, facts_of
from chipfit.quantize import Preprocessing, Progress, Recipe, no_progress
from chipfit.targets import Board
from chipfit.trainable.judge import float_outputs
from chipfit.training.backend import start_keras, versions
from chipfit.training.curves import curves_png
from chipfit.training.loop import Epoch, Watch
from chipfit.training.run_folder import COMPRESSED, CURVES, RUN, SPLIT, RunFolder, integer_name

_NOBODY = Watch()


@dataclass(frozen=True)
class Request:
    """``source``: the folder of a run, or a float model; ``out``: the folder that is written, new or empty; ``board``:
    what the result is for. ``data``, ``validation``: for a model, see :func:`~chipfit.compress.subject.open_subject`.
    ``resume``: go on with what is in ``out``. ``preprocessing``: how pixels become inputs of a model whose file does
    not say it; None: as they are."""

    source: Path
    out: Path
    board: Board
    data: Path | None = None
    validation: Path | None = None
    seed: int = 0
    resume: bool = False
    preprocessing: Preprocessing | None = None


@dataclass(frozen=True, eq=False)
class Outcome:
    """What a method made. ``graph``: float; ``int8``: where the method decides the integers, too; else they are found
    as ``chipfit quantize`` does. ``recipe``: how it was quantized then. ``details``: a dataclass for the report.
    ``history``: epochs of learning; ``best``: number of the one that was kept, 0: none."""

    graph: Graph
    int8: Graph | None = None
    recipe: str = str(Recipe())
    details: Any = None
    history: tuple[Epoch, ...] = ()
    best: int = 0
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Session:
    """What a method works with. ``folder``: of the run; files of its own that it writes there before it is finished
    (such as the state of its tuning) begin with ``state``, and go in the end."""

    request: Request
    subject: Subject
    folder: RunFolder
    watch: Watch = field(default_factory=Watch)
    progress: Progress = no_progress

    def state(self, name: str) -> RunFolder:
        """A folder for what a method keeps until it is finished."""
        folder = RunFolder(self.folder.path / f"state-{name}")
        folder.create()
        return folder


class Method(Protocol):
    """A way of making models smaller, with its settings."""

    @property
    def name(self) -> str:
        """Of the subcommand."""
        ...

    @property
    def words(self) -> list[str]:
        """The settings as a shell's command has them, the defaults left out."""
        ...

    @property
    def epochs(self) -> int:
        """Of all that learns, at most."""
        ...

    def apply(self, session: Session) -> Outcome:
        """May be called again after an interruption: what is in the session's state folders is gone on with."""
        ...


def compress(
    request: Request, method: Method, *, watch: Watch = _NOBODY, progress: Progress = no_progress
) -> CompressReport:
    """Make a model smaller; the result is a folder that says all of how, and that every command takes for a run.

    Interrupted, it can be gone on with: ``request.resume``, with the same settings. Raises ChipfitError P001 where
    ``out`` holds something else, N003 where it was begun otherwise, and as :func:`open_subject` and the method do.
    """
    folder = RunFolder(request.out)
    kept: Mapping[str, Any] = {}
    if request.resume:
        kept = folder.read_run()
        _require_same(kept, request, method)
    else:
        folder.require_free()
    began = time.monotonic()
    subject = open_subject(
        request.source, request.data, request.validation, request.seed, progress, request.preprocessing
    )
    folder.create()
    report = _first_report(request, subject, method)
    samples = judged_samples(subject)
    reference = None if samples is None else float_outputs(subject.model.graph, samples)
    before = _kept_figures(kept)
    if before is None:
        before, _ = figures(subject, subject.model.graph, request.board, reference=reference, progress=progress)
    report = replace(report, before=before)
    _write(folder, report)
    try:
        made = method.apply(Session(request, subject, folder, watch, progress))
        report = _finished(report, folder, subject, made, request.board, reference, progress)
    except KeyboardInterrupt:
        _write(folder, replace(report, status="interrupted"))
        raise
    report = replace(report, seconds=float(kept.get("seconds", 0.0)) + time.monotonic() - began)
    _write(folder, report)
    _remove_state(folder)
    return report


def compress_or_resume(
    request: Request, method: Method, *, watch: Watch = _NOBODY, progress: Progress = no_progress
) -> dict[str, Any]:
    """:func:`compress`; or going on with what an earlier call has begun; or, of what is finished, nothing at all.

    Returns what the folder's ``run.json`` says then. Raises ChipfitError P001 where ``out`` was made otherwise, and as
    :func:`compress` does.
    """
    folder = RunFolder(request.out)
    kept = folder.read_run() if (folder.path / RUN).is_file() else {}
    if kept.get("status") == "finished":
        if kept["command"] != command(request, method):
            raise ChipfitError("P001", f"'{request.out}' was made by: {kept['command']}", "name another folder: -o")
        return kept
    compress(replace(request, resume=bool(kept)), method, watch=watch, progress=progress)
    return folder.read_run()


def command(request: Request, method: Method) -> str:
    """The command line that does the same."""
    words = ["chipfit", "compress", method.name, str(request.source)]
    for option, value in (("--data", request.data), ("--val", request.validation)):
        words += [] if value is None else [option, str(value)]
    if (how := request.preprocessing) is not None:
        words += ["--scale", f"{how.scale!r}", *_listed("--mean", how.mean), *_listed("--std", how.std)]
    words += ["-b", request.board.name, *method.words, "--seed", str(request.seed), "-o", str(request.out)]
    return shlex.join(words)


def _listed(option: str, numbers: tuple[float, ...]) -> list[str]:
    return [option, ",".join(f"{n!r}" for n in numbers)]


def _first_report(request: Request, subject: Subject, method: Method) -> CompressReport:
    validation = subject.validation_path
    return CompressReport(
        model=subject.name,
        method=method.name,
        applied=(*subject.applied, method.name),
        source=str(request.source),
        folder=str(request.out),
        status="running",
        data=None if subject.data_path is None else str(subject.data_path.resolve()),
        validation_data=None if validation is None else str(validation.resolve()),
        settings=subject.settings,
        preprocessing=subject.facts.preprocessing,
        classes=subject.facts.labels,
        command=command(request, method),
        board_name=request.board.name,
        judged=0 if subject.data is None else len(subject.data.split.validation),
        notes=_doubts(request, subject),
    )


def _doubts(request: Request, subject: Subject) -> tuple[str, ...]:
    """What the figures depend on, and nobody has said."""
    is_said = (request.preprocessing or facts_of(subject.model).preprocessing) is not None
    if is_said or subject.settings is None:
        return ()
    return ("pixels go in as they are, from 0 to 255: the file says nothing else (--scale, --mean, --std)",)


def _require_same(kept: Mapping[str, Any], request: Request, method: Method) -> None:
    """Raise ChipfitError N003 if the folder was begun with something else, or is finished."""
    if kept["schema"] != COMPRESSED:
        raise ChipfitError("N003", f"the run in '{request.out}' is one of chipfit train", "name another folder: -o")
    if kept["status"] == "finished":
        raise ChipfitError("N003", f"the run in '{request.out}' is finished", "begin another one: -o")
    ours = command(replace(request, resume=False), method)
    if kept["command"] != ours:
        raise ChipfitError("N003", f"the run in '{request.out}' began as: {kept['command']}", "repeat it with --resume")


def _kept_figures(kept: Mapping[str, Any]) -> ModelFigures | None:
    before = kept.get("before")
    if before is None:
        return None
    boards = {name: before.get(name) for name in ("board", "compressed")}
    found = {name: None if board is None else BoardFigures(**board) for name, board in boards.items()}
    known: dict[str, Any] = {**before, **found}
    return ModelFigures(**known)


def _finished(
    report: CompressReport, folder: RunFolder, subject: Subject, made: Outcome, board: Board,
    reference: Array | None, progress: Progress,
) -> CompressReport:  # fmt: skip
    """Judge what was made, and write its files."""
    after, _ = figures(subject, made.graph, board, made.int8, reference, progress)
    name = report.model
    folder.write(f"{name}.tflite", to_tflite(made.graph, subject.facts.attached()))
    files = [f"{name}.tflite"]
    if made.int8 is not None:
        facts = Facts(made.recipe, subject.facts.preprocessing, subject.facts.labels)
        folder.write(f"{integer_name(name)}.tflite", to_tflite(made.int8, facts.attached()))
        files.append(f"{integer_name(name)}.tflite")
    if made.history:
        folder.write(CURVES, curves_png(made.history, made.best, f"{name}: {report.method}"))
        files.append(CURVES)
    if subject.data is not None and subject.settings is not None:
        folder.write_json(SPLIT, subject.data.split.to_json(subject.data.pictures))
        files.append(SPLIT)
    return replace(
        report, status="finished", after=after, details=made.details, history=made.history,
        notes=(*report.notes, *made.notes),
        files=(*files, RUN), versions=versions(start_keras()) if made.history else (),
    )  # fmt: skip


def _write(folder: RunFolder, report: CompressReport) -> None:
    folder.write_json(RUN, report.to_json())


def _remove_state(folder: RunFolder) -> None:
    for state in folder.path.glob("state-*"):
        for file in state.iterdir():
            file.unlink()
        state.rmdir()
