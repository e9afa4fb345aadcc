"""What a distillation did, for the report of a compression."""

from __future__ import annotations

from dataclasses import dataclass

from chipfit.training.report import QatFigures


@dataclass(frozen=True)
class DistillDetails:
    """``teacher``: its model's name; multiply-accumulates of a run, and its accuracy on the validation pictures as it
    gets them: at the student's size. ``features``: pairs of tensors, ours and theirs. ``agreement``: share of these
    pictures for which the student, by its float network, answers as the teacher does; None: they tell no classes.
    ``qat``: figures of the training in integers; None: it was in floats."""

    teacher: str
    teacher_macs: int
    teacher_accuracy: float | None
    agreement: float | None
    temperature: float
    hard: float
    features: tuple[tuple[str, str], ...]
    qat: QatFigures | None = None
