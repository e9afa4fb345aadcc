"""The ``chipfit`` command: its subcommands, and what becomes of errors.

Exit codes: 0 all is well; 1 the model or the result failed; 2 wrong usage; 3 a tool is missing; 70 a bug of chipfit;
130 interrupted.
"""

from __future__ import annotations

import os
import sys
import traceback
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from chipfit.cli import (
    bench,
    board,
    check,
    compare,
    compile,
    compress,
    convert,
    demo,
    deploy,
    doctor,
    evaluate,
    explain,
    flash,
    inspect,
    memory,
    monitor,
    op,
    project,
    quantize,
    run,
    search,
    stream,
    train,
    verify,
)
from chipfit.errors import ChipfitError

FAILED, USAGE, MISSING_TOOL, BUG, INTERRUPTED = 1, 2, 3, 70, 130

EXIT_CODES = {
    "A": FAILED,
    "B": USAGE,
    "D": FAILED,
    "E": FAILED,
    "F": FAILED,
    "G": FAILED,
    "I": USAGE,
    "M": FAILED,
    "N": FAILED,
    "O": FAILED,
    "P": USAGE,
    "Q": USAGE,
    "S": FAILED,
    "T": MISSING_TOOL,
    "U": USAGE,
    "V": FAILED,
}
"""Exit code by the first letter of an error's code."""


class _Group(TyperGroup):
    """Subcommands whose errors are told to people."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except ChipfitError as error:
            raise typer.Exit(_tell(error)) from error
        except BrokenPipeError:
            raise  # the reader of a pipe has seen enough
        except OSError as error:
            reason = f"{error.filename}: {error.strerror}" if error.filename else str(error)
            raise typer.Exit(_tell(ChipfitError("P003", reason))) from error
        except KeyboardInterrupt:
            raise typer.Exit(INTERRUPTED) from None


def _tell(error: ChipfitError) -> int:
    """Print an error to stderr and return the exit code."""
    from rich.text import Text

    from chipfit.cli._console import stderr
    from chipfit.report.text import safe_lines

    console = stderr()
    label = (f"error[{error.code}]", "bold red")
    console.print(Text.assemble(label, ": ", safe_lines(error.message)), soft_wrap=True)
    if error.hint:
        console.print(Text.assemble("\n", ("hint", "bold cyan"), ": ", safe_lines(error.hint)), soft_wrap=True)
    return EXIT_CODES[error.code[0]]


app = typer.Typer(
    name="chipfit",
    cls=_Group,
    help="Fit a trained neural network to a small chip, and prove it on a simulated one.",
    epilog="Start with `chipfit demo`. Results go to stdout, talk to stderr; --json gives documented JSON.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        from chipfit import __version__

        typer.echo(f"chipfit {__version__}")
        raise typer.Exit


@app.callback()
def _root(  # pyright: ignore[reportUnusedFunction]
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
    show_traceback: Annotated[
        bool, typer.Option("--traceback", help="Show where chipfit failed, if it does (also CHIPFIT_TRACEBACK=1).")
    ] = False,
) -> None:
    pass


inspect.add_to(app)
compile.add_to(app)
run.add_to(app)
verify.add_to(app)
memory.add_to(app)
stream.add_to(app)
quantize.add_to(app)
train.add_to(app)
compress.add_to(app)
check.add_to(app)
convert.add_to(app)
evaluate.add_to(app)
compare.add_to(app)
search.add_to(app)
deploy.add_to(app)
flash.add_to(app)
monitor.add_to(app)
bench.add_to(app)
project.add_to(app)
demo.add_to(app)
board.add_to(app)
op.add_to(app)
doctor.add_to(app)
explain.add_to(app)


def main() -> None:
    """The entry point. A bug is told in two lines; ``--traceback`` shows all of it."""
    for file in (sys.stdout, sys.stderr):
        # names of tensors may hold what the terminal's encoding has no letters for
        getattr(file, "reconfigure", lambda **_: None)(errors="backslashreplace")
    try:
        app(prog_name="chipfit")
    except Exception as error:
        if "--traceback" in sys.argv or os.environ.get("CHIPFIT_TRACEBACK", "0") not in ("", "0"):
            traceback.print_exc()
        else:
            print(f"error: chipfit failed: {type(error).__name__}: {error}\n", file=sys.stderr)
            print("hint: this is a bug; please report it with what `chipfit --traceback ...` prints", file=sys.stderr)
        sys.exit(BUG)
