"""``chipfit train``."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from chipfit.cli._options import AsJson
from chipfit.errors import ChipfitError

if TYPE_CHECKING:
    from chipfit.training.report import TrainReport
    from chipfit.training.train import Source


def train(
    context: typer.Context,
    folder: Annotated[
        Path | None,
        typer.Argument(metavar="FOLDER", help="Pictures: a sub-folder for each class, or train/ and val/ of such."),
    ] = None,
    labels: Annotated[
        Path | None,
        typer.Option(
            "--labels",
            metavar="FILE.csv",
            help="Numbers to learn instead of classes: name of a picture's file, then numbers, in each row.",
        ),
    ] = None,
    val: Annotated[
        Path | None,
        typer.Option("--val", metavar="FOLDER", help="Pictures to validate with, in a folder of their own."),
    ] = None,
    val_share: Annotated[
        float,
        typer.Option("--val-share", metavar="S", help="Else this share of each class, or of the rows, validates."),
    ] = 0.2,
    backbone: Annotated[
        str,
        typer.Option(
            "--backbone",
            metavar="NAME",
            help="mobilenet_v1, mobilenet_v2, mobilenet_v3_small, efficientnet_b0 or ds_cnn.",
        ),
    ] = "mobilenet_v1",
    alpha: Annotated[
        float | None, typer.Option("--alpha", metavar="A", help="Width, 0.125 to 1.  [default: 0.25]")
    ] = None,
    depth: Annotated[
        float,
        typer.Option(
            "--depth", metavar="D", help="Share of its blocks, of mobilenet_v1 and ds_cnn; the others are left out."
        ),
    ] = 1.0,
    size: Annotated[
        str, typer.Option("--size", metavar="N|HxW", help="Pixels of a picture's sides, 32 to 224 each.")
    ] = "64",
    grey: Annotated[bool, typer.Option("--grey", help="Pictures without colours.")] = False,
    resize: Annotated[
        Literal["crop", "stretch"],
        typer.Option("--resize", help="Pictures: stretch both sides to the size, or cut out the middle."),
    ] = "stretch",
    weights: Annotated[
        str | None,
        typer.Option(
            "--weights",
            metavar="FILE|imagenet",
            help="Pretrained: a .h5, .weights.h5 or .keras file, or those that Keras fetches.",
        ),
    ] = None,
    target: Annotated[
        Literal["any", "k210"],
        typer.Option("--for", help="A form of mobilenet_v1 whose layers all run on the K210's KPU."),
    ] = "any",
    epochs: Annotated[
        int, typer.Option("--epochs", min=1, metavar="N", help="Times that all layers see all pictures.")
    ] = 8,
    frozen_epochs: Annotated[
        int | None,
        typer.Option(
            "--frozen-epochs",
            min=0,
            metavar="N",
            help="Before them, with the head alone learning.  [default: 1 with --weights, else 0]",
        ),
    ] = None,
    batch: Annotated[int, typer.Option("--batch", min=1, metavar="N", help="Pictures at a time.")] = 32,
    rate: Annotated[float, typer.Option("--rate", metavar="R", help="Learning rate of Adam.")] = 5e-4,
    patience: Annotated[
        int,
        typer.Option(
            "--patience",
            min=0,
            metavar="N",
            help="Stop after N epochs without a better one, lower the rate after half as many; 0: neither.",
        ),
    ] = 4,
    dropout: Annotated[
        float, typer.Option("--dropout", metavar="S", help="Share of the pooled features that learning leaves out.")
    ] = 0.1,
    dense: Annotated[
        int, typer.Option("--dense", min=0, metavar="N", help="A hidden layer of N units before the last.")
    ] = 0,
    augment: Annotated[
        str | None,
        typer.Option(
            "--augment",
            metavar="TEXT",
            help="none, colours, light or strong; with changes: light,rotation=10,flip=no.  [default: light; colours "
            "with --labels]",
        ),
    ] = None,
    balance: Annotated[
        bool, typer.Option("--balance/--no-balance", help="Pictures of small classes count more.")
    ] = True,
    label_smoothing: Annotated[
        float, typer.Option("--label-smoothing", metavar="S", help="Share of a label that all classes get.")
    ] = 0.0,
    qat: Annotated[
        bool,
        typer.Option("--qat", help="Then learn in the integers of the chip, and write the int8 network, too."),
    ] = False,
    qat_epochs: Annotated[int, typer.Option("--qat-epochs", min=1, metavar="N", help="Epochs of that.")] = 4,
    seed: Annotated[
        int, typer.Option("--seed", min=0, metavar="S", help="Of all that is drawn: weights, order, augmentation.")
    ] = 0,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", metavar="RUN", help="Folder of the run.  [default: FOLDER-run]")
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the run in -o, from its last finished epoch.")
    ] = False,
    repeat: Annotated[
        Path | None,
        typer.Option("--repeat", metavar="RUN", help="Pictures and settings of that run; others that are given win."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Train a network on a folder of pictures, to tell classes or to estimate numbers.

    The run's folder gets the best network (.tflite and .keras), curves, a sheet of pictures, and run.json, which says
    all that is needed to repeat it. Ctrl-C stops it so that --resume goes on.
    """
    from chipfit.cli._console import show, show_json
    from chipfit.cli._training import size_of
    from chipfit.report.text_train import train_text
    from chipfit.training.settings import TrainSettings
    from chipfit.training.train import Source, source_of

    height, width = size_of(size)
    values: dict[str, Any] = {
        "backbone": backbone, "alpha": alpha, "depth": depth, "grey": grey, "resize": resize,
        "weights": weights, "target": target,
        "epochs": epochs, "frozen_epochs": frozen_epochs, "batch": batch, "rate": rate, "patience": patience,
        "dropout": dropout, "dense": dense, "augment": augment, "balance": balance,
        "label_smoothing": label_smoothing, "seed": seed, "validation_share": val_share,
        "labels": None if labels is None else str(labels), "qat": qat, "qat_epochs": qat_epochs,
    }  # fmt: skip
    options = {"validation_share": "val_share"}
    given = {name: value for name, value in values.items() if _is_given(context, options.get(name, name))}
    if _is_given(context, "size"):
        given |= {"height": height, "width": width}
    if resume:
        if out is None or repeat is not None:
            raise ChipfitError("U001", "--resume goes on with one run", "name its folder: --resume -o RUN")
        run = source_of(out)
        _refuse_changes(run, folder, val, dataclasses.replace(run.settings, **given), out)
        report = _trained(Source(run.data, run.validation, dataclasses.replace(run.settings, **given)), out, resume)
    else:
        base = None if repeat is None else source_of(repeat)
        data = folder or (base.data if base else None)
        if data is None:
            raise ChipfitError("U001", "no pictures are named", "chipfit train FOLDER")
        settings = TrainSettings(**given) if base is None else dataclasses.replace(base.settings, **given)
        validation = val or (base.validation if base and folder is None else None)
        report = _trained(Source(data, validation, settings), out or Path(f"{data.resolve().name}-run"), resume)
    if as_json:
        show_json(report.to_json())
    else:
        show(lambda width: train_text(report, width))


