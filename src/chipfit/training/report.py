"""What a training was, and what came of it: the run's ``run.json``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from chipfit.quantize import Preprocessing
from chipfit.report.data import envelope
from chipfit.training.backend import Version
from chipfit.training.judge import Judgement, NumberJudgement
from chipfit.training.loop import Epoch
from chipfit.training.pictures import Broken
from chipfit.training.run_folder import SCHEMA
from chipfit.training.settings import TrainSettings
from chipfit.training.weights import Pretrained

Status = Literal["running", "interrupted", "finished"]


@dataclass(frozen=True)
class QatFigures:
    """Of quantization-aware training, as shares of right answers on the pictures for validation; None: the network
    tells no classes. ``float_accuracy``: of the float network that it began with; ``rounded_accuracy``: of that one in
    integers, rounded to the nearest, before it learned; ``accuracy``: of what was learned, by its own evaluation;
    ``int8_accuracy``: of the int8 network that was written. ``recipe``: of its integers. ``best``: number of the epoch
    that was kept; ``seconds``: of all."""

    recipe: str
    float_accuracy: float | None
    rounded_accuracy: float | None
    accuracy: float | None
    int8_accuracy: float | None
    best: int
    history: tuple[Epoch, ...]
    seconds: float
    how: str = "measured (the int8 network by chipfit's reference while it learned, and its C on this computer)"


@dataclass(frozen=True)
class TrainReport:
    """``folder``: of the run; ``data``, ``validation_data``: of the pictures. ``command``: says the same to a shell.

    ``network``: in words; ``parameters``: numbers that are learned or measured; ``macs``: multiply-accumulates of one
    picture. ``pretrained``: weights that it began with; None: random ones. ``classes``: names of the outputs: of
    classes, or of columns of numbers. ``training``, ``validation``: pictures of each class, or of all together;
    ``split``: who decided; ``broken``: files that were left out; ``pictures_digest``: of all pictures and of the split.
    ``best``: number of the epoch that was kept, and that ``judgement`` is of; None: not finished. ``files``: what is in
    the folder. ``seconds``: of all epochs. ``qat``: what came of quantization-aware training behind them; None: not
    asked for, or not finished.
    """

    model: str
    folder: str
    status: Status
    data: str
    validation_data: str | None
    settings: TrainSettings
    command: str
    network: str
    parameters: int
    macs: int
    preprocessing: Preprocessing
    backend: str
    versions: tuple[Version, ...]
    pretrained: Pretrained | None
    classes: tuple[str, ...]
    training: tuple[int, ...]
    validation: tuple[int, ...]
    split: str
    broken: tuple[Broken, ...]
    notes: tuple[str, ...]
    pictures_digest: str
    history: tuple[Epoch, ...] = ()
    best: int = 0
    judgement: Judgement | NumberJudgement | None = None
    files: tuple[str, ...] = ()
    seconds: float = 0.0
    qat: QatFigures | None = None

    def to_json(self) -> dict[str, Any]:
        return envelope(SCHEMA, self)
