"""``chipfit quantize``."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated

import typer

from chipfit.cli._options import OFFERED_BOARD, AllowCode, AsJson, ChannelsLast, ModelFile, load_model
from chipfit.cli._pictures import Mean, Resize, Scale, Side, Std, preprocessing
from chipfit.cli._recurrent import Form, StateMode, States, Steps, in_form, states_of
from chipfit.errors import ChipfitError


def quantize(
    model: ModelFile,
    data: Annotated[
        Path | None,
        typer.Option(
            "--data",
            "-d",
            metavar="DATA",
            help="A folder of pictures, or a .npy or .npz file. float16 and dynamic do without, less exactly.",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", "-o", metavar="OUT", help="Write this .tflite file, or into this folder one file for each recipe."
        ),
    ] = None,
    recipe: Annotated[
        list[str] | None,
        typer.Option(
            "--recipe",
            metavar="TEXT",
            help="A mode (float16, dynamic, int8, int16x8) with options, then rules for layers: 'int8 input=uint8 ; "
            "conv_1*: activations=int16'. May be repeated.  [default: int8; into a folder: all modes]",
        ),
    ] = None,
    samples: Annotated[int, typer.Option("--samples", min=1, metavar="N", help="Samples to calibrate with.")] = 100,
    tested: Annotated[int, typer.Option("--test", min=0, metavar="N", help="At most N others to judge by.")] = 400,
    resize: Resize = "crop",
    side: Side = 0,
    scale: Scale = "1",
    mean: Mean = "0",
    std: Std = "1",
    explain: Annotated[
        bool, typer.Option("--explain", help="Measure what each layer costs, and say what would help.")
    ] = False,
    chart: Annotated[
        list[Path] | None,
        typer.Option("--chart", metavar="FILE.png|FILE.svg", help="Explain it in a picture; may be repeated."),
    ] = None,
    steps: Annotated[
        bool, typer.Option("--steps", help="Quantize with one step more each time: what each is worth.")
    ] = False,
    min_sqnr: Annotated[
        float | None,
        typer.Option("--min-sqnr", metavar="DB", help="Make tensors int16 until the signal is so far above the noise."),
    ] = None,
    max_drop: Annotated[
        float | None,
        typer.Option(
            "--max-drop", metavar="POINTS", help="Make tensors int16 until so few points of agreement are lost."
        ),
    ] = None,
    max_int16: Annotated[
        int | None, typer.Option("--max-int16", min=0, metavar="N", help="But no more than N tensors.")
    ] = None,
    recurrent: Form = None,
    recurrent_state: StateMode = None,
    recurrent_steps: Steps = None,
    state: States = None,
    allow_code: AllowCode = False,
    channels_last: ChannelsLast = False,
    as_json: AsJson = False,
) -> None:
    """Turn a float model into smaller ones: float16 weights, int8 weights, or integers throughout.

    The first samples choose scales, integers and biases; the others, which the model has not seen, judge it. Without -o
    nothing is written. Pixels become (pixel * scale - mean) / std: state what the model was trained with.
    """
    from chipfit.cli._console import show, show_json, talk
    from chipfit.metadata import facts_of
    from chipfit.quantization import (
        VariantsReport,
        check_target,
        quantize_variants,
        read_data,
        write_file,
        write_folder,
    )
    from chipfit.quantize import MODES, Preprocessing, parse_recipe
    from chipfit.quantize.mixed import Budget
    from chipfit.report.memory_map import check_format
    from chipfit.report.quantize_chart import draw_diagnosis
    from chipfit.report.text_quantize import quantize_text
    from chipfit.report.text_variants import variants_text

    into_folder = out is not None and out.suffix.lower() != ".tflite"
    chosen = [parse_recipe(text) for text in dict.fromkeys(recipe or (MODES if into_folder else ["int8"]))]
    if len(chosen) > 1 and not into_folder and out is not None:
        raise ChipfitError("U001", f"{len(chosen)} recipes do not fit into one file", "name a folder: -o variants")
    if len(chosen) > 1 and chart:
        raise ChipfitError("U001", "--chart explains one recipe", "choose it with --recipe")
    for path in chart or []:
        check_format(path)
    budget = Budget.of(min_sqnr, max_drop, max_int16)
    how = preprocessing(resize, side, scale, mean, std)
    if out is not None:
        check_target(out, Path(model), folder=into_folder)
    with talk("reading the model") as say:
        loaded = load_model(model, allow_code, channels_last, say)
        if how == Preprocessing():
            how = facts_of(loaded).preprocessing or how
        states = states_of(state)
        # sequences of a model of one step are not what its inputs take
        is_step = bool(states or loaded.graph.variables)
        read = data if data is None or is_step else read_data(loaded, data, how, samples + tested, say.progress)
        variants = list(
            quantize_variants(
                loaded,
                read,
                chosen,
                calibrated=samples,
                contributions=steps,
                explain=explain or bool(chart),
                budget=budget,
                states=states,
                progress=say.progress,
            )
        )
        variants = [in_form(made, recurrent, recurrent_state, recurrent_steps) for made in variants]
        if read is None and how != Preprocessing():
            variants = [dataclasses.replace(made, preprocessing=how) for made in variants]
        for path in chart or []:
            draw_diagnosis(variants[0].report, path)
    if out is not None and into_folder:
        variants = write_folder(variants, out, Path(model).stem)
    elif out is not None:
        variants = [write_file(variants[0], out)]
    reports = [made.report for made in variants]
    if len(reports) == 1 and not into_folder:
        report = reports[0]
        if as_json:
            show_json(report.to_json())
        else:
            show(lambda width: quantize_text(report, width, source=model, board=OFFERED_BOARD))
        return
    whole = VariantsReport(loaded.name, _size(Path(model)), tuple(reports))
    if as_json:
        show_json(whole.to_json())
    else:
        show(lambda width: variants_text(whole, width, source=model, data=data))


def _size(model: Path) -> int:
    """Bytes of a file, or of all files of a folder."""
    files = model.rglob("*") if model.is_dir() else [model]
    return sum(file.stat().st_size for file in files if file.is_file())


def add_to(app: typer.Typer) -> None:
    app.command()(quantize)
