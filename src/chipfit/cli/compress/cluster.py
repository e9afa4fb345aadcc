"""``chipfit compress cluster``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from chipfit.cli.compress._common import Aware, method_command

if TYPE_CHECKING:
    from chipfit.compress.run import Method
    from chipfit.trainable.tune import TuneSettings


@method_command(epochs=0)
def cluster(
    tuning: TuneSettings | None,
    values: Annotated[
        int,
        typer.Option(
            "--values", min=2, max=127, metavar="N", help="Different weights of a layer: 16 take 4 bits each, 4 take 2."
        ),
    ] = 16,
    qat: Aware = False,
) -> Method:
    """Give each layer few different int8 weights, which take few bits in flash; the program decodes them exactly.

    They are chosen layer by layer, with later weights making up for the errors of earlier ones. With --epochs the few
    values learn, too.
    """
    from chipfit.compress.cluster import Cluster

    return Cluster(values, tuning, qat)


def add_to(app: typer.Typer) -> None:
    app.command()(cluster)
