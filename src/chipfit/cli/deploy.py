"""``chipfit deploy``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from chipfit.cli._options import AsJson, BoardName, Goal, InputForm, MaxFlash, MaxMs, MaxRam, goal_of, limits_of
from chipfit.cli._pictures import Mean, Resize, Scale, Side, Std, preprocessing
from chipfit.errors import ChipfitError

if TYPE_CHECKING:
    from chipfit.cli._training import Telling
    from chipfit.deployment import Listener
    from chipfit.deployment.report import State
    from chipfit.training.settings import TrainSettings


def deploy(
    context: typer.Context,
    source: Annotated[
        Path,
        typer.Argument(
            metavar="SOURCE",
            help="A folder of pictures, a sub-folder for each class; a run of `chipfit train`; a model.",
        ),
    ],
    board: BoardName,
    framework: Annotated[
        str | None, typer.Option("--framework", "-f", metavar="NAME", help="Write a project, too: arduino, zephyr, ...")
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", metavar="DIR", help="Where all goes.  [default: SOURCE-BOARD]")
    ] = None,
    weights: Annotated[
        str | None, typer.Option("--weights", metavar="FILE", help="Pretrained: a file of Keras, or `imagenet`.")
    ] = None,
    backbone: Annotated[
        str, typer.Option("--backbone", metavar="NAME", help="The network that is trained.")
    ] = "mobilenet_v1",
    alpha: Annotated[
        float | None, typer.Option("--alpha", metavar="A", help="Its width, 0.125 to 1.  [default: 0.25]")
    ] = None,
    size: Annotated[
        str, typer.Option("--size", metavar="N|HxW", help="Pixels of a picture's sides, 32 to 224.")
    ] = "64",
    grey: Annotated[bool, typer.Option("--grey", help="Pictures without colours.")] = False,
    epochs: Annotated[
        int, typer.Option("--epochs", min=1, metavar="N", help="Times that all layers see all pictures.")
    ] = 8,
    seed: Annotated[int, typer.Option("--seed", min=0, metavar="S", help="Of training.")] = 0,
    val: Annotated[
        Path | None, typer.Option("--val", metavar="DIR", help="Pictures to judge by, in a folder of their own.")
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option("--data", "-d", metavar="DATA", help="For a model: pictures or an .npz, to choose integers with."),
    ] = None,
    resize: Resize = "crop",
    side: Side = 0,
    scale: Scale = "1",
    mean: Mean = "0",
    std: Std = "1",
    optimize: Goal = "auto",
    input_form: InputForm = "whole",
    compress_weights: Annotated[
        bool, typer.Option("--compress-weights", help="Weights in less flash: `--weights compressed` of compile.")
    ] = False,
    max_flash: MaxFlash = None,
    max_ram: MaxRam = None,
    max_ms: MaxMs = None,
    verify: Annotated[
        int, typer.Option("--verify", min=1, metavar="N", help="Samples that run on the emulated chip.")
    ] = 100,
    force: Annotated[
        bool, typer.Option("--force", help="Write into a folder that is not chipfit's, and over edited files.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """From pictures or a model to a program that is proven on the emulated chip, and a project to flash.

    Trains or loads, quantizes, compiles, verifies, writes the project; prints each command that does the same alone.
    Called again it goes on with what is there. If the program does not fit, it says what would.
    """
    from chipfit.cli._console import show, show_json
    from chipfit.cli._training import telling
    from chipfit.deployment import Request
    from chipfit.deployment import deploy as run
    from chipfit.quantize import Preprocessing
    from chipfit.report.text_deploy import deploy_text
    from chipfit.targets import load_board

    _refuse_idle(context, source)
    target = load_board(board)
    how = preprocessing(resize, side, scale, mean, std)
    request = Request(
        source=source,
        board=target,
        board_name=board,
        folder=out or Path(f"{source.resolve().stem}-{target.name}"),
        framework=framework,
        settings=_settings(weights, backbone, alpha, size, grey, epochs, seed),
        validation=val,
        data=data,
        preprocessing=None if how == Preprocessing() else how,
        goal=goal_of(optimize),
        limits=limits_of(max_flash, max_ram, max_ms),
        rows=input_form == "rows",
        weights="compressed" if compress_weights else "plain",
        verified=verify,
        force=force,
    )
    try:
        settings = request.settings.resolved()
        with telling((settings.frozen_epochs or 0) + settings.epochs) as (watch, _):
            report = run(request, _listener(watch))
    except KeyboardInterrupt:
        typer.echo("stopped; the same command goes on", err=True)
        raise
    if as_json:
        show_json(report.to_json())
    else:
        show(lambda width: deploy_text(report, width))
    if report.problem:
        raise typer.Exit(1)


def _refuse_idle(context: typer.Context, source: Path) -> None:
    """Raise ChipfitError U001 for options that would change nothing."""
    from chipfit.deployment.source import is_pictures, is_run

    of_training = ("weights", "backbone", "alpha", "size", "grey", "epochs", "seed", "val")
    of_models = ("data", "resize", "side", "scale", "mean", "std")
    given = {n for n in (*of_training, *of_models) if str(context.get_parameter_source(n)).endswith("COMMANDLINE")}
    if is_pictures(source):
        idle, what = given & set(of_models), "a model's file; of pictures, `chipfit train` takes more options"
    else:
        idle = given & set(of_training if not is_run(source) else (*of_training, *of_models))
        what = "a folder of pictures" + ("; a run keeps its own" if is_run(source) else "")
    if idle:
        options = ", ".join(f"--{name}" for name in sorted(idle))
        raise ChipfitError("U001", f"{options} has no meaning for '{source}'", f"it is for {what}: leave it out")


def _settings(
    weights: str | None, backbone: str, alpha: float | None, size: str, grey: bool, epochs: int, seed: int
) -> TrainSettings:
    from chipfit.cli._training import size_of
    from chipfit.training.settings import TrainSettings

    height, width = size_of(size)
    return TrainSettings(
        backbone=backbone, alpha=alpha, height=height, width=width, grey=grey, weights=weights, epochs=epochs, seed=seed
    )


def _listener(watch: Telling) -> Listener:
    from chipfit.deployment import Listener

    class Deploying(Listener):
        training = watch

        def step(self, command: str, state: State) -> None:
            watch.line(f"$ {command}" if state == "ran" else f"= {command}  (done before)")

        def now(self, text: str) -> None:
            watch.reading(text, 0, 1)

        def progress(self, what: str, done: int, total: int) -> None:
            watch.reading(what, done, total)

    return Deploying()


def add_to(app: typer.Typer) -> None:
    app.command()(deploy)
