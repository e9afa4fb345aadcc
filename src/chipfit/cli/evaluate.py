"""``chipfit evaluate``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from chipfit.cli._options import KINDS, OFFERED_BOARD, AllowCode, AsJson, ChannelsLast
from chipfit.cli._pictures import Mean, Resize, Scale, Side, Std, preprocessing
from chipfit.errors import ChipfitError


def evaluate(
    models: Annotated[
        list[str],
        typer.Argument(metavar="MODEL...", help=f"A model {KINDS}, or several; or a folder of .tflite files."),
    ],
    data: Annotated[
        Path,
        typer.Option(
            "--data",
            "-d",
            metavar="DATA",
            help="A folder of pictures, a .npz or .npy file, or an IDX file of pictures.",
        ),
    ],
    labels: Annotated[
        list[str] | None,
        typer.Option(
            "--labels",
            metavar="WHAT",
            help="`name`: a picture's name begins with its class; a .csv file of path,label; or a text file with the "
            "classes' names, one a line, in the model's order. May be given twice.",
        ),
    ] = None,
    reference: Annotated[
        str | None,
        typer.Option("--reference", metavar="MODEL", help="Hold the others against it.  [default: first float32 one]"),
    ] = None,
    skip: Annotated[
        int, typer.Option("--skip", min=0, metavar="N", help="Leave out the first N samples: those calibrated with.")
    ] = 0,
    limit: Annotated[
        int | None, typer.Option("--limit", "--first", min=1, metavar="N", help="At most N samples, behind those.")
    ] = None,
    resize: Resize = "crop",
    side: Side = 0,
    scale: Scale = "1",
    mean: Mean = "0",
    std: Std = "1",
    board: Annotated[
        str | None,
        typer.Option("--board", "-b", metavar="BOARD", help="Also compile for this board, and run a sample there."),
    ] = None,
    chart: Annotated[
        Path | None,
        typer.Option(
            "--chart",
            metavar="FILE.png",
            help="Draw the figures; into a folder (no .png or .svg): confusion matrices, too.",
        ),
    ] = None,
    allow_code: AllowCode = False,
    channels_last: ChannelsLast = False,
    as_json: AsJson = False,
) -> None:
    """Compare models on the same samples: accuracy, agreement, size, speed.

    Floats run by LiteRT, integers by the C that chipfit generates. How pixels become inputs is read from the models
    that `chipfit quantize` wrote, or stated as there. Without labels there is no accuracy, but agreement with the
    reference.
    """
    import chipfit
    from chipfit.cli._console import show, show_json, talk
    from chipfit.quantize import Preprocessing
    from chipfit.report.evaluate_chart import check_target, draw_charts
    from chipfit.report.text_evaluate import evaluate_text

    how = preprocessing(resize, side, scale, mean, std)
    if chart is not None:
        check_target(chart)
    with talk("reading the models") as say:
        report = chipfit.evaluate_models(
            list(dict.fromkeys(file for name in models for file in _files(name))),
            data,
            labels=labels or (),
            reference=reference,
            preprocessing=None if how == Preprocessing() else how,
            skip=skip,
            limit=limit,
            board=board,
            allow_code=allow_code,
            channels_last=channels_last,
            progress=say.progress,
        )
    drawn: list[Path] = []
    if chart is not None:
        try:
            drawn = draw_charts(report, chart)
        except OSError as error:
            raise ChipfitError("P003", f"cannot write '{chart}': {error}") from None
    if as_json:
        show_json(report.to_json())
    else:
        show(lambda width: evaluate_text(report, width, charts=[str(p) for p in drawn], board=OFFERED_BOARD))


def _files(name: str) -> list[str]:
    """The ``.tflite`` files in a folder; any other name stands for itself, that of a SavedModel, too."""
    return sorted(map(str, Path(name).glob("*.tflite"))) or [name]


def add_to(app: typer.Typer) -> None:
    app.command()(evaluate)
