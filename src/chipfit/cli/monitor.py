"""``chipfit monitor``."""

from __future__ import annotations

from typing import Annotated

import typer

from chipfit.cli._options import AsJson
from chipfit.cli._port import PortName


def monitor(
    port: PortName = None,
    baud: Annotated[int, typer.Option("--baud", min=1, metavar="N", help="Bits per second.")] = 115200,
    until: Annotated[
        str | None, typer.Option("--until", metavar="TEXT", help="Stop at a line that holds it; fail if none came.")
    ] = None,
    seconds: Annotated[
        float | None, typer.Option("--seconds", min=0.0, metavar="N", help="Stop after so long.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Print what a board says over its serial port, until Ctrl-C.

    Fails if the board says that outputs differ from the reference.
    """
    from chipfit.cli._console import show, show_json
    from chipfit.cli._port import ask
    from chipfit.flashing import choose_port
    from chipfit.flashing import monitor as listen
    from chipfit.report.text import safe
    from chipfit.report.text_flash import monitor_text

    chosen = choose_port(port, ask)
    typer.echo(f"{chosen} at {baud} baud; Ctrl-C ends", err=True)
    report = listen(
        chosen,
        # where the result is JSON, what the board says is talk
        lambda line: typer.echo(safe(line), err=as_json),
        baud=baud,
        until=until,
        seconds=seconds,
        say=lambda command: typer.echo(f"$ {command}", err=True),
    )
    if as_json:
        show_json(report.to_json())
    elif not report.passed:
        show(lambda width: monitor_text(report))
    if not report.passed:
        raise typer.Exit(1)


def add_to(app: typer.Typer) -> None:
    app.command()(monitor)
