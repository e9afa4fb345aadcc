"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from chipfit.errors import ChipfitError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from chipfit.build import Aim
    from chipfit.cli._console import Talk
    from chipfit.deployment import Limits
    from chipfit.model import Model
    from chipfit.report.data import TensorInfo
    from chipfit.samples import Samples

KINDS = "(.tflite, .keras, .h5, .onnx, or the folder of a SavedModel)"
"""What MODEL may be; the content tells which one it is."""
TARGET_HELP = f"A folder from `chipfit compile`, or a model {KINDS}."

ModelFile = Annotated[str, typer.Argument(metavar="MODEL", help=f"A model {KINDS}.")]
AllowCode = Annotated[
    bool,
    typer.Option(
        "--allow-code",
        help="Run Python code that a model file holds or names (Lambda layers, classes of one's own). Dangerous: it "
        "can do all that you can. Only for files that you trust.",
    ),
]
ChannelsLast = Annotated[
    bool,
    typer.Option(
        "--channels-last", help="Take and give images as (height, width, channels) where the model has channels first."
    ),
]
BoardName = Annotated[
    str, typer.Option("--board", "-b", metavar="BOARD", help="Name of a board, or a TOML file of your own.")
]
MaxFlash = Annotated[
    float | None, typer.Option("--max-flash", min=1, metavar="KIB", help="Flash that the program may take.")
]
MaxRam = Annotated[
    float | None, typer.Option("--max-ram", min=1, metavar="KIB", help="RAM that it may take, stack included.")
]
MaxMs = Annotated[
    float | None, typer.Option("--max-ms", min=0.001, metavar="MS", help="Milliseconds that one run may take.")
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
    Literal["balanced", "speed", "size", "ram"],
    typer.Option(
        "--optimize", help="One byte per weight; wider weights for speed; shared code for size; rows for little RAM."
    ),
]
Goal = Annotated[
    Literal["auto", "balanced", "speed", "size", "ram"],
    typer.Option("--optimize", help="As for `chipfit compile`; auto: the first that fits of balanced, size and ram."),
]
Weights = Annotated[
    Literal["plain", "compressed"],
    typer.Option("--weights", help="Compressed: few different weights, or many zeros, take less flash, more time."),
]
PreserveInput = Annotated[
    bool, typer.Option("--preserve-input", help="Keep the input's bytes: they are overwritten otherwise.")
]
Place = Annotated[
    list[str] | None,
    typer.Option(
        "--place",
        metavar="NAME=MEMORY",
        help="Send a layer, tensor, `arena`, `state` or `weights` to a memory of the board; may be repeated.",
    ),
]
InputForm = Annotated[
    Literal["whole", "rows"],
    typer.Option("--input", help="The input as a whole, or an image that is handed over row by row."),
]
IntegerIo = Annotated[
    bool, typer.Option("--integer-io", help="Take and give stored integers: no conversion from and to float.")
]

Fix = Annotated[
    bool, typer.Option("--fix", help="NPU: rewrite what keeps operators from it, where all bytes stay the same.")
]
Trace = Annotated[bool, typer.Option("--trace", help="NPU: every operation of the command stream, in words.")]
Dense = Annotated[
    Literal["stream", "single"],
    typer.Option("--dense", help="NPU: round FULLY_CONNECTED as the stream says, or once, as newer LiteRT does."),
]

OFFERED_BOARD = "arduino-nano-33-ble"
"""The board that is named where a command is offered and the user has not named one."""


def load_model(source: str, allow_code: bool, channels_last: bool, say: Talk) -> Model:
    """The model that a file or folder holds. Raises ChipfitError as :func:`chipfit.load` does."""
    import chipfit
    from chipfit.importers import is_saved_model

    if is_saved_model(Path(source)):
        say.say("TensorFlow converts the model")
    return chipfit.load(source, allow_code=allow_code, channels_last=channels_last)


def is_compiled(target: str) -> bool:
    """Whether a target is a folder that `chipfit compile` wrote, and not a model."""
    from chipfit.importers import is_saved_model

    return Path(target).is_dir() and not is_saved_model(Path(target))


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


def goal_of(optimize: Literal["auto", "balanced", "speed", "size", "ram"]) -> Aim | None:
    """What ``--optimize`` says where it may be auto, which is None."""
    return None if optimize == "auto" else optimize


def limits_of(flash_kib: float | None, ram_kib: float | None, milliseconds: float | None) -> Limits:
    """What ``--max-flash``, ``--max-ram`` and ``--max-ms`` say."""
    from chipfit.deployment import Limits

    flash, ram = (None if kib is None else int(kib * 1024) for kib in (flash_kib, ram_kib))
    return Limits(flash, ram, milliseconds)
