"""What a comparison reports."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from chipfit.build import Aim, Weights
from chipfit.deployment import Needs
from chipfit.evaluation import Difference, Share
from chipfit.report.data import COMPUTED, MEASURED, envelope
from chipfit.search.report import dominates

Kind = Literal["run", "trial", "deployment", "model"]

JUDGED = "measured (float: LiteRT, or C on the host; integer: C on the host)"
ESTIMATED = "estimated (cycle model; energy from it and the current that the board states)"


@dataclass(frozen=True)
class Judged:
    """Samples that models are judged by: ``samples`` of ``data``, behind the first ``skipped``. ``how``: which ones."""

    data: str
    how: str
    samples: int
    skipped: int = 0


@dataclass(frozen=True)
class Accuracy:
    """Shares of right answers of the float and the integer model; ``float32`` None: there is no float model.

    ``judged``: place of the samples in :attr:`CompareReport.judged`: shares of other samples are of no use beside
    these. ``points``: percentage points of the integer model above the first one's, with ``difference``, which says
    whether that is noise; None: it is the first one, or judged by other samples.
    """

    judged: int
    float32: Share | None
    integer: Share
    points: float | None = None
    difference: Difference | None = None


@dataclass(frozen=True)
class Change:
    """Against the first model on the same board: -0.52 is 52 % less. None: one of the two is unknown."""

    flash: float | None = None
    ram: float | None = None
    instructions: float | None = None
    milliseconds: float | None = None
    energy: float | None = None

    @staticmethod
    def between(first: OnBoard, other: OnBoard) -> Change:
        """What was not compiled as a whole is not set against what was."""
        if not (first.is_whole and other.is_whole):
            return Change()
        pairs = (
            (first.flash, other.flash),
            (first.ram, other.ram),
            (first.instructions, other.instructions),
            (first.milliseconds, other.milliseconds),
            (first.energy_mj, other.energy_mj),
        )
        return Change(*(_change(a, b) for a, b in pairs))


def _change(first: float | None, other: float | None) -> float | None:
    return None if not first or other is None else other / first - 1


@dataclass(frozen=True)
class OnBoard:
    """An integer model on a board: bytes of flash and RAM in all, stack included; ``instructions``, ``milliseconds``
    and ``energy_mj`` of one run, the last two estimated. None: unknown.

    ``optimize``, ``weights``: how it was compiled. ``is_whole``: it was; else it is too large for that, and flash and
    RAM are what it needs at least. ``problem``: why it does not fit, or cannot run there; empty: it does.
    ``against``: the first model. ``on_front``: no other model of the comparison that was judged by the same samples is
    as good in accuracy, flash, RAM and instructions, and better in one of them; None: one of these is unknown.
    """

    board: str
    optimize: Aim | None
    weights: Weights
    flash: int | None
    ram: int | None
    is_whole: bool
    instructions: int | None
    milliseconds: float | None
    energy_mj: float | None
    problem: str = ""
    against: Change | None = None
    on_front: bool | None = None

    @staticmethod
    def of(needs: Needs, weights: Weights) -> OnBoard:
        return OnBoard(
            needs.board, needs.optimize, weights, needs.flash, needs.ram, needs.is_whole, needs.instructions,
            needs.milliseconds, needs.energy_mj, needs.problem,
        )  # fmt: skip


@dataclass(frozen=True)
class Entry:
    """One model. ``source``: as it was named, and ``kind``: what that is; ``about``: what is known of the network.

    ``float_file``: None: there is none; ``file``: its integer model; None: made for the comparison, and not kept.
    ``parameters``: numbers in its layers; ``macs``: multiply-accumulates of one run. ``accuracy``: None: unknown, and
    ``unknown`` says why. ``boards``: in the order of :attr:`CompareReport.boards`.
    """

    name: str
    source: str
    kind: Kind
    about: str
    float_file: str | None
    file: str | None
    parameters: int
    macs: int
    accuracy: Accuracy | None
    unknown: str
    boards: tuple[OnBoard, ...]


@dataclass(frozen=True)
class CompareReport:
    """``boards``: names. ``judged``: the samples; more than one: accuracies of different ones say nothing of each
    other. ``folder``, ``files``: what was written; None: nothing is kept. ``offer``: the command to go on with; None:
    no model fits a board."""

    boards: tuple[str, ...]
    entries: tuple[Entry, ...]
    judged: tuple[Judged, ...]
    notes: tuple[str, ...]
    folder: str | None
    files: tuple[str, ...]
    offer: str | None
    seconds: float
    how_accuracy: str = JUDGED
    how_memory: str = COMPUTED
    how_instructions: str = MEASURED
    how_time: str = ESTIMATED

    @property
    def is_comparable(self) -> bool:
        """Whether all models were judged by the same samples."""
        return len(self.judged) == 1 and all(entry.accuracy is not None for entry in self.entries)

    def to_json(self) -> dict[str, Any]:
        return envelope("chipfit.compare", self)


def merits(entry: Entry, board: int) -> tuple[float, ...] | None:
    """What is better the smaller it is; None: something is unknown."""
    found = entry.boards[board]
    if entry.accuracy is None or found.flash is None or found.ram is None or found.instructions is None:
        return None
    return (-entry.accuracy.integer.share, found.flash, found.ram, found.instructions)


def is_on_front(entry: Entry, entries: tuple[Entry, ...], board: int) -> bool | None:
    """See :class:`OnBoard`. A model that does not fit is never there, and keeps no other one from it."""
    mine = merits(entry, board)
    if entry.boards[board].problem:
        return False
    if mine is None or entry.accuracy is None:
        return None
    for other in entries:
        same = other.accuracy is not None and other.accuracy.judged == entry.accuracy.judged
        theirs = merits(other, board) if same and not other.boards[board].problem else None
        if theirs is not None and dominates(theirs, mine):
            return False
    return True
