"""``chipfit check``."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from chipfit.cli._options import AllowCode, AsJson, BoardName, ChannelsLast, Fix, ModelFile, load_model
from chipfit.errors import ChipfitError

Kmodel = Annotated[
    Literal["3", "4"], typer.Option("--kmodel", help="Version of the file: 4 is what MaixPy's firmware runs best.")
]


def check(
    model: ModelFile,
    board: BoardName = "maix-bit",
    kmodel: Kmodel = "4",
    fix: Fix = False,
    allow_code: AllowCode = False,
    channels_last: ChannelsLast = False,
    as_json: AsJson = False,
) -> None:
    """Show which layers a board's accelerator computes, which rule keeps the others on the CPU, and what would help.

    For the K210, or for a board with an Ethos-U. No data is needed. Exit code 1 if the board cannot load the model.
    """
    from chipfit.cli._console import show, show_json, talk
    from chipfit.cli._npu import check_npu, has_npu

    if has_npu(board):
        with talk("reading the model") as say:
            loaded = load_model(model, allow_code, channels_last, say)
        if not check_npu(loaded, board, model, fix=fix, as_json=as_json):
            raise typer.Exit(1)
        return
    if fix:
        raise ChipfitError("U001", f"--fix is for an Ethos-U, which '{board}' has not", "see `chipfit convert`")
    from chipfit.k210 import check_model
    from chipfit.report.text_check import check_text

    with talk("reading the model") as say:
        loaded = load_model(model, allow_code, channels_last, say)
        say.say("placing its layers")
        report = check_model(loaded, board, kmodel=4 if kmodel == "4" else 3)
    if as_json:
        show_json(report.to_json())
    else:
        show(lambda width: check_text(report, width, source=model))
    if not report.fit.fits:
        raise typer.Exit(1)


def add_to(app: typer.Typer) -> None:
    app.command()(check)
