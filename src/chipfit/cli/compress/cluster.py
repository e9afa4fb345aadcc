"""``chipfit compress cluster``."""

from __future__ import annotations

from typing import Annotated

import typer

from chipfit.cli._options import OFFERED_BOARD, AsJson
from chipfit.cli._pictures import Mean, Scale, Std
from chipfit.cli.compress._common import (
    Augment,
    Batch,
    Board,
    Data,
    Epochs,
    Out,
    Rate,
    Resume,
    Seed,
    Source,
    Val,
    pixels,
    run_method,
    tuning,
)


def cluster(
    source: Source,
    data: Data = None,
    val: Val = None,
    board: Board = OFFERED_BOARD,
    values: Annotated[
        int,
        typer.Option(
            "--values", min=2, max=127, metavar="N", help="Different weights of a layer: 16 take 4 bits each, 4 take 2."
        ),
    ] = 16,
    epochs: Epochs = 0,
    rate: Rate = 2e-4,
    batch: Batch = 32,
    augment: Augment = "light",
    scale: Scale = "1",
    mean: Mean = "0",
    std: Std = "1",
    seed: Seed = 0,
    out: Out = None,
    resume: Resume = False,
    as_json: AsJson = False,
) -> None:
    """Give each layer few different int8 weights, which take few bits in flash; the program decodes them exactly.

    They are chosen layer by layer, with later weights making up for the errors of earlier ones. With --epochs the few
    values learn, too.
    """
    from chipfit.compress.cluster import Cluster

    method = Cluster(values, tuning(epochs, rate, batch, augment, seed))
    run_method(method, epochs, source, data, val, board, out, seed, resume, as_json, pixels(scale, mean, std))


def add_to(app: typer.Typer) -> None:
    app.command()(cluster)
