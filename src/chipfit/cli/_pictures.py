"""The options that say how pictures become inputs, and what they make."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import typer

from chipfit.errors import ChipfitError

if TYPE_CHECKING:
    from chipfit.quantize import Preprocessing

Resize = Annotated[
    Literal["crop", "stretch"],
    typer.Option("--resize", help="Pictures: cut out the middle, or stretch both sides to the model's."),
]
Side = Annotated[
    int, typer.Option("--side", min=0, metavar="N", help="Pictures: shorter side before the cut; 0: the model's input.")
]
Scale = Annotated[
    str, typer.Option("--scale", metavar="S", help="Pixels (0..255) are multiplied by it first, such as 1/255.")
]
Mean = Annotated[str, typer.Option("--mean", metavar="M[,M,M]", help="Then it is subtracted.")]
Std = Annotated[str, typer.Option("--std", metavar="S[,S,S]", help="Then they are divided by it.")]


def preprocessing(resize: Literal["crop", "stretch"], side: int, scale: str, mean: str, std: str) -> Preprocessing:
    """Raises ChipfitError U001 for what is no number, Q002 for numbers that make no picture."""
    from chipfit.quantize import Preprocessing

    return Preprocessing(resize, side, _numbers("--scale", scale)[0], _numbers("--mean", mean), _numbers("--std", std))


def _numbers(option: str, text: str) -> tuple[float, ...]:
    try:
        fractions = [part.partition("/") for part in text.split(",")]
        return tuple(float(over) / float(under or "1") for over, _, under in fractions)
    except (ValueError, ZeroDivisionError):
        hint = "numbers such as 0.5 or 1/255, with commas in between"
        raise ChipfitError("U001", f"{option} '{text}' is no number", hint) from None
