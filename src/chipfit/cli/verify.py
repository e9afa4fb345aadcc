"""``chipfit verify``."""

from __future__ import annotations

from typing import Annotated

import typer

from chipfit.cli._options import (
    AllowCode,
    AsJson,
    ChannelsLast,
    InputFile,
    ModelFile,
    Optimize,
    RandomCount,
    Seed,
    Weights,
    load_model,
    read_inputs,
)

SAMPLES = 32
"""Random samples unless asked otherwise."""


def verify(
    model: ModelFile,
    board: Annotated[
        list[str] | None,
        typer.Option("--board", "-b", metavar="BOARD", help="Also on this emulated board; may be given several times."),
    ] = None,
    input_file: InputFile = None,
    random: RandomCount = None,
    seed: Seed = None,
    optimize: Optimize = "balanced",
    weights: Weights = "plain",
    no_oracles: Annotated[
        bool, typer.Option("--no-oracles", help="Leave out TFLite Micro and LiteRT, even if they are installed.")
    ] = False,
    allow_code: AllowCode = False,
    channels_last: ChannelsLast = False,
    as_json: AsJson = False,
) -> None:
    """Compare every execution with the reference.

    Byte for byte (float models: within a tolerance), by default over 32 random inputs. The generated C always runs on
    this computer. Exit code 1 if outputs differ, or if a board that was asked for could
    not run the model.
    """
    import chipfit
    from chipfit.cli._console import show, show_json, talk
    from chipfit.report.text_verify import verify_text

    boards = ["host", *(name for name in dict.fromkeys(board or []) if name != "host")]
    with talk("reading the model") as say:
        loaded = load_model(model, allow_code, channels_last, say)
        samples, _ = read_inputs(loaded.inputs, input_file, random, seed, default=SAMPLES)
        say.say("the reference runs")
        report = chipfit.verify(
            loaded,
            samples,
            boards=boards,
            oracles=not no_oracles,
            optimize=optimize,
            weights=weights,
            progress=lambda name: say.say(f"{name} runs"),
        )
    left_out = any(c.skipped is not None for c in report.comparisons[: len(boards)])
    if as_json:
        show_json(report.to_json())
    else:
        show(lambda width: verify_text(report, width, left_out=left_out))
    if not report.passed or left_out:
        raise typer.Exit(1)


def add_to(app: typer.Typer) -> None:
    app.command()(verify)