def _is_given(context: typer.Context, name: str) -> bool:
    """Whether the user typed an option, and did not leave it to its default."""
    source = context.get_parameter_source(name)
    return source is not None and source.name != "DEFAULT"


def _refuse_changes(run: Source, folder: Path | None, val: Path | None, settings: Any, out: Path) -> None:
    """Raise ChipfitError N003 for pictures or settings that are not those of the run."""
    changed = settings.differences(run.settings)
    for given, kept in ((folder, run.data), (val, run.validation)):
        if given is not None and (kept is None or given.resolve() != kept.resolve()):
            changed.append(f"pictures of '{given}' instead of '{kept}'")
    if changed:
        hint = f"leave them out, or begin anew with them: --repeat {out} -o OTHER"
        raise ChipfitError("N003", f"the run in '{out}' began otherwise: {'; '.join(changed)}", hint)


def _trained(source: Source, out: Path, is_resumed: bool) -> TrainReport:
    """Train, and tell of it. An interruption says how to go on."""
    from chipfit.cli._console import stderr
    from chipfit.cli._training import telling
    from chipfit.report.text import command
    from chipfit.training.run_folder import LAST
    from chipfit.training.train import resume, train

    settings = source.settings.resolved()
    try:
        with telling(
            (settings.frozen_epochs or 0) + settings.epochs + (settings.qat_epochs if settings.qat else 0)
        ) as (watch, reading):
            if is_resumed:
                return resume(out, epochs=settings.epochs, watch=watch, progress=reading)
            return train(source.data, out, settings, validation=source.validation, watch=watch, progress=reading)
    except KeyboardInterrupt:
        if (out / LAST).is_file():
            stderr().print(f"stopped; go on: {command('train', '--resume', '-o', str(out))}", soft_wrap=True)
        raise


def add_to(app: typer.Typer) -> None:
    app.command()(train)
