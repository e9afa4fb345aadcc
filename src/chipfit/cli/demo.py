"""``chipfit demo``."""

from __future__ import annotations

from typing import Annotated

import typer

from chipfit.cli._options import OFFERED_BOARD, AsJson


def demo(
    board: Annotated[
        str, typer.Option("--board", "-b", metavar="BOARD", help="Name of a board, or a TOML file of your own.")
    ] = OFFERED_BOARD,
    as_json: AsJson = False,
) -> None:
    """Read 100 handwritten digits on a chip.

    The chip is emulated; every byte of the result is compared with the reference.
    """
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
