"""Commands for boards with an NPU, and for the files of Vela: known by their content."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from chipfit.errors import ChipfitError

if TYPE_CHECKING:
    from chipfit.model import Model
    from chipfit.npu import Dense


def has_npu(board: str) -> bool:
    """Whether a board has an Ethos-U. Raises ChipfitError B001 and B002 as :func:`chipfit.load_board`."""
    from chipfit.targets import load_board

    return load_board(board).npu is not None


def is_npu_target(target: str) -> bool:
    """Whether a folder or file holds a command stream for an Ethos-U."""
    path = Path(target)
    if path.is_dir():
        from chipfit.npu import npu_file_of

        return npu_file_of(path) is not None
    try:
        return path.is_file() and b"ethos-u" in path.read_bytes()
    except OSError:
        return False


def compile_npu(model: Model, board: str, out: str | None, *, explain: bool, as_json: bool, **options: Any) -> None:
    from chipfit.cli._console import show, show_json, talk
    from chipfit.npu import compile_for_npu
    from chipfit.report.text_npu import npu_compile_text

    with talk(f"compiling for {board}") as say:
        report = compile_for_npu(model, board, out, progress=say.say, **options)
    if as_json:
        show_json(report.to_json())
    else:
        show(lambda width: npu_compile_text(report, width, explain=explain))


def check_npu(model: Model, board: str, source: str, *, fix: bool, as_json: bool) -> bool:
    """Print where operators would run; whether the model fits."""
    from chipfit.cli._console import show, show_json, talk
    from chipfit.npu import check_for_npu
    from chipfit.report.text_npu import npu_check_text

    with talk("Vela compiles"):
        report = check_for_npu(model, board, fix=fix)
    if as_json:
        show_json(report.to_json())
    else:
        show(lambda width: npu_check_text(report, width, source=source))
    return report.placement.fits


def inspect_npu(source: str, *, trace: bool, as_json: bool) -> None:
    from chipfit.cli._console import show, show_json
    from chipfit.npu import inspect_streams, open_target
    from chipfit.report.text_npu import npu_inspect_text

    report = inspect_streams(open_target(Path(source)), trace=trace)
    if as_json:
        show_json(report.to_json())
    else:
        show(lambda width: npu_inspect_text(report, width, source=source))


def run_npu(
    source: str,
    board: str | None,
    inputs: tuple[Path | None, int | None, int | None],
    save: Path | None,
    dense: Dense,
    *,
    trace: bool,
    as_json: bool,
) -> None:
    """``inputs``: a file, or a number of random samples and their seed."""
    from chipfit.cli._console import show, show_json, talk
    from chipfit.cli._options import read_inputs
    from chipfit.npu import open_target, run_streams
    from chipfit.report.text_npu import npu_run_text
    from chipfit.samples import save_arrays

    with talk("reading") as say:
        model = open_target(Path(source))
        if not any(node.op.name == "ethos_u" for node in model.graph.nodes):
            raise ChipfitError("A001", f"'{source}' has no command stream", "compile it with `chipfit compile`")
        samples, words = read_inputs(model.inputs, *inputs, default=1)
        count = len(samples)
        report = run_streams(
            model,
            samples,
            dense=dense,
            trace=trace,
            board=board,
            progress=lambda done: say.say(f"simulating: {done} of {count}"),
        )
    if save:
        save_arrays(save, dict(zip((info.name for info in report.output_info), report.outputs, strict=True)))
    if as_json:
        show_json(report.to_json())
    else:
        show(lambda width: npu_run_text(report, width, source=words))
