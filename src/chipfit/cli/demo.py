"""``chipfit demo``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from chipfit.cli._options import OFFERED_BOARD, AsJson


def demo(
    board: Annotated[
        str, typer.Option("--board", "-b", metavar="BOARD", help="Name of a board, or a TOML file of your own.")
    ] = OFFERED_BOARD,
    pictures: Annotated[
        Path | None,
        typer.Option("--pictures", metavar="FOLDER", help="Only write the pictures, a sub-folder for each digit."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Read 100 handwritten digits on a chip.

    The chip is emulated; every byte of the result is compared with the reference.
    """
    if pictures is not None:
        from chipfit.demo import write_pictures

        count = write_pictures(pictures)
        typer.echo(f"{count} pictures in {pictures}/")
        return
    from chipfit.cli._console import show, show_json, talk
    from chipfit.demo.run import run_demo
    from chipfit.report.text_demo import demo_text

    with talk("reading the model") as say:
        report = run_demo(board, progress=say.say)
    if as_json:
        show_json(report.to_json())
    else:
        show(lambda width: demo_text(report))


def add_to(app: typer.Typer) -> None:
    app.command()(demo)
