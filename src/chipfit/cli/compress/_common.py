"""What the methods of compression share: options, and how a compression is run and told of."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from chipfit.compress.run import Method
    from chipfit.quantize import Preprocessing
    from chipfit.trainable.tune import TuneSettings

Source = Annotated[
    Path,
    typer.Argument(metavar="RUN|MODEL", help="The folder of a run of `chipfit train` or `compress`, or a float model."),
]
Data = Annotated[
    Path | None,
    typer.Option(
        "--data",
        "-d",
        metavar="DATA",
        help="For a model: a folder with a sub-folder of pictures for each class, or an .npz file with `labels`; "
        "without labels nothing learns.",
    ),
]
Val = Annotated[
    Path | None, typer.Option("--val", metavar="FOLDER", help="Pictures to judge by, in a folder of their own.")
]
Board = Annotated[
    str, typer.Option("--board", "-b", metavar="BOARD", help="What the result is for: figures are of this board.")
]
Out = Annotated[
    Path | None, typer.Option("--out", "-o", metavar="DIR", help="Folder of the result.  [default: SOURCE-METHOD]")
]
Epochs = Annotated[int, typer.Option("--epochs", min=0, metavar="N", help="Of learning at the end; 0: nothing learns.")]
Rate = Annotated[float, typer.Option("--rate", metavar="R", help="Learning rate of Adam.")]
Batch = Annotated[int, typer.Option("--batch", min=1, metavar="N", help="Pictures at a time.")]
Augment = Annotated[
    str, typer.Option("--augment", metavar="TEXT", help="none, colours, light or strong; with changes as in `train`.")
]
Seed = Annotated[int, typer.Option("--seed", min=0, metavar="S", help="Of all that is drawn.")]
Resume = Annotated[bool, typer.Option("--resume", help="Go on with the interrupted run in -o, with the same settings.")]


def tuning(epochs: int, rate: float, batch: int, augment: str, seed: int) -> TuneSettings | None:
    """None: nothing learns."""
    from chipfit.trainable.tune import TuneSettings

    if not epochs:
        return None
    return TuneSettings(epochs=epochs, rate=rate, batch=batch, augment=augment, seed=seed)


def pixels(scale: str, mean: str, std: str) -> Preprocessing | None:
    """How pixels become inputs; None: as the model's file says, or as they are."""
    from chipfit.cli._pictures import preprocessing
    from chipfit.quantize import Preprocessing

    how = preprocessing("stretch", 0, scale, mean, std)
    return None if how == Preprocessing(resize="stretch") else how


def run_method(
    method: Method,
    epochs: int,
    source: Path,
    data: Path | None,
    val: Path | None,
    board: str,
    out: Path | None,
    seed: int,
    resume: bool,
    as_json: bool,
    how: Preprocessing | None = None,
) -> None:
    """Compress, and tell of it. ``epochs``: of all learning together; ``how``: see :func:`pixels`."""
    from chipfit.cli._console import show, show_json, stderr
    from chipfit.cli._training import telling
    from chipfit.compress.run import Request, command, compress
    from chipfit.report.text_compress import compress_text
    from chipfit.targets import load_board
    from chipfit.training.run_folder import RUN

    folder = out or Path(f"{source.resolve().name.removesuffix(source.suffix)}-{method.name}")
    request = Request(source, folder, load_board(board), data, val, seed, resume, how)
    try:
        with telling(epochs) as (watch, progress):
            report = compress(request, method, watch=watch, progress=progress)
    except KeyboardInterrupt:
        if (folder / RUN).is_file():
            stderr().print(f"stopped; go on: {command(request, method)} --resume", soft_wrap=True)
        raise
    if as_json:
        show_json(report.to_json())
    else:
        show(lambda width: compress_text(report, width))
