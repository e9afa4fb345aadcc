"""``chipfit compress qat``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from chipfit.cli.compress._common import method_command

if TYPE_CHECKING:
    from chipfit.compress.run import Method
    from chipfit.trainable.tune import TuneSettings


@method_command(epochs=4, at_least=1)
def qat(
    tuning: TuneSettings,
) -> Method:
    """Train a float network in the integers that it will compute with (quantization-aware training).

    The folder gets the float network (.tflite) and the int8 one that it was trained as, which `deploy` takes as it is.
    """
    from chipfit.compress.qat import Qat

    return Qat(tuning)


def add_to(app: typer.Typer) -> None:
    app.command()(qat)
