"""``chipfit flash``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from chipfit.cli._options import AsJson
from chipfit.cli._port import PortName


def flash(
    project: Annotated[
        Path, typer.Argument(metavar="DIR", help="A folder from `chipfit project` or `chipfit deploy`.")
    ],
    board: Annotated[
        str | None, typer.Option("--board", "-b", metavar="BOARD", help="The board, if DIR does not say it.")
    ] = None,
    framework: Annotated[
        str | None, typer.Option("--framework", "-f", metavar="NAME", help="The framework, if DIR does not say it.")
    ] = None,
    port: PortName = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the commands and run none of them.")] = False,
    as_json: AsJson = False,
) -> None:
    """Build a project and bring it onto its board, with the tools of its framework.

    These are yours: arduino-cli, pio, idf.py, west, cmake with picotool, openocd, pyocd or st-flash. Each
    command is printed before it runs. A serial port is only used if it is named or confirmed.
    """
    from chipfit.cli._console import show, show_json
    from chipfit.cli._port import ask
    from chipfit.flashing import flash as flash_project
    from chipfit.report.text_flash import flash_text

    def say(command: str) -> None:
        typer.echo(f"$ {command}", err=True)

    report = flash_project(project, framework=framework, board=board, port=port, dry_run=dry_run, confirm=ask, say=say)
    if as_json:
        show_json(report.to_json())
    else:
        show(lambda width: flash_text(report))


def add_to(app: typer.Typer) -> None:
    app.command()(flash)
