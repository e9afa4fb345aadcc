"""``chipfit convert``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from chipfit.cli._options import AllowCode, AsJson, BoardName, ChannelsLast, ModelFile, load_model
from chipfit.cli._pictures import Mean, Resize, Scale, Side, Std, preprocessing
from chipfit.cli.check import Kmodel
from chipfit.errors import ChipfitError


def convert(
    model: ModelFile,
    out: Annotated[
        Path,
        typer.Option(
            "--out", "-o", metavar="FILE", help="NAME.kmodel; or NAME.tflite: the float model, rewritten for the KPU."
        ),
    ],
    target: Annotated[Literal["k210"], typer.Option("--for", help="The chip that the file is for.")] = "k210",
    data: Annotated[
        Path | None,
        typer.Option("--data", "-d", metavar="DATA", help="A folder of pictures, or a .npy or .npz file."),
    ] = None,
    samples: Annotated[int, typer.Option("--samples", min=1, metavar="N", help="Samples to calibrate with.")] = 100,
    kmodel: Kmodel = "4",
    board: BoardName = "maix-bit",
    resize: Resize = "crop",
    side: Side = 0,
    scale: Scale = "1",
    mean: Mean = "0",
    std: Std = "1",
    allow_code: AllowCode = False,
    channels_last: ChannelsLast = False,
    as_json: AsJson = False,
) -> None:
    """Turn a float model into a kmodel for the K210.

    The kmodel takes the camera's pixels, 0 to 255: (pixel * scale - mean) / std is part of its first layer. Without
    these options it is what the model's file says.
    """
    from chipfit.cli._console import show, show_json, talk
    from chipfit.k210 import convert_model, rewrite_model, write_kmodel, write_rewritten
    from chipfit.metadata import facts_of
    from chipfit.quantization import check_target, read_data
    from chipfit.quantize import Preprocessing
    from chipfit.report.text_convert import convert_text, rewrite_text

    del target  # there is one
    if out.suffix.lower() not in (".kmodel", ".tflite"):
        raise ChipfitError("U001", f"'{out}' is no kmodel", "name it NAME.kmodel, or NAME.tflite for a float model")
    how = preprocessing(resize, side, scale, mean, std)
    if out.suffix.lower() == ".kmodel" and data is None:
        raise ChipfitError("Q001", "a kmodel needs samples to calibrate with", "--data FOLDER, a .npy or a .npz file")
    check_target(out, Path(model), folder=False)
    with talk("reading the model") as say:
        loaded = load_model(model, allow_code, channels_last, say)
        if out.suffix.lower() == ".tflite" or data is None:
            rewritten = write_rewritten(rewrite_model(loaded), out)
            if as_json:
                show_json(rewritten.to_json())
            else:
                show(lambda width: rewrite_text(rewritten, width))
            return
        stated = how if how != Preprocessing() else facts_of(loaded).preprocessing
        read = read_data(loaded, data, stated or how, samples, say.progress)
        version = 4 if kmodel == "4" else 3
        converted = convert_model(loaded, read, board, kmodel=version, preprocessing=stated, progress=say.progress)
        report = write_kmodel(converted, out)
    if as_json:
        show_json(report.to_json())
    else:
        show(lambda width: convert_text(report, width))
    if not report.fit.fits:
        raise typer.Exit(1)


def add_to(app: typer.Typer) -> None:
    app.command()(convert)
