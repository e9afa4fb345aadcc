"""``chipfit.compare_models``: accuracy and what it costs on boards, of any models side by side."""

from __future__ import annotations

import re
import shlex
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

from chipfit.build import Aim, Weights
from chipfit.comparison.judge import Verdict, accuracy_of, judge_members
from chipfit.comparison.members import Member, open_member
from chipfit.comparison.report import Change, CompareReport, Entry, Judged, OnBoard, is_on_front
from chipfit.comparison.sources import Found, find_models
from chipfit.compress.judge import parameters
from chipfit.deployment import Limits
from chipfit.deployment.figures import GOALS, first_that_fits, nearest
from chipfit.errors import ChipfitError
from chipfit.files import PART
from chipfit.quantize import Preprocessing, Progress, no_progress
from chipfit.targets import Board, load_board
from chipfit.training.run_folder import RunFolder

REPORT, CHART, MODELS = "compare.json", "compare.png", "models"

Stored = Literal["auto", "plain", "compressed"]

_NOT_ON_BOARD = ("M001", "O002", "A003", "A004")
"""Errors of a model that a board cannot run, which say why."""


def compare_models(
    sources: Sequence[str | Path],
    boards: Sequence[str | Board],
    *,
    data: str | Path | None = None,
    preprocessing: Preprocessing | None = None,
    optimize: Aim | None = None,
    weights: Stored = "auto",
    limit: int | None = None,
    folder: str | Path | None = None,
    progress: Progress = no_progress,
) -> CompareReport:
    """Accuracy, memory, instructions, time and energy of models side by side, against the first one.

    ``sources``: folders of ``chipfit train``, ``compress``, ``deploy`` or ``search`` (its front) or of one of its
    trials, float models, which are quantized on ``data``, and integer ones. ``boards``: names, or loaded.
    ``data``: what all are judged by: a folder of pictures, a sub-folder for each class, or an ``.npz`` file with
    ``labels``; None: runs by their validation pictures, of which ``limit`` at most. ``preprocessing``: how pixels
    become inputs, for models whose files do not say. ``optimize``: None: the first of
    :data:`~chipfit.deployment.figures.GOALS` that fits. ``weights``: how they are stored; ``auto``: compressed where a
    model was made for it and takes less flash then. ``folder``: keeps the report and integer models that are made.

    Raises ChipfitError F001, U001, N003 (sources), Q001 (a float model without data), P001 (the folder is somebody
    else's), B001, B002 (boards), and as :func:`chipfit.evaluate_models` and :func:`chipfit.quantize_model` do.
    """
    began = time.monotonic()
    targets = [load_board(b) if isinstance(b, str) else b for b in boards]
    if not sources or not targets:
        raise ChipfitError("U001", "there is nothing to compare", "name models, and boards with -b")
    found = find_models(sources)
    out = None if folder is None else Path(folder)
    if out is not None:
        _own(out)
    with tempfile.TemporaryDirectory(prefix="chipfit-compare-") as temporary:
        work = Path(temporary) if out is None else out / MODELS
        pixels = None if data is None else Path(data)
        members: list[Member] = []
        for i, one in enumerate(found):
            progress(f"opening {one.name}", i, len(found))
            members.append(open_member(one, _made(work, one), pixels, preprocessing, progress))
        judged, verdicts = judge_members(members, pixels, preprocessing, limit, progress)
        entries = _entries(members, verdicts, targets, () if optimize is None else (optimize,), weights, progress)
        if out is None:
            gone = [m.file.is_relative_to(work) for m in members]
            entries = tuple(replace(e, file=None) if is_gone else e for e, is_gone in zip(entries, gone, strict=True))
    report = CompareReport(
        boards=tuple(board.name for board in targets),
        entries=entries,
        judged=judged,
        notes=tuple(_notes(members, judged, verdicts, pixels)),
        folder=None if out is None else str(out),
        files=() if out is None else (REPORT, CHART, *((MODELS,) if (out / MODELS).is_dir() else ())),
        offer=_offer(found, entries, boards, pixels),
        seconds=time.monotonic() - began,
    )
    if out is not None:
        RunFolder(out).write_json(REPORT, report.to_json())
    return report


def _own(folder: Path) -> None:
    """Make the folder, or raise ChipfitError P001 if it holds anything else."""
    is_free = folder.is_dir() and all(p.name.startswith(PART) for p in folder.iterdir())
    if folder.exists() and not is_free and not (folder / REPORT).is_file():
        hint = "name another folder, or a picture: -o NAME.png"
        raise ChipfitError("P001", f"'{folder}' exists and was not written by chipfit compare", hint)
    RunFolder(folder).create()
    if not (folder / REPORT).is_file():
        RunFolder(folder).write_json(REPORT, {"schema": "chipfit.compare", "version": 1})


