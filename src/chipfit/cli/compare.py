"""``chipfit compare``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from chipfit.cli._options import AsJson, Goal, goal_of
from chipfit.cli._pictures import Mean, Resize, Scale, Side, Std, preprocessing
from chipfit.errors import ChipfitError


def compare(
    sources: Annotated[
        list[str],
        typer.Argument(
            metavar="SOURCE...",
            help="Folders of `chipfit train`, `compress`, `search` (its front) or `deploy`; models, float or integer. "
            "The first one is what the others are set against.",
        ),
    ],
    board: Annotated[
        list[str],
        typer.Option("--board", "-b", metavar="BOARD", help="A board, or a TOML file of your own; may be repeated."),
    ],
    data: Annotated[
        Path | None,
        typer.Option(
            "--data",
            "-d",
            metavar="DATA",
            help="Judge all by these: pictures, a sub-folder for each class, or an .npz file with labels.  "
            "[default: runs by their validation pictures]",
        ),
    ] = None,
    limit: Annotated[int | None, typer.Option("--limit", min=1, metavar="N", help="At most N samples.")] = None,
    resize: Resize = "crop",
    side: Side = 0,
    scale: Scale = "1",
    mean: Mean = "0",
    std: Std = "1",
    optimize: Goal = "auto",
    weights: Annotated[
        Literal["auto", "plain", "compressed"],
        typer.Option(
            "--weights", help="As for `chipfit compile`; auto: compressed where a model was clustered or sparsified."
        ),
    ] = "auto",
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", "-o", metavar="DIR|FILE.png", help="Keep figures, picture and models in a folder; or the picture."
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Put models side by side: accuracy, flash, RAM, instructions, time, energy; on boards, on the same pictures.

    Float models are quantized first. What was judged by other pictures is said to be. Called again with the same
    folder, integer models that are there are kept.
    """
    from chipfit.cli._console import show, show_json, talk
    from chipfit.comparison import compare_models
    from chipfit.comparison.run import CHART
    from chipfit.quantize import Preprocessing
    from chipfit.report.compare_chart import draw_comparison
    from chipfit.report.memory_map import FORMATS, check_format
    from chipfit.report.text_compare import compare_text

    how = preprocessing(resize, side, scale, mean, std)
    is_picture = out is not None and out.suffix.lower() in FORMATS and not out.is_dir()
    chart = None if out is None else out if is_picture else out / CHART
    if chart is not None:
        check_format(chart)
    with talk("looking at the models") as say:
        report = compare_models(
            sources,
            board,
            data=data,
            preprocessing=None if how == Preprocessing() else how,
            optimize=goal_of(optimize),
            weights=weights,
            limit=limit,
            folder=None if is_picture else out,
            progress=say.progress,
        )
    if chart is not None:
        try:
            draw_comparison(report, chart)
        except OSError as error:
            raise ChipfitError("P003", f"cannot write '{chart}': {error}") from None
    if as_json:
        show_json(report.to_json())
    else:
        show(lambda width: compare_text(report, width, charts=[str(chart)] if is_picture else []))
    if report.offer is None:
        raise typer.Exit(1)


def add_to(app: typer.Typer) -> None:
    app.command()(compare)
