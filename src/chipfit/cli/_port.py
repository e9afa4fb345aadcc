"""The option that names a serial port."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from chipfit.flashing import Port

PortName = Annotated[
    str | None,
    typer.Option("--port", "-p", metavar="PORT", help="The serial port, or `auto` for the only one that is there."),
]


def ask(port: Port) -> bool:
    """Ask a person, if there is one."""
    import sys

    if not sys.stdin.isatty():
        return False
    return typer.confirm(f"Is the board at {port}?", err=True)
