"""What a compression was, and what came of it: the ``run.json`` of the folder that it writes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from chipfit.quantize import Preprocessing
from chipfit.report.data import COMPUTED, MEASURED, envelope
from chipfit.training.backend import Version
from chipfit.training.loop import Epoch
from chipfit.training.run_folder import COMPRESSED
from chipfit.training.settings import TrainSettings

Status = Literal["running", "interrupted", "finished"]

JUDGED = "measured (on this computer, on the validation pictures)"
JUDGED_INT8 = "measured (C on the host, on the validation pictures)"
NOT_JUDGED = "not measured: there are no data with labels"


@dataclass(frozen=True)
class BoardFigures:
    """The int8 model on a board: bytes of flash and RAM in all, stack included; ``constants``: of the flash, numbers of
    the model as they are stored there. ``instructions``, ``milliseconds``: of one run; None: it was not run.
    ``is_whole``: it was compiled; else it does not fit, and these are constants, arena and stack alone. ``problem``:
    why it does not fit; empty: it does."""

    board: str
    flash: int
    ram: int
    constants: int
    instructions: int | None
    milliseconds: float | None
    is_whole: bool = True
    problem: str = ""
    how: str = MEASURED


@dataclass(frozen=True)
class ModelFigures:
    """``parameters``: numbers in the layers; ``macs``: multiply-accumulates of one run. ``accuracy``: share of right
    answers of the float network, ``int8_accuracy``: of its int8 form; None: there are no labels, or no classes.
    ``loss``: of the float network: cross-entropy, nats, or for numbers the mean squared error of standardised ones.
    ``agreement``: share of samples for which the int8 model chooses as the first float network did; None: not asked.
    ``weight_bytes``: constants of the int8 model as its file has them. ``board``: what it needs there, its weights
    stored plainly; ``compressed``: with compressed weights; None: they would be no smaller."""

    parameters: int
    macs: int
    weight_bytes: int
    accuracy: float | None
    loss: float | None
    int8_accuracy: float | None
    agreement: float | None = None
    board: BoardFigures | None = None
    compressed: BoardFigures | None = None
    how: str = JUDGED
    how_int8: str = JUDGED_INT8
    how_counted: str = COMPUTED


@dataclass(frozen=True)
class CompressReport:
    """``method``: of compression; ``applied``: the methods that the source had gone through, and this one.
    ``source``: what was compressed; ``folder``: where the result is; ``command``: says the same to a shell.

    ``data``, ``validation_data``, ``settings``, ``preprocessing``: which pictures, divided how, as in the report of a
    training; ``settings`` None: the data are no folder of pictures. ``judged``: samples that accuracies are of.
    ``before``, ``after``: the figures of both models; ``details``: the method's own report. ``history``: epochs of
    learning, those of all stages. ``board_name``: what figures of a board are of. ``seconds``: of all. ``versions``:
    of what the learning depends on; none: nothing learned.
    """

    model: str
    method: str
    applied: tuple[str, ...]
    source: str
    folder: str
    status: Status
    data: str | None
    validation_data: str | None
    settings: TrainSettings | None
    preprocessing: Preprocessing | None
    classes: tuple[str, ...]
    command: str
    board_name: str
    judged: int
    before: ModelFigures | None = None
    after: ModelFigures | None = None
    details: Any = None
    history: tuple[Epoch, ...] = ()
    notes: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    seconds: float = 0.0
    versions: tuple[Version, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """``details`` has a schema of its own, ``chipfit.compress_METHOD``."""
        details = None if self.details is None else envelope(f"{COMPRESSED}_{self.method}", self.details)
        return {**envelope(COMPRESSED, self, omit=("details",)), "details": details}

    @property
    def lost(self) -> float | None:
        """Percentage points of the float network."""
        return _points(self.before, self.after, "accuracy")

    @property
    def lost_int8(self) -> float | None:
        """Percentage points of the int8 model."""
        return _points(self.before, self.after, "int8_accuracy")


def _points(before: ModelFigures | None, after: ModelFigures | None, name: str) -> float | None:
    first, second = getattr(before, name, None), getattr(after, name, None)
    return None if first is None or second is None else 100 * (first - second)
