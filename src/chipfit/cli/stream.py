"""``chipfit stream``."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated

import typer

from chipfit.cli._options import OFFERED_BOARD, AllowCode, AsJson, ChannelsLast, ModelFile, load_model
from chipfit.errors import ChipfitError


def stream(
    model: ModelFile,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", metavar="OUT.tflite", help="Write the stateful model to this file.")
    ] = None,
    step: Annotated[
        int | None,
        typer.Option("--step", min=1, metavar="N", help="New frames in each call.  [default: as few as possible]"),
    ] = None,
    axis: Annotated[
        int | None,
        typer.Option("--axis", min=0, metavar="A", help="Axis of the input that is time.  [default: the only one]"),
    ] = None,
    allow_code: AllowCode = False,
    channels_last: ChannelsLast = False,
    as_json: AsJson = False,
) -> None:
    """Turn a sliding-window model into one that takes new frames only.

    The stateful model remembers what its layers need of earlier frames, and gives the outputs that the window model
    gives on the last ones, byte for byte. Without -o nothing is written. A model of which a layer cannot follow is
    refused with the reasons: see docs/streaming.md.
    """
    import chipfit
    from chipfit.cli._console import show, show_json, talk
    from chipfit.report.text_stream import stream_text

    with talk("reading the model") as say:
        loaded = load_model(model, allow_code, channels_last, say)
        say.say("rewriting")
        streamed = chipfit.stream(loaded, step=step, axis=axis)
    report = streamed.report
    if out is not None:
        data = streamed.tflite()
        if out.resolve() == Path(model).resolve():
            raise ChipfitError("U001", f"'{out}' is the window model itself", "name another file")
        out.write_bytes(data)
        report = dataclasses.replace(report, file=str(out), file_bytes=len(data))
    if as_json:
        show_json(report.to_json())
    else:
        show(lambda width: stream_text(report, width, source=model, board=OFFERED_BOARD))


def add_to(app: typer.Typer) -> None:
    app.command()(stream)
