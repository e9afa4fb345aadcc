"""``chipfit bench``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from chipfit.cli._options import KINDS, AllowCode, AsJson, ChannelsLast, Optimize, Seed, Weights, load_model
from chipfit.errors import ChipfitError

if TYPE_CHECKING:
    from chipfit.bench import BenchReport


def bench(
    models: Annotated[list[str], typer.Argument(metavar="MODEL...", help=f"A model {KINDS}, or several.")],
    board: Annotated[
        list[str], typer.Option("--board", "-b", metavar="BOARD", help="Emulated board; may be given several times.")
    ],
    samples: Annotated[int, typer.Option("--samples", min=1, metavar="N", help="N seeded random inputs.")] = 1,
    seed: Seed = None,
    optimize: Optimize = "balanced",
    weights: Weights = "plain",
    compare: Annotated[
        Path | None, typer.Option("--compare", metavar="FILE", help="Show the change against an earlier -o FILE.")
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", metavar="FILE", help="Also write the JSON here.")] = None,
    allow_code: AllowCode = False,
    channels_last: ChannelsLast = False,
    as_json: AsJson = False,
) -> None:
    """Measure models on emulated boards: instructions, estimated cycles, flash, RAM, stack.

    Exit code 1 if outputs are not the reference's or, with --compare, if instructions rose by more than 2 % or any
    byte of RAM was added.
    """
    from chipfit.bench import bench as measure
    from chipfit.bench import failures
    from chipfit.cli._console import show, show_json, talk
    from chipfit.report.text_bench import bench_text

    before = _read(compare) if compare else None
    with talk("reading the models") as say:
        loaded = [load_model(model, allow_code, channels_last, say) for model in dict.fromkeys(models)]
        report = measure(
            loaded,
            list(dict.fromkeys(board)),
            samples=samples,
            seed=seed or 0,
            optimize=optimize,
            weights=weights,
            progress=say.say,
        )
    if out:
        out.write_text(json.dumps(report.to_json(), indent=1) + "\n", encoding="utf-8")
    if as_json:
        show_json(report.to_json())
    else:
        show(lambda width: bench_text(report, before, width))
    problems = failures(before, report)
    if as_json:
        for problem in problems:
            typer.echo(f"worse: {problem}", err=True)
    if problems:
        raise typer.Exit(1)


def _read(file: Path) -> BenchReport:
    from chipfit.bench import BenchReport

    try:
        data = json.loads(file.read_text(encoding="utf-8"))
    except OSError as problem:
        raise ChipfitError("F001", f"cannot read {file}: {problem.strerror or problem}") from problem
    except ValueError as problem:
        raise ChipfitError("U001", f"{file} is not JSON: {problem}", "write one with `chipfit bench -o FILE`") from None
    return BenchReport.from_json(data)


def add_to(app: typer.Typer) -> None:
    app.command()(bench)
