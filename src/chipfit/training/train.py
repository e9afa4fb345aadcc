"""``chipfit.train``: from a folder of pictures to a trained network, and a folder that says all of how it was made."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from chipfit.errors import ChipfitError
from chipfit.exporters import to_tflite
from chipfit.graph import Array, Graph
from chipfit.metadata import Facts
from chipfit.model import load
from chipfit.quantize import Preprocessing, no_progress
from chipfit.quantize import Progress as Reading
from chipfit.training.augment import parse_augmentation
from chipfit.training.backbones import build
from chipfit.training.backend import require_keras, start_keras, use_threads, versions
from chipfit.training.curves import curves_png
from chipfit.training.data import as_one_group, read_data
from chipfit.training.judge import judge, judge_numbers, outputs_of
from chipfit.training.learner import KerasLearner
from chipfit.training.loop import Behind, Data, Loop, Plan, Watch, steps_of
from chipfit.training.report import TrainReport
from chipfit.training.run_folder import (
    BEST,
    CURVES,
    LAST,
    QAT_BEST,
    QAT_LAST,
    RUN,
    SCHEMA,
    SHEET,
    SPLIT,
    RunFolder,
    integer_name,
)
from chipfit.training.settings import TrainSettings
from chipfit.training.sheet import draw_sheet
from chipfit.training.weights import load_weights

if TYPE_CHECKING:
    from chipfit.trainable.tune import TuneSettings

_NOBODY = Watch()
_DEFAULT = TrainSettings()

_QAT_RATE = 0.4
"""Of the learning rate: the network has learned already."""


@dataclass(frozen=True)
class Source:
    """Where pictures come from, and how they are to be learned: what a run's folder repeats. ``inputs``: how pictures
    become inputs, where the run says it; None: as the backbone wants it."""

    data: Path
    validation: Path | None
    settings: TrainSettings
    inputs: Preprocessing | None = None

    @property
    def preprocessing(self) -> Preprocessing:
        return self.inputs or self.settings.preprocessing


def train(
    data: str | Path,
    out: str | Path,
    settings: TrainSettings = _DEFAULT,
    *,
    validation: str | Path | None = None,
    name: str | None = None,
    cache: str | Path | bool = True,
    watch: Watch = _NOBODY,
    progress: Reading = no_progress,
) -> TrainReport:
    """Train a network on a folder with a sub-folder of pictures for each class, or with numbers for each picture
    (``settings.labels``).

    ``out``: the run's folder, which must be new or empty. ``validation``: a folder of its own to validate with; else
    ``train`` and ``val`` in ``data``, else a share of each class. ``name``: of the model and its file; default: of the
    folder. ``watch``: told of batches and epochs; ``progress``: of reading pictures.

    Interrupted (KeyboardInterrupt, or a process that is killed), it can be gone on with: :func:`resume`.
    Raises ChipfitError F001, N001 (pictures), U001 (settings), N002, F001, F003 (weights), N004 (it does not learn),
    P001, P003 (the run's folder), T001 (a package is missing).
    """
    source = Source(Path(data), None if validation is None else Path(validation), settings.resolved())
    return _Run(source, RunFolder(Path(out)), name, watch).begin(cache, progress)


def resume(
    out: str | Path,
    *,
    epochs: int | None = None,
    cache: str | Path | bool = True,
    watch: Watch = _NOBODY,
    progress: Reading = no_progress,
) -> TrainReport:
    """Go on with a run from its last finished epoch, with the settings that it began with.

    ``epochs``: more of them, or fewer. Raises ChipfitError N003 where the folder is no run, or its pictures have
    changed, and as :func:`train` does.
    """
    folder = RunFolder(Path(out))
    source = source_of(out)
    if epochs is not None:
        source = replace(source, settings=replace(source.settings, epochs=epochs))
    kept = folder.read_run()
    if kept["schema"] != SCHEMA:
        raise ChipfitError("N003", f"the run in '{out}' is one of chipfit compress", "that goes on with it: --resume")
    return _Run(source, folder, str(kept["model"]), watch).go_on(str(kept["pictures_digest"]), cache, progress)


def train_or_resume(
    data: str | Path,
    out: str | Path,
    settings: TrainSettings = _DEFAULT,
    *,
    validation: str | Path | None = None,
    name: str | None = None,
    watch: Watch = _NOBODY,
    progress: Reading = no_progress,
) -> dict[str, Any]:
    """:func:`train`; or :func:`resume` what an earlier call has begun; or, of what is finished, nothing at all.

    Returns what the folder's ``run.json`` says then. Raises ChipfitError P001 where ``out`` was trained otherwise, and
    as these do.
    """
    folder = RunFolder(Path(out))
    if not (folder.path / RUN).is_file():
        train(data, out, settings, validation=validation, name=name, watch=watch, progress=progress)
        return folder.read_run()
    before = require_source(out, Path(data), settings)
    kept = folder.read_run()
    if kept["status"] != "finished" or before.settings.epochs != settings.epochs:
        resume(out, epochs=settings.epochs, watch=watch, progress=progress)
        kept = folder.read_run()
    return kept


def require_source(out: str | Path, data: Path, settings: TrainSettings) -> Source:
    """What a run was made of. Raises ChipfitError P001 if that was not this, the number of epochs aside; N003."""
    before = source_of(out)
    others = before.settings.differences(settings)
    if before.data.resolve() != data.resolve():
        others.append(f"pictures of '{before.data}'")
    if others:
        hint = f"name another folder: -o; or remove '{out}'"
        raise ChipfitError("P001", f"'{out}' was trained otherwise: {', '.join(others)}", hint)
    return before


def source_of(out: str | Path) -> Source:
    """What a run was made of, by its folder. Raises ChipfitError N003 where that is no run, or one without pictures."""
    kept = RunFolder(Path(out)).read_run()
    if kept.get("settings", {}) is None:
        hint = f"name its model: {Path(out) / str(kept.get('model'))}.tflite, with --data"
        raise ChipfitError("N003", f"the run in '{out}' was made without a folder of pictures", hint)
    try:
        validation = kept["validation_data"]
        settings = TrainSettings.from_json(kept["settings"])
        how = Preprocessing.from_json(kept["preprocessing"])
        return Source(Path(kept["data"]), None if validation is None else Path(validation), settings, how)
    except (LookupError, TypeError) as error:
        raise ChipfitError("N003", f"'{out}/{RUN}' is damaged: {error}", "start anew: another -o") from None


def qat_settings(settings: TrainSettings) -> TuneSettings:
    """How a network goes on learning behind its training, in integers."""
    from chipfit.trainable.tune import TuneSettings

    return TuneSettings(
        settings.qat_epochs, settings.rate * _QAT_RATE, settings.batch, settings.augment or "none", seed=settings.seed
    )


class _Run:
    """``report`` grows, and is on the disk after each epoch."""

    report: TrainReport

    def __init__(self, source: Source, folder: RunFolder, name: str | None, watch: Watch) -> None:
        self._source, self._settings, self._folder, self._watch = source, source.settings, folder, watch
        self._name = name or model_name(source.data)

    def begin(self, cache: str | Path | bool, progress: Reading) -> TrainReport:
        require_keras()
        self._folder.require_free()
        data = self._read(cache, progress)
        loop = self._prepared(data)
        self._folder.create()
        augmentation = parse_augmentation(self._settings.augment or "")
        shown = data.pictures if data.standard is None else as_one_group(data.pictures)
        draw_sheet(shown, data.split, self._folder.path / SHEET, augmentation, self._settings.seed)
        self._folder.write_json(SPLIT, data.split.to_json(data.pictures))
        self._write()
        return self._learned(loop)

    def go_on(self, digest: str, cache: str | Path | bool, progress: Reading) -> TrainReport:
        require_keras()
        data = self._read(cache, progress)
        if _digest(data) != digest:
            message = f"the pictures in '{self._source.data}' are others than those the run began with"
            raise ChipfitError("N003", message, "start anew: another -o")
        loop = self._prepared(data)
        loop.resume()
        return self._learned(loop)

    def _read(self, cache: str | Path | bool, progress: Reading) -> Data:
        return read_data(self._source.data, self._source.validation, self._settings, cache, progress)

    def _prepared(self, data: Data) -> Loop:
        """The network with its first weights, and all that can be reported of it beforehand."""
        keras, settings = start_keras(), self._settings
        network = settings.network(len(data.names))
        keras.utils.set_random_seed(settings.seed)
        model = build(network, re.sub(r"\W+", "_", self._name))
        # a resumed run has weights already; what the report says of them it reads again all the same
        pretrained = load_weights(model, network, settings.weights) if settings.weights else None
        macs = load(model).macs
        threads = use_threads(keras, 3 * macs * settings.batch)
        backend = f"{keras.backend.backend()}{'' if threads is None else f' on {threads} thread(s)'}"
        self.report = TrainReport(
            model=self._name,
            folder=str(self._folder.path),
            status="running",
            data=str(self._source.data.resolve()),
            validation_data=None if self._source.validation is None else str(self._source.validation.resolve()),
            settings=settings,
            command=settings.command(self._source.data, self._source.validation, self._folder.path),
            network=network.title,
            parameters=int(model.count_params()),
            macs=macs,
            preprocessing=data.preprocessing,
            backend=backend,
            versions=versions(keras),
            pretrained=pretrained,
            classes=data.names,
            training=_counts(data, data.split.train),
            validation=_counts(data, data.split.validation),
            split=data.split.how,
            broken=data.pictures.broken,
            notes=tuple(_notes(data, settings)),
            pictures_digest=_digest(data),
        )
        frozen = settings.frozen_epochs or 0
        plan = Plan(
            network.kind, frozen, frozen + settings.epochs, settings.batch, settings.rate, settings.patience,
            parse_augmentation(settings.augment or ""), settings.seed,
        )  # fmt: skip
        learner = KerasLearner(keras, model, plan.kind, steps_of(data, plan.batch), data.standard)
        return Loop(learner, data, plan, self._folder, self._watch)

    def _learned(self, loop: Loop) -> TrainReport:
        has_changed = False
        try:
            for _ in loop.run():
                has_changed = True
                self._note(loop)
            self._note(loop)
            graph = self._finish(loop.learner.keras, loop.data)
            if self._settings.qat:
                self._learn_integers(graph, loop.data, resume=not has_changed)
        except KeyboardInterrupt:
            self._note(loop, status="interrupted")
            raise
        self.report = replace(self.report, status="finished")
        self._write()
        return self.report

    def _note(self, loop: Loop, **changes: Any) -> None:
        history = loop.progress.history
        seconds = sum(epoch.seconds for epoch in history)
        self.report = replace(self.report, history=history, best=loop.progress.best, seconds=seconds, **changes)
        self._write()

    def _write(self) -> None:
        self._folder.write_json(RUN, self.report.to_json())

    def _finish(self, keras: Any, data: Data) -> Graph:
        """Judge the best network, and write it as a ``.tflite`` file, with what it was made of."""
        report, folder = self.report, self._folder
        model = keras.saving.load_model(folder.path / BEST, compile=False)
        indices = data.split.validation
        outputs = outputs_of(model.predict_on_batch, data.pictures, indices, data.preprocessing)
        labels = data.pictures.labels[indices]
        judgement = (
            judge(outputs, labels, report.classes)
            if data.values is None
            else judge_numbers(outputs, data.values[labels], report.classes)
        )
        facts = Facts(None, data.preprocessing, report.classes)
        graph = load(model, name=report.model).graph
        folder.write(f"{report.model}.tflite", to_tflite(graph, facts.attached()))
        folder.write(CURVES, curves_png(report.history, report.best, f"{report.model}: {report.network}"))
        files = (f"{report.model}.tflite", BEST, CURVES, SHEET, SPLIT, LAST, RUN)
        self.report = replace(report, judgement=judgement, files=files)
        self._write()
        return graph

    def _learn_integers(self, graph: Graph, data: Data, resume: bool) -> None:
        """Quantization-aware training, behind that of the float network, and the int8 network that comes of it.

        ``resume``: the float network is the one that an interrupted one began with.
        """
        # a graph learns in this package's loop: what it is made of lies above it
        from chipfit.trainable.aware import train_aware

        report = self.report
        before = len(report.history)
        made = train_aware(
            graph, data, self._folder, qat_settings(self._settings), files=(QAT_LAST, QAT_BEST),
            watch=Behind(self._watch, before), resume=resume,
        )  # fmt: skip
        file = f"{integer_name(report.model)}.tflite"
        facts = Facts(str(made.recipe), data.preprocessing, report.classes)
        self._folder.write(file, to_tflite(made.int8, facts.attached()))
        self.report = replace(report, qat=made.figures, files=(*report.files, file, QAT_BEST, QAT_LAST))


def model_name(data: Path) -> str:
    """A model's name by its folder's: no path, nothing hidden."""
    names = [part for part in data.resolve().parts if part.strip("./\\")]
    return re.sub(r"[^\w.-]+", "_", names[-1]) if names else "model"


def _counts(data: Data, indices: Array) -> tuple[int, ...]:
    """Pictures of each class; of pictures with numbers, all."""
    return data.pictures.counts(indices) if data.standard is None else (len(indices),)


def _notes(data: Data, settings: TrainSettings) -> Iterable[str]:
    pictures, copies = data.pictures, data.split.copies
    if data.standard is not None:
        if parse_augmentation(settings.augment or "").is_moved:
            yield "pictures are mirrored, moved, zoomed or turned, and their numbers stay: is that right for them?"
    elif len(set(data.weights.tolist())) > 1:
        counted = ", ".join(f"{n} {w:.2f}" for n, w in zip(pictures.classes, data.weights.tolist(), strict=True))
        yield f"classes differ in size: a picture counts {counted}"
    if copies.across:
        a, b = copies.across[0]
        yield f"{len(copies.across)} pictures for validation are also trained with: '{b}' is '{a}'"
    if copies.in_two_classes and data.standard is None:
        a, b = copies.in_two_classes[0]
        yield f"{len(copies.in_two_classes)} pictures are in two classes: '{a}' is '{b}'"
    if pictures.unused:
        yield f"not used: {', '.join(pictures.unused)}"
    if settings.target == "k210":
        yield (
            "for the K210: all sides are padded alike, strides lie in 1x1 layers, an odd row or column is cut off "
            "before them, no map has fewer than 4 rows"
        )


def _digest(data: Data) -> str:
    """Of the pictures' bytes, their classes or numbers, and which ones validate."""
    pictures, split = data.pictures, data.split
    digest = blake2b(digest_size=16)
    digest.update("\n".join((*data.names, *pictures.files, *pictures.digests)).encode())
    for array in (pictures.labels, split.train, split.validation):
        digest.update(np.ascontiguousarray(array, np.int64).tobytes())
    if data.values is not None:
        digest.update(data.values.tobytes())
    return digest.hexdigest()
