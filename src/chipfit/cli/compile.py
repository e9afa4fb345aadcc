"""``chipfit compile``."""

from __future__ import annotations

from typing import Annotated

import typer

from chipfit.cli._options import AsJson, BoardName, ModelFile, Optimize


def compile(
    model: ModelFile,
    board: BoardName,
    out: Annotated[
        str | None, typer.Option("--out", "-o", metavar="FOLDER", help="Where to write.  [default: MODEL-BOARD]")
    ] = None,
    cc: Annotated[
        str | None, typer.Option("--cc", metavar="CMD", help="Your own gcc or clang instead of chipfit's compiler.")
    ] = None,
    stack: Annotated[
        int | None, typer.Option("--stack", min=256, metavar="BYTES", help="Stack to reserve.  [default: 4096]")
    ] = None,
    optimize: Optimize = "balanced",
    force: Annotated[bool, typer.Option("--force", help="Write into a folder that is not chipfit's.")] = False,
    kernels: Annotated[bool, typer.Option("--kernels", help="Show each layer's kernel, and why not another.")] = False,
    as_json: AsJson = False,
) -> None:
    """Compile a model to C and to a program for a board."""
    import chipfit
    from chipfit.build import STACK_BYTES
    from chipfit.cli._console import show, show_json, talk
    from chipfit.report.text_compile import compile_text

    with talk("reading the model") as say:
        loaded = chipfit.load(model)
        say.say(f"compiling for {board}")
        firmware = loaded.compile(board, out, cc=cc, stack_bytes=stack or STACK_BYTES, force=force, optimize=optimize)
    report = firmware.report
    if as_json:
        show_json(report.to_json())
    else:
        show(lambda width: compile_text(report, width, kernels=kernels))


def add_to(app: typer.Typer) -> None:
    app.command()(compile)
