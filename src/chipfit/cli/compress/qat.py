"""``chipfit compress qat``."""

from __future__ import annotations

from typing import Annotated

import typer

from chipfit.cli._options import OFFERED_BOARD, AsJson
from chipfit.cli.compress._common import Augment, Batch, Board, Data, Out, Rate, Resume, Seed, Source, Val, run_method


def qat(
    source: Source,
    data: Data = None,
    val: Val = None,
    board: Board = OFFERED_BOARD,
    epochs: Annotated[
        int, typer.Option("--epochs", min=1, metavar="N", help="In integers; ranges settle in the first half.")
    ] = 4,
    rate: Rate = 2e-4,
    batch: Batch = 32,
    augment: Augment = "light",
    out: Out = None,
    seed: Seed = 0,
    resume: Resume = False,
    as_json: AsJson = False,
) -> None:
    """Train a float network in the integers that it will compute with (quantization-aware training).

    The folder gets the float network (.tflite) and the int8 one that it was trained as, which `deploy` takes as it is.
    """
    from chipfit.compress.qat import Qat
    from chipfit.trainable.tune import TuneSettings

    method = Qat(TuneSettings(epochs=epochs, rate=rate, batch=batch, augment=augment, seed=seed))
    run_method(method, epochs, source, data, val, board, out, seed, resume, as_json)


def add_to(app: typer.Typer) -> None:
    app.command()(qat)
