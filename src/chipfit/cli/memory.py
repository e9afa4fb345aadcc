"""``chipfit memory``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from chipfit.cli._options import (
    OFFERED_BOARD,
    TARGET_HELP,
    AllowCode,
    AsJson,
    ChannelsLast,
    InputForm,
    Optimize,
    PreserveInput,
    is_compiled,
    load_model,
)
from chipfit.errors import ChipfitError

if TYPE_CHECKING:
    from chipfit.report.info import MemoryReport


def memory(
    target: Annotated[str, typer.Argument(metavar="TARGET", help=TARGET_HELP)],
    board: Annotated[
        str | None, typer.Option("--board", "-b", metavar="BOARD", help="Plan for this board.  [default: host]")
    ] = None,
    optimize: Optimize = "balanced",
    preserve_input: PreserveInput = False,
    input_form: InputForm = "whole",
    out: Annotated[
        list[Path] | None, typer.Option("--out", "-o", metavar="MAP.png|MAP.svg", help="Draw it; may be repeated.")
    ] = None,
    allow_code: AllowCode = False,
    channels_last: ChannelsLast = False,
    as_json: AsJson = False,
) -> None:
    """Show where every tensor lies in RAM, what makes the peak, and what would need less.

    With -o as a picture: time to the right, addresses up.
    """
    import chipfit
    from chipfit.cli._console import show, show_json, talk
    from chipfit.report.memory_map import check_format, draw_memory_map
    from chipfit.report.text_memory import memory_text

    for path in out or []:
        check_format(path)
    with talk("planning") as say:
        if is_compiled(target):
            if board is not None or optimize != "balanced" or preserve_input or input_form != "whole":
                raise ChipfitError("U001", f"'{target}' is compiled already", "leave out -b and the other options")
            report = chipfit.Firmware.open(target).memory
        else:
            report = load_model(target, allow_code, channels_last, say).memory(
                board or "host",
                optimize=optimize,
                preserve_input=preserve_input,
                input_rows=input_form == "rows",
            )
        say.say("drawing")
        for path in out or []:
            draw_memory_map(report, path)
    if as_json:
        show_json(report.to_json())
    else:
        show(lambda width: memory_text(report, width, offers=_offers(target, report, out or [])))


def _offers(target: str, report: MemoryReport, drawn: list[Path]) -> tuple[str, ...]:
    """The best alternative, or else to compile what was planned; and the picture, if there is none."""
    from chipfit.report.text import command

    board = OFFERED_BOARD if report.board == "host" else report.board
    best = min((a for a in report.alternatives if a.options), key=lambda a: a.arena, default=None)
    options = best.options if best else report.options
    is_folder = is_compiled(target)
    asked = () if is_folder else ("-b", report.board, *report.options)
    draw = () if drawn else (command("memory", target, *asked, "-o", "map.png"),)
    return draw if is_folder else (*draw, command("compile", target, "-b", board, *options))


def add_to(app: typer.Typer) -> None:
    app.command()(memory)
