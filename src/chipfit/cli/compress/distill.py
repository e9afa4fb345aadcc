"""``chipfit compress distill``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from chipfit.cli.compress._common import Aware, method_command

if TYPE_CHECKING:
    from chipfit.compress.run import Method
    from chipfit.trainable.tune import TuneSettings


@method_command(epochs=8, rate=1e-3, at_least=1)
def distill(
    tuning: TuneSettings,
    teacher: Annotated[
        Path,
        typer.Option(
            "--teacher", "-t", metavar="RUN|MODEL", help="Whom it learns from: a run, or a model, float or quantized."
        ),
    ],
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
    qat: Aware = False,
) -> Method:
    """Let a small model learn from a large one of the same classes, and from labels.

    The teacher sees the student's pictures, brought to its own size and colours.
    """
    from chipfit.compress.distill import Distill, Lesson

    lesson = Lesson(temperature, hard, tuple(feature or ()), feature_weight)
    return Distill(teacher, lesson, qat, tuning)


def add_to(app: typer.Typer) -> None:
    app.command()(distill)