def _made(work: Path, found: Found) -> Path:
    """Where the integer model of a source is kept if it is made; the folder is there where that is so."""
    folder = work / re.sub(r"[^\w.-]+", "_", found.name)
    if found.file is None:
        RunFolder(folder).create()
    return folder


# ---------------------------------------------------------------------------------------------- figures


def _entries(
    members: Sequence[Member],
    verdicts: Sequence[Verdict],
    boards: Sequence[Board],
    goals: Sequence[Aim],
    weights: Stored,
    progress: Progress,
) -> tuple[Entry, ...]:
    entries: list[Entry] = []
    for i, (member, verdict) in enumerate(zip(members, verdicts, strict=True)):
        found: list[OnBoard] = []
        for board in boards:
            progress(f"{member.found.name} on {board.name}", i, len(members))
            found.append(_on_board(member, board, goals or GOALS, weights))
        entries.append(
            Entry(
                name=member.found.name,
                source=member.found.source,
                kind=member.found.kind,
                about=member.found.about,
                float_file=None if member.float_file is None else str(member.float_file),
                file=str(member.file),
                parameters=parameters(member.model.graph),
                macs=member.model.macs,
                accuracy=accuracy_of(member.found.name, verdict, members[0].found.name, verdicts[0]),
                unknown=verdict.unknown,
                boards=tuple(found),
            )
        )
    first = entries[0]
    whole = tuple(entries)
    return tuple(
        replace(
            entry,
            boards=tuple(
                replace(
                    found,
                    against=None if entry is first else Change.between(first.boards[k], found),
                    on_front=is_on_front(entry, whole, k),
                )
                for k, found in enumerate(entry.boards)
            ),
        )
        for entry in whole
    )


def _on_board(member: Member, board: Board, goals: Sequence[Aim], weights: Stored) -> OnBoard:
    ways: tuple[Weights, ...] = ("plain",) if weights == "auto" else (weights,)
    if weights == "auto" and member.found.is_coded:
        ways = ("plain", "compressed")
    try:
        found = [
            OnBoard.of(nearest(first_that_fits(member.model, board, goals, Limits(), weights=way)), way) for way in ways
        ]
    except ChipfitError as error:
        if error.code not in _NOT_ON_BOARD:
            raise
        return OnBoard(board.name, None, ways[0], None, None, False, None, None, None, problem=error.message)
    return min(found, key=lambda f: (bool(f.problem), f.flash or 0))


# ---------------------------------------------------------------------------------------------- words


def _notes(
    members: Sequence[Member], judged: Sequence[Judged], verdicts: Sequence[Verdict], data: Path | None
) -> list[str]:
    notes: list[str] = []
    if len(judged) > 1:
        notes.append(
            "the models were judged by different pictures: their accuracies say nothing of each other; --data judges "
            "all by the same ones"
        )
    if data is not None:
        notes += [
            f"'{m.found.name}' was trained with pictures of '{data}': that flatters it"
            for m in members
            if m.learned_of is not None and _overlap(m.learned_of, data)
        ]
    for member, verdict in zip(members, verdicts, strict=True):
        if verdict.unknown:
            notes.append(f"accuracy of '{member.found.name}' unknown: {verdict.unknown}")
    return notes


def _overlap(a: Path, b: Path) -> bool:
    """Whether one folder is the other one, or lies in it."""
    a, b = a.resolve(), b.resolve()
    return a == b or a in b.parents or b in a.parents


def _offer(
    found: Sequence[Found], entries: Sequence[Entry], boards: Sequence[str | Board], data: Path | None
) -> str | None:
    """The command that deploys the most accurate one, for the first board that any fits, named as the user did."""
    for place, board in enumerate(boards):
        fitting = [(f, e) for f, e in zip(found, entries, strict=True) if not e.boards[place].problem]
        if fitting:
            best, _ = max(fitting, key=lambda pair: (_share(pair[1]), -(pair[1].boards[place].instructions or 0)))
            named = board if isinstance(board, str) else board.name
            words = ["chipfit", "deploy", str(best.run or best.file or best.path), "-b", named]
            return shlex.join([*words, *(["--data", str(data)] if best.run is None and data is not None else [])])
    return None


def _share(entry: Entry) -> float:
    return -1.0 if entry.accuracy is None else entry.accuracy.integer.share
