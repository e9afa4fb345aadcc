"""``chipfit quantize``."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated, Literal

import typer

from chipfit.cli._options import OFFERED_BOARD, AsJson, ModelFile
from chipfit.errors import ChipfitError


def quantize(
    model: ModelFile,
    data: Annotated[
        Path, typer.Option("--data", "-d", metavar="DATA", help="A folder of pictures, or a .npy or .npz file.")
    ],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", metavar="OUT.tflite", help="Write the integer model to this file.")
    ] = None,
    recipe: Annotated[
        str, typer.Option("--recipe", metavar="TEXT", help="Mode, options, and rules for layers.")
    ] = "int8",
    samples: Annotated[int, typer.Option("--samples", min=1, metavar="N", help="Samples to calibrate with.")] = 100,
    tested: Annotated[int, typer.Option("--test", min=0, metavar="N", help="At most N others to judge by.")] = 400,
    resize: Annotated[
        Literal["crop", "stretch"],
        typer.Option("--resize", help="Pictures: cut out the middle, or stretch both sides to the model's."),
    ] = "crop",
    side: Annotated[
        int,
        typer.Option("--side", min=0, metavar="N", help="Pictures: shorter side before the cut; 0: the model's input."),
    ] = 0,
    scale: Annotated[
        str, typer.Option("--scale", metavar="S", help="Pixels (0..255) are multiplied by it first, such as 1/255.")
    ] = "1",
    mean: Annotated[str, typer.Option("--mean", metavar="M[,M,M]", help="Then it is subtracted.")] = "0",
    std: Annotated[str, typer.Option("--std", metavar="S[,S,S]", help="Then they are divided by it.")] = "1",
    explain: Annotated[
        bool, typer.Option("--explain", help="Quantize with one step more each time: what each is worth.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Turn a float model into an integer one.

    The first samples choose scales, integers and biases; the others, which the model has not seen, judge it. Without -o
    nothing is written. Pixels become (pixel * scale - mean) / std: state what the model was trained with.
    """
    import chipfit
    from chipfit.cli._console import show, show_json, talk
    from chipfit.quantization import quantize_model, read_data
    from chipfit.quantize import Preprocessing, parse_recipe
    from chipfit.report.text_quantize import quantize_text

    chosen = parse_recipe(recipe)
    how = Preprocessing(resize, side, _numbers("--scale", scale)[0], _numbers("--mean", mean), _numbers("--std", std))
    if out is not None and out.resolve() == Path(model).resolve():
        raise ChipfitError("U001", f"'{out}' is the float model itself", "name another file")
    with talk("reading the model") as say:

        def progress(what: str, done: int, total: int) -> None:
            say.say(f"{what}: {done} of {total}")

        loaded = chipfit.load(model)
        read = read_data(loaded, data, how, samples + tested, progress)
        made = quantize_model(loaded, read, chosen, calibrated=samples, contributions=explain, progress=progress)
    report = made.report
    if out is not None:
        file = made.tflite()
        staged = out.with_name(f".{out.name}.part")
        try:
            staged.write_bytes(file)
            staged.replace(out)
        except OSError as error:
            staged.unlink(missing_ok=True)
            raise ChipfitError("P003", f"cannot write '{out}': {error}") from None
        report = dataclasses.replace(report, file=str(out), file_bytes=len(file))
    if as_json:
        show_json(report.to_json())
    else:
        show(lambda width: quantize_text(report, width, source=model, board=OFFERED_BOARD))


def _numbers(option: str, text: str) -> tuple[float, ...]:
    try:
        fractions = [part.partition("/") for part in text.split(",")]
        return tuple(float(over) / float(under or "1") for over, _, under in fractions)
    except (ValueError, ZeroDivisionError):
        hint = "numbers such as 0.5 or 1/255, with commas in between"
        raise ChipfitError("U001", f"{option} '{text}' is no number", hint) from None


def add_to(app: typer.Typer) -> None:
    app.command()(quantize)
