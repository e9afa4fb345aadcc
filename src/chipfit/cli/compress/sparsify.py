"""``chipfit compress sparsify``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from chipfit.cli.compress._common import Aware, method_command

if TYPE_CHECKING:
    from chipfit.compress.run import Method
    from chipfit.trainable.tune import TuneSettings


@method_command(epochs=0)
def sparsify(
    tuning: TuneSettings | None,
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
    qat: Aware = False,
) -> Method:
    """Make weights 0, which then take one bit in flash each; the program decodes them exactly. Speed stays.

    They are chosen layer by layer, with the weights that stay making up for those that go. With --epochs these learn.
    """
    from chipfit.compress.sparse import Sparsify

    share = 0.75 if sparsity is None and pattern is None else sparsity
    return Sparsify(share, pattern, depthwise, tuning, qat)


def add_to(app: typer.Typer) -> None:
    app.command()(sparsify)
