"""``chipfit op``."""

from __future__ import annotations

from typing import Annotated

import typer

from chipfit.cli._options import AsJson
from chipfit.errors import ChipfitError

ops = typer.Typer(help="Show the operators that chipfit compiles.", no_args_is_help=True, rich_markup_mode=None)


@ops.command("list")
def list_ops(
    markdown: Annotated[bool, typer.Option("--markdown", help="Print the page docs/ops.md.")] = False,
    as_json: AsJson = False,
) -> None:
    """List all operators with their types and C kernels."""
    if markdown and as_json:
        raise ChipfitError("U001", "--markdown and --json exclude each other", "choose one")
    from chipfit.catalog import ops_markdown, ops_report
    from chipfit.cli._console import show, show_json
    from chipfit.report.text_catalog import ops_text

    report = ops_report()
    if markdown:
        print(ops_markdown(report), end="")
    elif as_json:
        show_json(report.to_json())
    else:
        show(lambda width: ops_text(report, width))


@ops.command("show")
def show_op(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A name of chipfit (conv2d) or of TFLite (CONV_2D).")],
    as_json: AsJson = False,
) -> None:
    """Show one operator: what it computes, its ports, attributes and kernels."""
    from chipfit.catalog import ops_report
    from chipfit.cli._console import show, show_json
    from chipfit.report.text_catalog import op_text

    report = ops_report(name)
    if as_json:
        show_json(report.to_json())
    else:
        show(lambda width: op_text(report.ops[0]))


def add_to(app: typer.Typer) -> None:
    app.add_typer(ops, name="op")
