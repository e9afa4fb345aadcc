"""``chipfit compress decompose``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import typer

from chipfit.cli.compress._common import method_command

if TYPE_CHECKING:
    from chipfit.compress.run import Method
    from chipfit.trainable.tune import TuneSettings


@method_command(epochs=4)
def decompose(
    tuning: TuneSettings | None,
    form: Annotated[
        Literal["auto", "svd", "tucker", "lines", "cp", "cp-lines", "separable"],
        typer.Option(
            "--form",
            help="What windows are taken apart into: svd: fewer outputs, then 1x1; tucker: 1x1, a smaller window, 1x1; "
            "lines: a column, then a row; cp: 1x1, depthwise, 1x1 (cp-lines: a column and a row of it); separable: "
            "depthwise, 1x1; auto: the best of svd, tucker and lines. Dense and 1x1 layers become two of lower rank.",
        ),
    ] = "auto",
    macs: Annotated[
        str | None,
        typer.Option(
            "--macs",
            metavar="N",
            help="At most so many multiply-accumulates in all: a share of now (0.5), or a number (2M); ranks go down "
            "where it costs least.  [default: 0.5, if nothing else is said]",
        ),
    ] = None,
    energy: Annotated[
        float | None,
        typer.Option("--energy", metavar="S", help="Or: the share of the power of each layer's sums that stays."),
    ] = None,
    drop: Annotated[
        float | None,
        typer.Option("--drop", metavar="P", help="Or: points of accuracy that are lost at most before it learns."),
    ] = None,
    signal: Annotated[
        bool, typer.Option("--signal", help="Or: as many ranks as are more than noise (variational Bayes).")
    ] = False,
    weighted: Annotated[
        bool,
        typer.Option("--weighted/--unweighted", help="Errors of what layers give on samples, or of weights alone."),
    ] = True,
) -> Method:
    """Take layers apart into smaller ones that together do nearly the same, where that saves multiply-accumulates.

    The parts are the nearest in least squares; they need no data, and get better with some. With labels all learns.
    """
    from chipfit.compress.decompose.method import Decompose, Rule

    is_default = macs is None and energy is None and drop is None and not signal
    rule = Rule("0.5" if is_default else macs, energy, drop, signal)
    return Decompose(form, rule, weighted, tuning)


def add_to(app: typer.Typer) -> None:
    app.command()(decompose)
