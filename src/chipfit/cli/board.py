"""``chipfit board``."""

from __future__ import annotations

from typing import Annotated

import typer

from chipfit.cli._options import AsJson

boards = typer.Typer(help="Show the boards that chipfit knows.", no_args_is_help=True, rich_markup_mode=None)


@boards.command("list")
def list_boards(as_json: AsJson = False) -> None:
    """List all boards."""
    from chipfit.catalog import boards_report
    from chipfit.cli._console import show, show_json
    from chipfit.report.text_catalog import boards_text

    report = boards_report()
    if as_json:
        show_json(report.to_json())
    else:
        show(lambda width: boards_text(report, width))


@boards.command("show")
def show_board(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of a board, or a TOML file of your own.")],
    as_json: AsJson = False,
) -> None:
    """Show one board: core, clock, memories."""
    from chipfit.catalog import boards_report
    from chipfit.cli._console import show, show_json
    from chipfit.report.text_catalog import board_text

    report = boards_report(name)
    if as_json:
        show_json(report.to_json())
    else:
        show(lambda width: board_text(report.boards[0], width))


def add_to(app: typer.Typer) -> None:
    app.add_typer(boards, name="board")
