"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from chipfit.errors import ChipfitError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from chipfit.report.data import TensorInfo
    from chipfit.samples import Samples

ModelFile = Annotated[str, typer.Argument(metavar="MODEL", help="A .tflite file.")]
BoardName = Annotated[
    str, typer.Option("--board", "-b", metavar="BOARD", help="Name of a board, or a TOML file of your own.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON (docs/json.md) instead of text.")]
InputFile = Annotated[
    Path | None, typer.Option("--input", "-i", metavar="FILE", help="Inputs: .npy, or .npz with an array for each.")
]
RandomCount = Annotated[int | None, typer.Option("--random", min=1, metavar="N", help="N seeded random inputs.")]
Seed = Annotated[
    int | None, typer.Option("--seed", min=0, metavar="S", help="Seed of the random inputs.  [default: 0]")
]

Optimize = Annotated[
    Literal["balanced", "speed", "size"],
    typer.Option("--optimize", help="One byte per weight; wider weights for speed; or shared code for size."),
]

OFFERED_BOARD = "arduino-nano-33-ble"
"""The board that is named where a command is offered and the user has not named one."""


def read_inputs(
    inputs: Sequence[TensorInfo], file: Path | None, count: int | None, seed: int | None, default: int
) -> tuple[Samples, str]:
    """The samples that the user asked for, and what they are in words. Raises ChipfitError I001..I004, U001."""
    from chipfit.samples import random_samples, read_samples

    if file is not None:
        if count is not None or seed is not None:
            raise ChipfitError("U001", "--input and --random exclude each other", "leave out --random and --seed")
        return read_samples(file, inputs), f"from {file}"
    return random_samples(inputs, count or default, seed or 0), f"random (seed {seed or 0})"
