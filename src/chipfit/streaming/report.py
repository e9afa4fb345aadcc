"""What the streaming rewrite did, in figures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from chipfit.report.data import TensorInfo, envelope


@dataclass(frozen=True)
class StreamLayer:
    """One layer of the window model, and what is left of it in a call. ``state_bytes``: kept of its inputs."""

    name: str
    op: str
    window_output: str
    output: str
    state_bytes: int
    window_macs: int
    macs: int


@dataclass(frozen=True)
class StreamReport:
    """A window model as a stateful one.

    ``axis``: time, in the input of both; ``window``: frames of the window model; ``step``: frames of a call.
    ``warm_up``: calls after which every output is the window model's on frames that were fed.
    ``file``: where it was written; None: nowhere. ``file_problem``: why it has no ``.tflite`` form; None: it has one.
    """

    model: str
    streamed: str
    input: TensorInfo
    outputs: tuple[TensorInfo, ...]
    axis: int
    window: int
    step: int
    warm_up: int
    layers: tuple[StreamLayer, ...]
    states: int
    state_bytes: int
    window_macs: int
    macs: int
    file: str | None = None
    file_bytes: int | None = None
    file_problem: str | None = None

    def to_json(self) -> dict[str, Any]:
        return envelope("chipfit.stream", self)
