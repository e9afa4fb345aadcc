"""``chipfit compile``."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from chipfit.cli._options import (
    KINDS,
    AllowCode,
    AsJson,
    BoardName,
    ChannelsLast,
    Fix,
    InputForm,
    IntegerIo,
    Optimize,
    Place,
    PreserveInput,
    Weights,
    load_model,
)
from chipfit.cli._recurrent import Form, StateMode, Steps, in_form
from chipfit.errors import ChipfitError


def compile(
    models: Annotated[list[str], typer.Argument(metavar="MODEL...", help=f"A model {KINDS}, or several.")],
    board: BoardName,
    out: Annotated[
        str | None,
        typer.Option(
            "--out", "-o", metavar="FOLDER", help="Where to write.  [default: MODEL-BOARD; of several: models-BOARD]"
        ),
    ] = None,
    cc: Annotated[
        str | None, typer.Option("--cc", metavar="CMD", help="Your own gcc or clang instead of chipfit's compiler.")
    ] = None,
    stack: Annotated[
        int | None,
        typer.Option("--stack", min=64, metavar="BYTES", help="Stack to reserve.  [default: 4096; Uno: 256]"),
    ] = None,
    optimize: Optimize = "balanced",
    weights: Weights = "plain",
    preserve_input: PreserveInput = False,
    input_form: InputForm = "whole",
    io_as_integers: IntegerIo = False,
    place: Place = None,
    separate_arenas: Annotated[
        bool, typer.Option("--separate-arenas", help="Several models: an arena for each, so that runs may interleave.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Write into a folder that is not chipfit's.")] = False,
    kernels: Annotated[bool, typer.Option("--kernels", help="Show each layer's kernel, and why not another.")] = False,
    recurrent: Form = None,
    recurrent_state: StateMode = None,
    recurrent_steps: Steps = None,
    allow_code: AllowCode = False,
    channels_last: ChannelsLast = False,
    npu_sram: Annotated[
        int | None, typer.Option("--npu-sram", min=1, metavar="BYTES", help="NPU: SRAM that activations may take.")
    ] = None,
    fix: Fix = False,
    explain: Annotated[
        bool, typer.Option("--explain", help="NPU: what would bring each operator on the processor to it.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Compile a model to C and to a program for a board; for a board with an Ethos-U, through Vela.

    Several models become one program. They use the same arena in turn, unless --separate-arenas. For an Ethos-U, the
    folder holds MODEL_vela.tflite, which is proven in the simulator.
    """
    import chipfit
    from chipfit.cli._console import show, show_json, talk
    from chipfit.cli._npu import compile_npu, has_npu
    from chipfit.report.data import CompileSetReport
    from chipfit.report.text_compile import compile_text
    from chipfit.report.text_set import compile_set_text
    from chipfit.weights import WeightsReport, weights_report

    if separate_arenas and len(models) == 1:
        raise ChipfitError("U001", "--separate-arenas is for several models", "leave it out")
    cost: WeightsReport | None = None
    with talk("reading the model" if len(models) == 1 else "reading the models") as say:
        loaded = [load_model(model, allow_code, channels_last, say) for model in models]
        loaded = [in_form(model, recurrent, recurrent_state, recurrent_steps) for model in loaded]
        if io_as_integers:
            loaded = [model.with_integer_io() for model in loaded]
        is_for_npu = has_npu(board)
        if not is_for_npu and (npu_sram is not None or fix or explain):
            hint = "`chipfit board list` shows all boards; corstone-300-u55-128 has an NPU"
            raise ChipfitError("U001", f"--npu-sram, --fix and --explain are for an NPU, '{board}' has none", hint)
        if is_for_npu:
            _require_npu_options(len(loaded), cc, stack, preserve_input, input_form, place, kernels)
        say.say(f"compiling for {board}")
        if is_for_npu:
            compile_npu(
                loaded[0],
                board,
                out,
                explain=explain,
                as_json=as_json,
                fix=fix,
                optimize=optimize,
                sram_bytes=npu_sram,
                force=force,
            )
            return
        options: dict[str, Any] = {
            "cc": cc,
            "stack_bytes": stack,
            "force": force,
            "optimize": optimize,
            "weights": weights,
            "preserve_input": preserve_input,
            "input_rows": input_form == "rows",
            "place": place or (),
        }
        if len(loaded) > 1:
            report = chipfit.compile_models(loaded, board, out, separate_arenas=separate_arenas, **options).report
        else:
            firmware = loaded[0].compile(board, out, **options)
            report = firmware.report
            if weights == "compressed":
                say.say("running it beside the one with plain weights")
                cost = weights_report(loaded[0], board, firmware, **{**options, "weights": "plain"})
    if as_json:
        single = {} if isinstance(report, CompileSetReport) else {"weights_cost": cost.to_json() if cost else None}
        show_json(report.to_json() | single)
    elif isinstance(report, CompileSetReport):
        show(lambda width: compile_set_text(report, width, kernels=kernels))
    else:
        show(lambda width: compile_text(report, width, kernels=kernels, cost=cost))


def _require_npu_options(
    models: int,
    cc: str | None,
    stack: int | None,
    preserve_input: bool,
    input_form: str,
    place: list[str] | None,
    kernels: bool,
) -> None:
    """Raise ChipfitError U001 for what only the generated C has."""
    given = {
        "several models": models > 1,
        "--cc": cc is not None,
        "--stack": stack is not None,
        "--preserve-input": preserve_input,
        "--input rows": input_form == "rows",
        "--place": bool(place),
        "--kernels": kernels,
    }
    wrong = [name for name, is_given in given.items() if is_given]
    if wrong:
        hint = "leave that out, or choose a board without an NPU"
        raise ChipfitError("U001", f"for a board with an NPU there is no {', no '.join(wrong)}", hint)


def add_to(app: typer.Typer) -> None:
    app.command()(compile)
