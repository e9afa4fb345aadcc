"""``chipfit compress distill``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from chipfit.cli._options import OFFERED_BOARD, AsJson
from chipfit.cli.compress._common import Augment, Batch, Board, Data, Out, Rate, Resume, Seed, Source, Val, run_method


def distill(
    source: Source,
    teacher: Annotated[
        Path,
        typer.Option(
            "--teacher", "-t", metavar="RUN|MODEL", help="Whom it learns from: a run, or a model, float or quantized."
        ),
    ],
    data: Data = None,
    val: Val = None,
    board: Board = OFFERED_BOARD,
    temperature: Annotated[
        float,
        typer.Option(
            "--temperature", metavar="T", help="Logits are divided by it: more, and unlikely classes count more."
        ),
    ] = 4.0,
    hard: Annotated[
        float, typer.Option("--hard", metavar="S", help="Share of the labels in what is learned; 0: the teacher alone.")
    ] = 0.3,
    feature: Annotated[
        list[str] | None,
        typer.Option(
            "--feature", metavar="OURS=THEIRS", help="Tensors to be alike, too; or auto: the last one of each size."
        ),
    ] = None,
    feature_weight: Annotated[
        float, typer.Option("--feature-weight", metavar="W", help="Of these, beside the rest.")
    ] = 0.5,
    qat: Annotated[bool, typer.Option("--qat", help="Learn in integers, as `compress qat` does.")] = False,
    epochs: Annotated[int, typer.Option("--epochs", min=1, metavar="N", help="Of learning.")] = 8,
    rate: Rate = 1e-3,
    batch: Batch = 32,
    augment: Augment = "light",
    seed: Seed = 0,
    out: Out = None,
    resume: Resume = False,
    as_json: AsJson = False,
) -> None:
    """Let a small model learn from a large one of the same classes, and from labels.

    The teacher sees the student's pictures, brought to its own size and colours.
    """
    from chipfit.compress.distill import Distill, Lesson
    from chipfit.trainable.tune import TuneSettings

    lesson = Lesson(temperature, hard, tuple(feature or ()), feature_weight)
    settings = TuneSettings(epochs=epochs, rate=rate, batch=batch, augment=augment, seed=seed)
    method = Distill(teacher, lesson, qat, settings)
    run_method(method, epochs, source, data, val, board, out, seed, resume, as_json)


def add_to(app: typer.Typer) -> None:
    app.command()(distill)
