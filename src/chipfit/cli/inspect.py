"""``chipfit inspect``."""

from __future__ import annotations

from typing import Annotated

import typer

from chipfit.cli._options import OFFERED_BOARD, AllowCode, AsJson, ChannelsLast, ModelFile, Trace, load_model
from chipfit.errors import ChipfitError


def inspect(
    model: ModelFile,
    text: Annotated[bool, typer.Option("--text", help="Print the graph, one line per node.")] = False,
    plan: Annotated[bool, typer.Option("--plan", help="Print where every tensor lies in memory.")] = False,
    trace: Trace = False,
    allow_code: AllowCode = False,
    channels_last: ChannelsLast = False,
    as_json: AsJson = False,
) -> None:
    """Show layers, figures and memory of a model. A .kmodel, a .kfpkg and a file of Vela are taken apart."""
    if text + plan + as_json > 1:
        raise ChipfitError("U001", "--text, --plan and --json exclude each other", "choose one")
    from chipfit.cli._kmodel import inspect_kmodel, is_kmodel_file

    if is_kmodel_file(model):
        if text or plan:
            raise ChipfitError("U001", f"'{model}' is a kmodel and has no --text and no --plan", "leave them out")
        inspect_kmodel(model, as_json)
        return
    from chipfit.cli._npu import inspect_npu, is_npu_target

    if is_npu_target(model) and not text:
        if plan:
            raise ChipfitError("U001", f"'{model}' is a file of Vela, which has no --plan", "leave it out")
        inspect_npu(model, trace=trace, as_json=as_json)
        return
    if trace:
        raise ChipfitError("U001", f"--trace is for files of Vela, which '{model}' is not", "leave it out")
    from chipfit.cli._console import show, show_json, stdout, talk
    from chipfit.graph.text import print_graph
    from chipfit.inspection import inspect_model, memory_plan
    from chipfit.plan import describe
    from chipfit.report.text import safe_lines
    from chipfit.report.text_inspect import inspect_text
    from chipfit.report.text_memory import plan_text

    with talk("reading the model") as say:
        loaded = load_model(model, allow_code, channels_last, say)
    if text:
        stdout().out(safe_lines(print_graph(loaded.graph, data=False)), end="", highlight=False)
    elif plan:
        described = describe(memory_plan(loaded))
        show(lambda width: plan_text(described, width))
    elif as_json:
        show_json(inspect_model(loaded).to_json())
    else:
        report = inspect_model(loaded)
        show(lambda width: inspect_text(report, width, source=model, board=OFFERED_BOARD))


def add_to(app: typer.Typer) -> None:
    app.command()(inspect)
