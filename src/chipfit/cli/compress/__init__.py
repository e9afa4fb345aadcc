"""``chipfit compress``: a subcommand for each method."""

from __future__ import annotations

import typer

from chipfit.cli.compress import cluster, decompose, distill, prune, qat, sensitivity, sparsify

methods = typer.Typer(
    help="Make a float model smaller: a run of `chipfit train`, or any model with --data.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

prune.add_to(methods)
sparsify.add_to(methods)
cluster.add_to(methods)
decompose.add_to(methods)
distill.add_to(methods)
qat.add_to(methods)
sensitivity.add_to(methods)


def add_to(app: typer.Typer) -> None:
    app.add_typer(methods, name="compress")
