"""What a deployment did, and what came of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from chipfit.deployment.advice import Advice
from chipfit.deployment.figures import Needs
from chipfit.report.data import MEASURED, Flash, Ram, envelope

State = Literal["ran", "kept"]


@dataclass(frozen=True)
class Step:
    """``command``: does the same when it is typed. ``kept``: it was done before, with the same settings."""

    command: str
    state: State
    seconds: float


@dataclass(frozen=True)
class Accuracy:
    """Shares of right answers on ``pictures`` that the network was not trained with; None: no labels are known.

    ``chip_pictures``: of these, those that ran on the emulated chip, with the shares of both models there."""

    pictures: int
    labelled: str | None
    float32: float | None
    int8: float | None
    chip_pictures: int
    chip_float32: float | None
    chip_int8: float | None

    @property
    def lost(self) -> float | None:
        """Percentage points that quantizing cost."""
        return None if self.float32 is None or self.int8 is None else 100 * (self.float32 - self.int8)


@dataclass(frozen=True)
class Proof:
    """``line``: what the program on the emulated chip printed last. ``identical``: all outputs of ``samples`` runs are
    those of the integer reference."""

    samples: int
    identical: bool
    line: str
    how: str = MEASURED


@dataclass(frozen=True)
class DeployReport:
    """``problem``: why it stopped, with ``advice`` where something would fit; None: it went through.

    ``tried``: what each goal needs, the last one is the one taken. ``offer``: the command to go on with.
    """

    source: str
    model: str
    board: str
    framework: str | None
    folder: str
    optimize: str | None
    steps: tuple[Step, ...]
    tried: tuple[Needs, ...]
    accuracy: Accuracy | None
    flash: Flash | None
    ram: Ram | None
    instructions: int | None
    milliseconds: float | None
    proof: Proof | None
    problem: str | None
    advice: Advice | None
    offer: str
    seconds: float

    def to_json(self) -> dict[str, Any]:
        return envelope("chipfit.deploy", self)
