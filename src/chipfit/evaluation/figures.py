"""What an evaluation reports."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from chipfit.evaluation.statistics import Confusion, Difference, Share
from chipfit.report.data import envelope


@dataclass(frozen=True)
class Latency:
    """Time of single runs on this computer, one thread, seconds: half of all ``runs`` lie between ``low`` and ``high``.

    ``engine``: what ran them. Times of different engines say nothing about the models.
    """

    median: float
    low: float
    high: float
    runs: int
    engine: str
    how: str


@dataclass(frozen=True)
class BoardFigures:
    """The compiled model on the emulated board: bytes, instructions of one run, and its estimated time.

    ``problem``: why there are no figures.
    """

    instructions: int | None = None
    milliseconds: float | None = None
    flash: int | None = None
    ram: int | None = None
    problem: str | None = None


@dataclass(frozen=True)
class ModelFigures:
    """One model. ``problem``: why chipfit cannot compile it, None: it can. ``form``: of its weights and activations;
    ``engine``: what it was run with.

    Accuracy, agreement and signal to noise are taken on the tensor before the softmax. ``agreement``: share of samples
    with the reference's first choice; ``sqnr``: signal to noise against the reference, dB, infinite without any noise;
    both None for the reference and without one. ``unclear``: samples for which the first place of the model's own
    output is another one, since elements of the output are equal; ``latency``: LiteRT's first, where it runs the model;
    then that of the generated C, where that was made. ``seconds``: that all samples took, on all cores.
    ``confusion``: rows: actual classes, columns: choices; None with many classes. ``worst``: the commonest mistakes.
    """

    name: str
    file: str | None
    problem: str | None
    form: str
    engine: str
    top1: Share | None
    top5: Share | None
    agreement: float | None
    sqnr: float | None
    unclear: int
    file_bytes: int
    weights_bytes: int
    latency: tuple[Latency, ...]
    seconds: float
    board: BoardFigures | None
    confusion: tuple[tuple[int, ...], ...] | None
    worst: tuple[Confusion, ...]


@dataclass(frozen=True)
class EvaluationReport:
    """``samples``: that were evaluated, after ``skipped`` others; ``labelled``: where the classes come from, None:
    nowhere; ``classes``: the number that the models tell apart; ``class_names``: by index, None: unknown.
    ``pixels``: how they became inputs, None: the data are no pictures. ``reference``: the model that the others are
    held against. ``differences``: for each two models, whether their accuracies differ by more than chance.
    """

    data: str
    samples: int
    skipped: int
    labelled: str | None
    classes: int
    class_names: tuple[str, ...] | None
    pixels: dict[str, Any] | None
    reference: str | None
    board: str | None
    models: tuple[ModelFigures, ...]
    differences: tuple[Difference, ...]
    notes: tuple[str, ...]
    seconds: float

    def class_name(self, index: int) -> str:
        return str(index) if self.class_names is None else self.class_names[index]

    def to_json(self) -> dict[str, Any]:
        return envelope("chipfit.evaluate", self)
