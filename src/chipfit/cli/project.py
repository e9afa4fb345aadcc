"""``chipfit project``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from chipfit.cli._options import AllowCode, AsJson, BoardName, ChannelsLast, ModelFile, Optimize, Weights, load_model
from chipfit.cli._pictures import Mean, Resize, Scale, Side, Std, preprocessing
from chipfit.errors import ChipfitError


def project(
    model: ModelFile,
    board: BoardName,
    framework: Annotated[
        str,
        typer.Option(
            "--framework",
            "-f",
            metavar="NAME",
            help="arduino, cmake, esp-idf, mbed, pico-sdk, platformio, stm32, tflm or zephyr; of a .kmodel maixpy.",
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", metavar="FOLDER", help="Where to write.  [default: MODEL-BOARD-FRAMEWORK]"),
    ] = None,
    inputs: Annotated[
        Path | None,
        typer.Option(
            "--inputs", metavar="DATA", help="Test inputs: a folder of pictures, .npz or .npy.  [default: random ones]"
        ),
    ] = None,
    count: Annotated[
        int | None,
        typer.Option(
            "--count", min=1, metavar="N", help="How many of them to store.  [default: 4, fewer if flash is full]"
        ),
    ] = None,
    name: Annotated[
        str | None, typer.Option("--name", metavar="NAME", help="Name of the project.  [default: the model's]")
    ] = None,
    labels: Annotated[
        Path | None,
        typer.Option(
            "--labels",
            metavar="FILE",
            help="Names of the classes, one a line, in the model's order.  [default: those of the model's file]",
        ),
    ] = None,
    resize: Resize = "crop",
    side: Side = 0,
    scale: Scale = "1",
    mean: Mean = "0",
    std: Std = "1",
    optimize: Optimize = "balanced",
    weights: Weights = "plain",
    stack: Annotated[
        int | None, typer.Option("--stack", min=256, metavar="BYTES", help="Stack to reserve.  [default: 4096]")
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Write into a folder that is not chipfit's; overwrite edited files.")
    ] = False,
    allow_code: AllowCode = False,
    channels_last: ChannelsLast = False,
    as_json: AsJson = False,
) -> None:
    """Write a complete project for a board and a framework: plain files, to be built with the framework's own tools.

    It runs the model on stored test inputs and says whether the outputs are those of the reference. Of a .kmodel it
    is a script for MaixPy (-f maixpy).
    """
    from chipfit.cli._console import show, show_json, talk
    from chipfit.cli._kmodel import MAIXPY, is_kmodel_file, project_kmodel
    from chipfit.evaluation.labels import wanted_labels
    from chipfit.project import write_project
    from chipfit.quantize import Preprocessing
    from chipfit.report.text_project import project_text

    if is_kmodel_file(model) or framework == MAIXPY:
        project_kmodel(model, board, framework, out, name, labels, force, as_json)
        return
    how = preprocessing(resize, side, scale, mean, std)
    names = wanted_labels([str(labels)]).names if labels is not None else ()
    if names is None:
        raise ChipfitError("Q006", f"'{labels}' holds no names", "a text file, one name a line, in the model's order")
    with talk("reading the model") as say:
        loaded = load_model(model, allow_code, channels_last, say)
        say.say(f"compiling for {board}, and running the test inputs")
        report = write_project(
            loaded,
            board,
            framework,
            out,
            inputs=inputs,
            count=count,
            name=name,
            labels=names,
            preprocessing=how if how != Preprocessing() else None,
            optimize=optimize,
            weights=weights,
            stack_bytes=stack,
            force=force,
        )
    if as_json:
        show_json(report.to_json())
    else:
        show(lambda width: project_text(report))


def add_to(app: typer.Typer) -> None:
    app.command()(project)
