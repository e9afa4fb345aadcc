"""Options for recurrent layers, and what they do to a model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal, TypeVar

import typer

from chipfit.errors import ChipfitError

if TYPE_CHECKING:
    from chipfit.model import Model
    from chipfit.quantization import QuantizedModel

    AnyModel = TypeVar("AnyModel", Model, QuantizedModel)

_PANEL = "Recurrent layers"

Form = Annotated[
    Literal["loop", "unroll", "step"] | None,
    typer.Option(
        "--recurrent",
        help="How recurrent layers run: a loop over the steps, the layers of all steps, or one step for each call.",
        rich_help_panel=_PANEL,
    ),
]
StateMode = Annotated[
    Literal["reset", "kept", "io"] | None,
    typer.Option(
        "--recurrent-state",
        help="A call begins anew, with what the last one left, or with states that are inputs and outputs.  "
        "[default: kept for step, else reset]",
        rich_help_panel=_PANEL,
    ),
]
Steps = Annotated[
    int | None,
    typer.Option(
        "--recurrent-steps",
        min=1,
        metavar="N",
        help="Steps of each call.  [default: the model's; 1 for step]",
        rich_help_panel=_PANEL,
    ),
]
States = Annotated[
    list[str] | None,
    typer.Option(
        "--state",
        metavar="IN=OUT",
        help="This input takes what that output gave in the call before; DATA then has sequences. May be repeated.",
        rich_help_panel=_PANEL,
    ),
]


def in_form(model: AnyModel, form: Form, state: StateMode, steps: Steps) -> AnyModel:
    """The model as the options ask for it; itself where they ask for nothing."""
    if (form, state, steps) == (None, None, None):
        return model
    return model.recurrent(form or "loop", state, steps)


def states_of(options: list[str] | None) -> dict[str, str]:
    """The inputs that are states, with their outputs. Raises ChipfitError U001 for what is not ``IN=OUT``."""
    found: dict[str, str] = {}
    for text in options or []:
        taken, equals, given = text.partition("=")
        if not (taken and equals and given):
            raise ChipfitError("U001", f"'{text}' names no state", "write INPUT=OUTPUT, such as --state h_in=h_out")
        found[taken] = given
    return found
