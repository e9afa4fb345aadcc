"""Distillation: a small network learns from a large one, and from labels.

It learns to answer as its teacher does, unlikely classes included (Hinton et al., 2015), and if it is asked to, to see
what the teacher sees inside (Romero et al., 2015).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from chipfit.compress.distill_report import DistillDetails
from chipfit.compress.fine import tuning_words
from chipfit.compress.run import Outcome, Session
from chipfit.compress.teacher import Glasses, Teacher, load_teacher, resized
from chipfit.errors import ChipfitError
from chipfit.graph import Array, Graph, Value
from chipfit.quantize import Preprocessing
from chipfit.trainable.aware import train_aware
from chipfit.trainable.judge import labelled_of
from chipfit.trainable.model import Says, output_of
from chipfit.trainable.tune import TuneSettings, Tuning
from chipfit.training.backend import start_keras
from chipfit.training.loop import Data
from chipfit.training.numbers import Standard
from chipfit.training.report import QatFigures

SETTINGS = TuneSettings(epochs=8, rate=1e-3)
AUTO = "auto"
_CLASSES: tuple[Says, ...] = ("probabilities", "log_probabilities", "logits")
_BATCH = 256


@dataclass(frozen=True)
class Lesson:
    """``temperature``: by which the logits of both are divided before they are compared: above 1, unlikely classes
    count more. ``hard``: share of the labels in the loss; the rest is the teacher's. ``features``: pairs
    ``OURS=THEIRS`` of tensors that are to be alike, or ``auto``: the last one of each size that both have.
    ``feature_weight``: of these, beside the rest. Raises ChipfitError U001."""

    temperature: float = 4.0
    hard: float = 0.3
    features: tuple[str, ...] = ()
    feature_weight: float = 0.5

    def __post_init__(self) -> None:
        if not self.temperature > 0:
            raise ChipfitError("U001", f"--temperature {self.temperature:g} is not above 0", "such as 4")
        if not 0 <= self.hard <= 1:
            raise ChipfitError("U001", f"--hard {self.hard:g} is no share", "0: the teacher alone; 1: the labels alone")
        if self.feature_weight < 0:
            raise ChipfitError("U001", f"--feature-weight {self.feature_weight:g} is negative")

    def pairs(self, student: Graph, teacher: Graph) -> list[tuple[str, str]]:
        """Raises ChipfitError U001 for what is no pair, or where ``auto`` finds none."""
        if self.features == (AUTO,):
            ours, theirs = _stages(student), _stages(teacher)
            found = [(ours[share], theirs[share]) for share in ours if share in theirs]
            if not found:
                raise ChipfitError("U001", "no stage of the student has the size of one of the teacher's", "name pairs")
            return found
        pairs = [tuple(text.split("=")) for text in self.features]
        wrong = [text for text, pair in zip(self.features, pairs, strict=True) if len(pair) != 2 or "" in pair]
        if wrong:
            hint = "OURS=THEIRS, names of tensors that `inspect` lists, or auto"
            raise ChipfitError("U001", f"--feature {wrong[0]} is no pair", hint)
        return [(pair[0], pair[-1]) for pair in pairs]


def _stages(graph: Graph) -> dict[int, str]:
    """By how many pixels of the input one of theirs is, in steps of the side: the last maps that are so large."""
    height = graph.inputs[0].shape[1] if len(graph.inputs[0].shape) == 4 else 0
    made = [v for node in graph.nodes if node.op.name != "pad" for v in node.outputs if len(v.shape) == 4]
    maps = [v for v in made if 1 < v.shape[1] < height]
    return {round(height / v.shape[1]): v.name for v in maps}


class Lessons:
    """What a graph learns from a teacher: an :class:`~chipfit.trainable.model.Extra`.

    ``student``: float; ``how``: how pixels become its input. ``standard``: of numbers; None: they are classes.
    Raises ChipfitError N005 where both have not as many outputs, or take no pictures of one kind; U001 for unknown
    names.
    """

    def __init__(
        self, student: Graph, teacher: Teacher, lesson: Lesson, how: Preprocessing, standard: Standard | None = None,
        seed: int = 0,
    ) -> None:  # fmt: skip
        raw, says = output_of(student)
        self._says: Says = "numbers" if standard is not None else says
        ours, theirs = student.outputs[0].type.size, teacher.outputs
        if ours != theirs:
            message = f"the student has {ours} outputs, the teacher '{teacher.model.name}' has {theirs}"
            raise ChipfitError("N005", message, "a teacher of the same classes or columns")
        if standard is None and (says == "sigmoids") != (teacher.says == "sigmoids"):
            message = f"the student gives {says}, the teacher '{teacher.model.name}' {teacher.says}"
            raise ChipfitError("N005", message, "both with a softmax, or both with sigmoids")
        self.lesson, self.hard = lesson, lesson.hard
        self._deviation = None if standard is None else standard.deviation.astype(np.float32)
        self._raw = raw.name if standard is None else student.outputs[0].name
        self._theirs = teacher.raw if standard is None else teacher.graph.outputs[0].name
        self.pairs = lesson.pairs(student, teacher.graph)
        self.reads = tuple(dict.fromkeys((self._raw, *(ours for ours, _ in self.pairs))))
        known = {v.name: v for v in student.values()}
        missing = [name for name in self.reads if name not in known]
        if missing:
            raise ChipfitError("U001", f"'{student.name}' has no tensor named {', '.join(missing)}")
        self._see = Glasses(teacher.graph.inputs[0], student.inputs[0], teacher.how or how, how)
        self._teach = teacher.runner(tuple(dict.fromkeys((self._theirs, *(theirs for _, theirs in self.pairs)))))
        self._maps = [_Map(known[a], _named(teacher.graph, b), seed + i) for i, (a, b) in enumerate(self.pairs)]
        self.layers: Sequence[Any] = [m.projection for m in self._maps if m.projection is not None]

    def answers(self, x: Array) -> Array:
        """What the teacher answers to inputs of the student: (n, outputs), before its softmax or sigmoid."""
        return self._teach(self._see(x))[self._theirs].reshape(len(x), -1)

    def targets(self, x: Array) -> dict[str, Array]:
        seen = self._teach(self._see(x))
        raw = seen[self._theirs].reshape(len(x), -1).astype(np.float64)
        found = {"raw": raw}
        if self._says in _CLASSES:
            found["raw"] = _softmax(raw / self.lesson.temperature)
        elif self._says == "sigmoids":
            found["raw"] = 1 / (1 + np.exp(-raw / self.lesson.temperature))
        found |= {f"map{i}": m.target(seen[m.theirs.name]) for i, m in enumerate(self._maps)}
        return {name: a.astype(np.float32) for name, a in found.items()}

    def loss(self, k: Any, seen: Mapping[str, Any], targets: Mapping[str, Any]) -> Any:
        raw, wanted = seen[self._raw], targets["raw"]
        raw = k.reshape(raw, (k.shape(raw)[0], -1))
        total = (1 - self.hard) * self._soft(k, raw, wanted)
        for i, one in enumerate(self._maps):
            total = total + self.lesson.feature_weight * one.loss(k, seen[one.ours.name], targets[f"map{i}"])
        return total

    def _soft(self, k: Any, raw: Any, wanted: Any) -> Any:
        """(n,): times the temperature's square, so that gradients do not depend on it."""
        t = self.lesson.temperature
        if self._says == "numbers":
            assert self._deviation is not None
            return k.mean(k.square((raw - wanted) / k.convert_to_tensor(self._deviation)), axis=-1)
        if self._says == "sigmoids":
            return t * t * k.sum(k.softplus(raw / t) - raw / t * wanted, axis=-1)
        # the divergence: less what the teacher is unsure about, which nothing can learn away
        unsure = k.sum(wanted * k.log(wanted + 1e-12), axis=-1)
        return t * t * (unsure - k.sum(wanted * k.log_softmax(raw / t, axis=-1), axis=-1))


