"""What the methods of compression share: options, and how a compression is run and told of."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import MISSING, dataclass, fields
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

import typer

from chipfit.cli._options import OFFERED_BOARD, AsJson
from chipfit.cli._pictures import Mean, Scale, Std

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
SomeEpochs = Annotated[int, typer.Option("--epochs", min=1, metavar="N", help="Of learning.")]
Rate = Annotated[float, typer.Option("--rate", metavar="R", help="Learning rate of Adam.")]
Batch = Annotated[int, typer.Option("--batch", min=1, metavar="N", help="Pictures at a time.")]
Augment = Annotated[
    str, typer.Option("--augment", metavar="TEXT", help="none, colours, light or strong; with changes as in `train`.")
]
Aware = Annotated[bool, typer.Option("--qat", help="Learn in integers, as `compress qat` does.")]
Seed = Annotated[int, typer.Option("--seed", min=0, metavar="S", help="Of all that is drawn.")]
Resume = Annotated[bool, typer.Option("--resume", help="Go on with the interrupted run in -o, with the same settings.")]


@dataclass(frozen=True)
class _What:
    """What is compressed, and for what; ahead of a method's own options."""

    source: Source
    data: Data = None
    val: Val = None
    board: Board = OFFERED_BOARD


@dataclass(frozen=True)
class _Learning:
    epochs: Epochs
    rate: Rate
    batch: Batch = 32
    augment: Augment = "light"


@dataclass(frozen=True)
class _MoreLearning(_Learning):
    """Of a method that is nothing without."""

    epochs: SomeEpochs


@dataclass(frozen=True)
class _How:
    """Behind them."""

    scale: Scale = "1"
    mean: Mean = "0"
    std: Std = "1"
    seed: Seed = 0
    out: Out = None
    resume: Resume = False
    as_json: AsJson = False


def method_command(
    epochs: int, rate: float = 2e-4, at_least: int = 0
) -> Callable[[Callable[..., Method]], Callable[..., None]]:
    """A subcommand out of a function from settings of learning (None: nothing learns) and own options to a method.

    ``epochs``, ``rate``: the defaults; ``at_least``: so many epochs, 0 or 1. The command has the function's options
    between those of all methods.
    """

    def decorate(function: Callable[..., Method]) -> Callable[..., None]:
        @wraps(function)
        def command(**given: Any) -> None:
            what, learning, how = (_taken(kind, given) for kind in (_What, _Learning, _How))
            _run(function(_tuning(learning, how.seed), **given), what, how)

        learning = _parameters(_MoreLearning if at_least else _Learning, {"epochs": epochs, "rate": rate})
        parameters = [*_parameters(_What), *_own(function), *learning, *_parameters(_How)]
        command.__annotations__ = {p.name: p.annotation for p in parameters}
        command.__signature__ = inspect.Signature(parameters)  # pyright: ignore[reportAttributeAccessIssue]
        return command

    return decorate


def _parameters(kind: type, defaults: dict[str, Any] | None = None) -> list[inspect.Parameter]:
    """The fields of a dataclass as options."""
    hints = get_type_hints(kind, include_extras=True)
    known = {f.name: inspect.Parameter.empty if f.default is MISSING else f.default for f in fields(kind)}
    known |= defaults or {}
    return [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=hints[name])
        for name, default in known.items()
    ]


def _own(function: Callable[..., Method]) -> list[inspect.Parameter]:
    """A function's parameters behind the first, as options."""
    unimported = {"Method": Any, "TuneSettings": Any}
    hints = get_type_hints(function, localns=unimported, include_extras=True)
    _, *own = inspect.signature(function).parameters.values()
    return [p.replace(kind=inspect.Parameter.KEYWORD_ONLY, annotation=hints[p.name]) for p in own]


def _taken(kind: type, given: dict[str, Any]) -> Any:
    return kind(**{f.name: given.pop(f.name) for f in fields(kind)})


def _tuning(learning: _Learning, seed: int) -> TuneSettings | None:
    from chipfit.trainable.tune import TuneSettings

    if not learning.epochs:
        return None
    return TuneSettings(learning.epochs, learning.rate, learning.batch, augment=learning.augment, seed=seed)


def pixels(scale: str, mean: str, std: str) -> Preprocessing | None:
    """How pixels become inputs; None: as the model's file says, or as they are."""
    from chipfit.cli._pictures import preprocessing
    from chipfit.quantize import Preprocessing

    how = preprocessing("stretch", 0, scale, mean, std)
    return None if how == Preprocessing(resize="stretch") else how


def _run(method: Method, what: _What, how: _How) -> None:
    """Compress, and tell of it."""
    from chipfit.cli._console import show, show_json, stderr
    from chipfit.cli._training import telling
    from chipfit.compress.run import Request, command, compress
    from chipfit.report.text_compress import compress_text
    from chipfit.targets import load_board
    from chipfit.training.run_folder import RUN

    source = what.source
    folder = how.out or Path(f"{source.resolve().name.removesuffix(source.suffix)}-{method.name}")
    request = Request(
        source, folder, load_board(what.board), what.data, what.val, how.seed, how.resume,
        pixels(how.scale, how.mean, how.std),
    )  # fmt: skip
    try:
        with telling(method.epochs) as (watch, progress):
            report = compress(request, method, watch=watch, progress=progress)
    except KeyboardInterrupt:
        if (folder / RUN).is_file():
            stderr().print(f"stopped; go on: {command(request, method)} --resume", soft_wrap=True)
        raise
    if how.as_json:
        show_json(report.to_json())
    else:
        show(lambda width: compress_text(report, width))
