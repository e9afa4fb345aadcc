"""``chipfit compress prune``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import typer

from chipfit.cli.compress._common import method_command

if TYPE_CHECKING:
    from chipfit.compress.run import Method
    from chipfit.trainable.tune import TuneSettings


@method_command(epochs=4)
def prune(
    tuning: TuneSettings | None,
    instructions: Annotated[
        str | None,
        typer.Option(
            "--instructions",
            metavar="N",
            help="At most so many in a run: a share of now (0.5), or a number (900K).  [default: 0.5, if nothing else "
            "is limited]",
        ),
    ] = None,
    macs: Annotated[
        str | None, typer.Option("--macs", metavar="N", help="At most so many multiply-accumulates, likewise.")
    ] = None,
    flash: Annotated[
        str | None, typer.Option("--flash", metavar="N", help="At most so much flash in all: a share, or 64K.")
    ] = None,
    ram: Annotated[
        str | None, typer.Option("--ram", metavar="N", help="At most so much RAM, stack included: a share, or 20K.")
    ] = None,
    importance: Annotated[
        Literal["fitted", "variance", "taylor", "l1", "l2"],
        typer.Option(
            "--importance",
            help="What is worth least: of which the others make up for most; that gives the least variance; that "
            "changes the loss least; that has the smallest weights.",
        ),
    ] = "fitted",
    stages: Annotated[
        int, typer.Option("--stages", min=1, metavar="N", help="Remove and learn so many times; less each time.")
    ] = 2,
    least: Annotated[
        float, typer.Option("--least", metavar="S", help="Share of a group's channels that stays in any case.")
    ] = 0.1,
) -> Method:
    """Remove channels until a budget is kept: real savings, on any chip and with any kernel.

    Which ones go is measured: channels that are tied by additions or depthwise layers go together, each group's share
    follows from what it costs and saves. Weights are fitted to make up for what is gone, then all learns.
    """
    from chipfit.compress.channels.prune import Prune

    given = {"instructions": instructions, "macs": macs, "flash": flash, "ram": ram}
    budget = {aspect: text for aspect, text in given.items() if text is not None} or {"instructions": "0.5"}
    return Prune(budget, importance, stages, tuning, least)


def add_to(app: typer.Typer) -> None:
    app.command()(prune)
