"""``chipfit run``."""

from __future__ import annotations

import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from chipfit.cli._options import (
    OFFERED_BOARD,
    TARGET_HELP,
    AllowCode,
    AsJson,
    ChannelsLast,
    Dense,
    InputFile,
    RandomCount,
    Seed,
    Trace,
    is_compiled,
    load_model,
    read_inputs,
)
from chipfit.errors import ChipfitError

if TYPE_CHECKING:
    from chipfit.cli._console import Talk
    from chipfit.firmware import Firmware
    from chipfit.report.data import RunReport


def run(
    target: Annotated[str, typer.Argument(metavar="TARGET", help=TARGET_HELP)],
    board: Annotated[
        str | None, typer.Option("--board", "-b", metavar="BOARD", help="The board, if TARGET is a model.")
    ] = None,
    input_file: InputFile = None,
    random: RandomCount = None,
    seed: Seed = None,
    save: Annotated[
        Path | None, typer.Option("--save", metavar="OUT.npz", help="Write the outputs of all samples to a file.")
    ] = None,
    max_instructions: Annotated[
        int | None, typer.Option("--max-instructions", min=1, metavar="N", help="Stop a run that takes longer.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", metavar="DIR", help="kmodel: write a .bin of outputs for each input.")
    ] = None,
    dump: Annotated[
        Path | None, typer.Option("--dump", metavar="DIR", help="kmodel: write the result of every node.")
    ] = None,
    trace: Trace = False,
    dense: Dense = "stream",
    allow_code: AllowCode = False,
    channels_last: ChannelsLast = False,
    as_json: AsJson = False,
) -> None:
    """Run a model on the emulated chip, a .kmodel on a simulated K210, a file of Vela on a simulated Ethos-U.

    By default over one random input. TARGET is a folder from `chipfit compile`; with -b it may be a model file, which
    is then compiled into a temporary folder. A kmodel takes pictures, .bin files and folders of them as --input, too.
    """
    from chipfit.cli._kmodel import is_kmodel_file, run_kmodel
    from chipfit.cli._npu import is_npu_target, run_npu

    if is_kmodel_file(target):
        if board is not None or save is not None or max_instructions is not None:
            hint = "leave out -b, --save and --max-instructions; -o writes the outputs"
            raise ChipfitError("U001", f"'{target}' is a kmodel, which is simulated", hint)
        run_kmodel(target, input_file, random, seed, out, dump, as_json)
        return
    if is_npu_target(target):
        if out is not None or dump is not None or max_instructions is not None:
            hint = "leave out -o, --dump and --max-instructions; --save writes the outputs to an .npz file"
            raise ChipfitError("U001", f"'{target}' is for an Ethos-U, which is simulated", hint)
        run_npu(target, board, (input_file, random, seed), save, dense, trace=trace, as_json=as_json)
        return
    if trace or dense != "stream":
        raise ChipfitError(
            "U001", f"--trace and --dense are for files of Vela, which '{target}' is not", "leave them out"
        )
    if out is not None or dump is not None:
        raise ChipfitError("U001", "-o and --dump are for kmodels", "--save writes the outputs to an .npz file")
    from chipfit.cli._console import show, show_json, talk
    from chipfit.codegen import holds_several
    from chipfit.firmware import DEFAULT_LIMIT
    from chipfit.report.text_run import run_text
    from chipfit.samples import save_outputs

    if is_compiled(target) and holds_several(Path(target)):
        _run_several(
            target, board, input_file, random or 1, seed or 0, save, max_instructions or DEFAULT_LIMIT, as_json
        )
        return
    with talk("reading") as say, _firmware(target, board, allow_code, channels_last, say) as firmware:
        samples, source = read_inputs(firmware.inputs, input_file, random, seed, default=1)
        say.say("running")
        report = firmware.run(samples, max_instructions=max_instructions or DEFAULT_LIMIT, progress=say.instructions)
    if save:
        save_outputs(save, report)
    if as_json:
        show_json(report.to_json())
    else:
        show(lambda width: run_text(report, width, source=source, offer=_offer(target, report)))


def _run_several(
    target: str,
    board: str | None,
    input_file: Path | None,
    random: int,
    seed: int,
    save: Path | None,
    limit: int,
    as_json: bool,
) -> None:
    """Run a folder of several models, each over as many random samples."""
    import chipfit
    from chipfit.cli._console import show, show_json, talk
    from chipfit.report.text_set import run_set_text
    from chipfit.samples import random_samples, save_set_outputs

    if board is not None or input_file is not None:
        what, hint = (
            ("-b", "it is compiled for a board already") if board else ("--input", "use chipfit.FirmwareSet.run")
        )
        raise ChipfitError("U001", f"'{target}' holds several models and takes no {what}", hint)
    with talk("reading") as say:
        firmware = chipfit.FirmwareSet.open(target)
        say.say("running")
        samples = [random_samples(model.inputs, random, seed) for model in firmware.models]
        report = firmware.run(samples, max_instructions=limit, progress=say.instructions)
    if save:
        save_set_outputs(save, report)
    if as_json:
        show_json(report.to_json())
    else:
        show(lambda width: run_set_text(report, width, source=f"random (seed {seed})"))


@contextmanager
def _firmware(target: str, board: str | None, allow_code: bool, channels_last: bool, say: Talk) -> Generator[Firmware]:
    """What TARGET is: a compiled folder, or a model that is compiled into a folder that goes afterwards."""
    import chipfit
    from chipfit.report.text import command

    if is_compiled(target):
        if board is not None:
            raise ChipfitError("U001", f"'{target}' is a folder: it is compiled for a board already", "leave out -b")
        yield chipfit.Firmware.open(target)
        return
    if not Path(target).exists():
        raise ChipfitError("F001", f"there is no file or folder '{target}'", "check the path")
    if board is None:
        hint = f"`{command('run', target, '-b', OFFERED_BOARD)}` compiles it first"
        raise ChipfitError("U001", f"'{target}' is a model, for which a board must be named", hint)
    model = load_model(target, allow_code, channels_last, say)
    say.say(f"compiling for {board}")
    with tempfile.TemporaryDirectory(prefix="chipfit-run-") as folder:
        yield model.compile(board, Path(folder) / "firmware")


def _offer(target: str, report: RunReport) -> str | None:
    """A model file can be verified next; of a compiled folder the model is not known."""
    from chipfit.report.text import command

    return None if is_compiled(target) else command("verify", target, "-b", report.board)


def add_to(app: typer.Typer) -> None:
    app.command()(run)