class _Map:
    """Two tensors that are to be alike: theirs is brought to the size of ours, ours is projected to their channels."""

    def __init__(self, ours: Value, theirs: Value, seed: int) -> None:
        if len(ours.shape) != len(theirs.shape):
            message = f"'{ours.name}' {list(ours.shape)} and '{theirs.name}' {list(theirs.shape)} cannot be alike"
            raise ChipfitError("U001", message, "tensors with as many axes")
        self.ours, self.theirs = ours, theirs
        self.projection: Any = None
        if ours.shape[-1] != theirs.shape[-1]:
            keras = start_keras()
            start = keras.initializers.GlorotUniform(seed)
            self.projection = keras.layers.Dense(theirs.shape[-1], use_bias=False, kernel_initializer=start)
            self.projection.build((None, *ours.shape))

    def target(self, seen: Array) -> Array:
        """(n, *rest of our shape, their channels), with a mean square of 1 in each sample: how large numbers are is
        each network's own matter."""
        if len(self.ours.shape) == 4 and self.ours.shape[1:3] != self.theirs.shape[1:3]:
            flat = seen.reshape(len(seen), *self.theirs.shape[1:])
            seen = resized(flat, *self.ours.shape[1:3])[:, None]
        size = np.sqrt(np.square(seen).mean(axis=tuple(range(1, seen.ndim)), keepdims=True))
        return seen / np.maximum(size, 1e-6)

    def loss(self, k: Any, seen: Any, target: Any) -> Any:
        """(n,)."""
        seen = seen if self.projection is None else self.projection(seen)
        axes = tuple(range(1, len(seen.shape)))
        size = k.sqrt(k.mean(k.square(seen), axis=axes, keepdims=True) + 1e-6)
        return k.mean(k.square(seen / size - target), axis=axes)


