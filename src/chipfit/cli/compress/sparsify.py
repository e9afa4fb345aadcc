"""``chipfit compress sparsify``."""

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


def sparsify(
    source: Source,
    data: Data = None,
    val: Val = None,
    board: Board = OFFERED_BOARD,
    sparsity: Annotated[
        float | None,
        typer.Option("--sparsity", metavar="S", help="Share of a layer's weights that become 0.  [default: 0.75]"),
    ] = None,
    pattern: Annotated[
        str | None,
        typer.Option("--pattern", metavar="N:M", help="Or: N of M neighbours stay, such as 2:4."),
    ] = None,
    depthwise: Annotated[
        bool, typer.Option("--depthwise", help="Depthwise layers, too: they have few weights, which matter much.")
    ] = False,
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
    """Make weights 0, which then take one bit in flash each; the program decodes them exactly. Speed stays.

    They are chosen layer by layer, with the weights that stay making up for those that go. With --epochs these learn.
    """
    from chipfit.compress.sparse import Sparsify

    share = 0.75 if sparsity is None and pattern is None else sparsity
    method = Sparsify(share, pattern, depthwise, tuning(epochs, rate, batch, augment, seed))
    run_method(method, epochs, source, data, val, board, out, seed, resume, as_json, pixels(scale, mean, std))


def add_to(app: typer.Typer) -> None:
    app.command()(sparsify)
