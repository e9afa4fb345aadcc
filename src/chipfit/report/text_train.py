"""What ``chipfit train`` says."""

from __future__ import annotations

from pathlib import Path

from rich.console import RenderableType

from chipfit.report.text import (
    Column,
    blocks,
    command,
    count,
    facts,
    next_step,
    plural,
    safe,
    table,
    title,
)
from chipfit.training.judge import Judgement, NumberJudgement
from chipfit.training.report import QatFigures, TrainReport
from chipfit.training.run_folder import integer_name

_MOST_CLASSES = 12
"""Classes up to which the confusions of all of them are shown."""
_MOST_BROKEN = 5


def train_text(report: TrainReport, width: int, board: str = "arduino-nano-33-ble") -> RenderableType:
    """``board``: the one that the next command is offered for."""
    judged = report.judgement
    return blocks(
        title(f"{report.model}: {report.network}", _head(report)),
        _figures(judged, width) if judged else None,
        facts(_facts(report)),
        next_step(*_next(report, board)) if judged else None,
    )


def _head(report: TrainReport) -> str:
    judged = report.judgement
    if isinstance(judged, Judgement):
        return f"{100 * judged.accuracy:.2f}% of {count(judged.pictures)} validation pictures right"
    return f"judged on {count(judged.pictures)} validation pictures" if judged else ""


def _figures(judged: Judgement | NumberJudgement, width: int) -> RenderableType:
    return _classes(judged, width) if isinstance(judged, Judgement) else _numbers(judged, width)


def _numbers(judged: NumberJudgement, width: int) -> RenderableType:
    """The deviation is what a network that always says the mean has as its error (RMS)."""
    columns = [
        Column("number", flexible=True),
        *(Column(name, "right") for name in ("mean absolute error", "error, RMS", "deviation")),
    ]
    rows = [(one.name, *(f"{x:.4g}" for x in (one.error, one.rms, one.deviation))) for one in judged.numbers]
    return table(columns, rows, width)


def _classes(judged: Judgement, width: int) -> RenderableType:
    names = [c.name for c in judged.classes]
    has_matrix = len(names) <= _MOST_CLASSES
    columns = [
        Column("class", flexible=True),
        Column("pictures", "right"),
        Column("recall", "right"),
        Column("precision", "right"),
        *(Column(f"as {safe(name)}", "right", wide=80) for name in names if has_matrix),
    ]
    rows = [
        (
            figures.name, count(figures.pictures), _percent(figures.recall), _percent(figures.precision),
            *(count(n) for n in judged.confusion[i] if has_matrix),
        )
        for i, figures in enumerate(judged.classes)
    ]  # fmt: skip
    return table(columns, rows, width)


def _percent(share: float | None) -> str:
    return "" if share is None else f"{100 * share:.1f}%"


def _facts(report: TrainReport) -> list[tuple[str, RenderableType]]:
    trained = f"{count(sum(report.training))} to train with"
    if not report.settings.labels:
        named = zip(report.classes, report.training, strict=True)
        trained += ": " + ", ".join(f"{safe(n)} {count(c)}" for n, c in named)
    lines: list[tuple[str, RenderableType]] = [
        ("pictures", f"{trained}; validation: {report.split}"),
        ("network", f"{count(report.parameters)} parameters, {count(report.macs)} multiply-accumulates a picture"),
    ]
    if report.pretrained is not None:
        note = f"; {report.pretrained.note}" if report.pretrained.note else ""
        lines.append(("weights", f"of {report.pretrained.source}, {plural(report.pretrained.layers, 'layer')}{note}"))
    lines += [("note", note) for note in report.notes]
    for broken in report.broken[:_MOST_BROKEN]:
        lines.append(("left out", f"{broken.file}: {broken.reason}"))
    if len(report.broken) > _MOST_BROKEN:
        lines.append(("left out", f"{count(len(report.broken) - _MOST_BROKEN)} more: see run.json"))
    lines += [
        (
            "epochs",
            f"{len(report.history)}, the best is number {report.best}; {report.seconds:.0f} s by {report.backend}",
        ),
        *_of_integers(report),
        *((("figures", report.judgement.how),) if report.judgement else ()),
        ("folder", f"{report.folder}: {', '.join(report.files)}"),
    ]
    return lines


def _of_integers(report: TrainReport) -> list[tuple[str, RenderableType]]:
    return [] if report.qat is None else [("int8", _qat(report.qat))]


def qat_text(made: QatFigures) -> RenderableType:
    """What came of learning in integers, in a line."""
    return facts([("int8", _qat(made))])


def _qat(made: QatFigures) -> str:
    epochs = f"{plural(len(made.history), 'epoch')}, the best is number {made.best}; {made.seconds:.0f} s"
    if made.accuracy is None or made.int8_accuracy is None:
        return f"learned in integers: {epochs}"
    was = f"while it learned {100 * made.accuracy:.2f}%"
    if made.float_accuracy is not None and made.rounded_accuracy is not None:
        was += f", float {100 * made.float_accuracy:.2f}%, rounded only {100 * made.rounded_accuracy:.2f}%"
    return f"{100 * made.int8_accuracy:.2f}% right ({was}); learned in integers: {epochs}"


def _next(report: TrainReport, board: str) -> list[str]:
    model = str(Path(report.folder) / f"{report.model}.tflite")
    small = str(Path(report.folder) / f"{integer_name(report.model)}.tflite")
    compiled = command("compile", small, "-b", board)
    return [compiled] if report.qat else [command("quantize", model, "--data", report.data, "-o", small), compiled]
