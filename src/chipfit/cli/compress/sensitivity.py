"""``chipfit compress sensitivity``."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from chipfit.cli._options import AsJson
from chipfit.cli._pictures import Mean, Scale, Std
from chipfit.cli.compress._common import Data, Seed, Source, Val, pixels


def sensitivity(
    source: Source,
    data: Data = None,
    val: Val = None,
    importance: Annotated[
        Literal["fitted", "variance", "taylor", "l1", "l2"],
        typer.Option("--importance", help="What is removed first: see `prune`."),
    ] = "fitted",
    scale: Scale = "1",
    mean: Mean = "0",
    std: Std = "1",
    seed: Seed = 0,
    as_json: AsJson = False,
) -> None:
    """Measure what it costs to remove channels of each group alone. Nothing is written."""
    from chipfit.cli._console import show, show_json, talk
    from chipfit.compress.channels.prune import analyze
    from chipfit.compress.subject import open_subject
    from chipfit.report.data import envelope
    from chipfit.report.text_compress import sensitivity_text

    with talk("reading the model") as say:
        found = analyze(
            open_subject(source, data, val, seed, say.progress, pixels(scale, mean, std)), importance, say.progress
        )
    if as_json:
        show_json(envelope("chipfit.sensitivity", found))
    else:
        show(lambda width: sensitivity_text(found, width))


def add_to(app: typer.Typer) -> None:
    app.command()(sensitivity)