def _named(graph: Graph, name: str) -> Value:
    return next(v for v in graph.values() if v.name == name)


def _softmax(x: Array) -> Array:
    exps = np.exp(x - x.max(axis=1, keepdims=True))
    return exps / exps.sum(axis=1, keepdims=True)


# ------------------------------------------------------------------------------------- the method


@dataclass(frozen=True)
class Distill:
    """``teacher``: see :func:`~chipfit.compress.teacher.load_teacher`. ``aware``: the student learns in the integers
    that it is deployed with (see :mod:`chipfit.compress.qat`)."""

    teacher: Any
    lesson: Lesson = field(default_factory=Lesson)
    aware: bool = False
    settings: TuneSettings = SETTINGS
    name: str = "distill"

    @property
    def _source(self) -> str:
        is_path = isinstance(self.teacher, str | Path)
        return str(self.teacher) if is_path else str(getattr(self.teacher, "name", "model"))

    @property
    def words(self) -> list[str]:
        lesson = self.lesson
        features = [word for text in lesson.features for word in ("--feature", text)]
        return [
            "--teacher", self._source, "--temperature", f"{lesson.temperature:g}", "--hard", f"{lesson.hard:g}",
            *features, *(["--feature-weight", f"{lesson.feature_weight:g}"] if features else []),
            *(["--qat"] if self.aware else []), *tuning_words(self.settings),
        ]  # fmt: skip

    @property
    def epochs(self) -> int:
        return self.settings.epochs

    def apply(self, session: Session) -> Outcome:
        subject = session.subject
        graph, data = subject.model.graph, subject.require_data()
        teacher = load_teacher(self.teacher)
        _require_classes(teacher, data)
        session.progress("asking the teacher", 0, 1)
        lessons = Lessons(graph, teacher, self.lesson, data.preprocessing, data.standard, self.settings.seed)
        folder = session.state(self.name)
        if self.aware:
            made = train_aware(graph, data, folder, self.settings, extra=lessons, watch=session.watch, resume=True)
            details = _details(teacher, lessons, made.graph, data, made.figures)
            figures = made.figures
            return Outcome(made.graph, made.int8, str(made.recipe), details, figures.history, figures.best)
        tuned = Tuning(graph, data, folder, self.settings, extra=lessons).run(session.watch, resume=True)
        details = _details(teacher, lessons, tuned.graph, data, None)
        progress = tuned.progress
        return Outcome(tuned.graph, details=details, history=progress.history, best=progress.best)


def _require_classes(teacher: Teacher, data: Data) -> None:
    """Raise ChipfitError N005 for a teacher that knows the classes by other names, or in another order."""
    if teacher.classes and teacher.classes != data.names:
        message = f"the teacher knows {', '.join(teacher.classes[:4])}, the data are of {', '.join(data.names[:4])}"
        raise ChipfitError("N005", message, "a teacher of the same classes, in the same order")


def _details(
    teacher: Teacher, lessons: Lessons, graph: Graph, data: Data, figures: QatFigures | None
) -> DistillDetails:
    from chipfit.trainable.judge import float_outputs

    test = labelled_of(graph.inputs[0], data, data.split.validation)
    (x,) = test.samples.arrays
    said = np.concatenate([lessons.answers(x[i : i + _BATCH].reshape(-1, *data.pictures.pixels.shape[1:]))
                           for i in range(0, len(x), _BATCH)])  # fmt: skip
    agreement = None
    if data.standard is None:
        ours = float_outputs(graph, test.samples)
        agreement = float((ours.argmax(axis=1) == said.argmax(axis=1)).mean())
    lesson = lessons.lesson
    return DistillDetails(
        teacher.model.name, teacher.macs, test.accuracy(said), agreement, lesson.temperature, lesson.hard,
        tuple(lessons.pairs), figures,
    )  # fmt: skip
