"""Models for the Kendryte K210: what its accelerator does of a model, and the kmodel that MaixPy loads."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from chipfit.errors import ChipfitError
from chipfit.exporters import to_tflite
from chipfit.files import write_whole
from chipfit.graph import Array, Value
from chipfit.kmodel.compile.compiled import Compiled, compile_graph
from chipfit.kmodel.compile.grid import Grid
from chipfit.kmodel.compile.lower.state import four
from chipfit.kmodel.compile.report import LayerReport, layers_of, noise_of
from chipfit.kmodel.compile.rewrite import rewrite
from chipfit.kmodel.compile.to_v3 import to_v3
from chipfit.kmodel.format.layout import KPU_BYTES
from chipfit.kmodel.format.sidecar import Sidecar, TensorFacts, sidecar_path, sidecar_text
from chipfit.kmodel.format.v3 import write_v3
from chipfit.kmodel.format.v4 import write_v4
from chipfit.metadata import facts_of
from chipfit.model import Model
from chipfit.passes import PIPELINE, float_weights
from chipfit.quantize import Preprocessing, Progress, Samples, no_progress
from chipfit.quantize.observers import Range
from chipfit.report.data import TensorInfo, envelope
from chipfit.targets import Board, load_board, parse_size

FIRMWARE = "maixpy"
"""The framework whose entry in a board's file says how much memory is free."""
MEASURED = 4
"""Samples that are simulated for the figures of noise."""

Version = Literal[3, 4]


@dataclass(frozen=True)
class Fit:
    """Bytes on the board. ``file``: in flash, and copied to the heap; ``main``: working memory in the heap beside it;
    ``heap``: that the firmware leaves; ``camera``: of it, what camera and display take at 320x240; None: unknown.
    ``kpu`` of ``kpu_limit``: the accelerator's own memory."""

    file: int
    main: int
    heap: int | None
    camera: int | None
    kpu: int
    kpu_limit: int = KPU_BYTES

    @property
    def needed(self) -> int:
        return self.file + self.main

    @property
    def fits(self) -> bool:
        """Whether the model can be loaded, with the camera running."""
        return self.heap is None or self.needed <= self.heap - (self.camera or 0)


@dataclass(frozen=True)
class CheckReport:
    """What the accelerator does of a model. ``board``: name of the board."""

    model: str
    board: str
    kmodel: Version
    inputs: tuple[TensorInfo, ...]
    outputs: tuple[TensorInfo, ...]
    layers: tuple[LayerReport, ...]
    fit: Fit

    def to_json(self) -> dict[str, Any]:
        return {**envelope("chipfit.check", self), "fits": self.fit.fits}


@dataclass(frozen=True)
class Pixels:
    """What the bytes 0 and 255 of an image stand for."""

    input: str
    low: float
    high: float


@dataclass(frozen=True)
class ConvertReport:
    """A written kmodel. ``sqnr``: of all outputs of the simulated kmodel against the float model, dB, over ``measured``
    samples; None: without noise. ``images``: of each input that takes bytes."""

    model: str
    kmodel: Version
    file: str
    sidecar: str
    inputs: tuple[TensorInfo, ...]
    outputs: tuple[TensorInfo, ...]
    calibrated: int
    measured: int
    images: tuple[Pixels, ...]
    sqnr: float | None
    layers: tuple[LayerReport, ...]
    fit: Fit
    notes: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        return {**envelope("chipfit.convert", self), "fits": self.fit.fits}


def check_model(model: Model, board: str | Board = "maix-bit", *, kmodel: Version = 4) -> CheckReport:
    """Say of each layer whether the KPU computes it, and why not, without any data.

    Raises ChipfitError O002 for layers that no kmodel holds, M001 where the KPU's memory is too small, U001 for a board
    without a K210.
    """
    chosen = _board(board)
    compiled = compile_graph(float_weights(model.graph), None, _images(model, None, None)[0])
    data, main = _written(compiled, kmodel)
    fit = _fit(chosen, len(data), main, compiled.kpu_bytes)
    return CheckReport(
        model.name, chosen.name, kmodel, tuple(model.inputs), tuple(model.outputs), layers_of(compiled), fit
    )


@dataclass(frozen=True, eq=False)
class Converted:
    """A kmodel in memory. ``data``: the file; ``sidecar``: what it cannot say; ``report``: without file names."""

    data: bytes
    sidecar: Sidecar
    report: ConvertReport


def convert_model(
    model: Model,
    samples: Samples,
    board: str | Board = "maix-bit",
    *,
    kmodel: Version = 4,
    preprocessing: Preprocessing | None = None,
    progress: Progress = no_progress,
) -> Converted:
    """A kmodel for a float model.

    ``preprocessing``: how pixels become inputs; None: as the model's file or the samples say. Errors as
    :func:`check_model`; Q002 where a tensor is not finite on the samples.
    """
    chosen = _board(board)
    images, notes = _images(model, samples, preprocessing)
    compiled = compile_graph(float_weights(model.graph), samples, images, progress)
    data, main = _written(compiled, kmodel)
    progress("simulating", 0, 1)
    measured = samples.first(MEASURED)
    noise = noise_of(compiled, measured, to_v3(compiled) if kmodel == 3 else None)
    facts = facts_of(model)
    shown = tuple(Pixels(name, grid.range.low, grid.range.high) for name, grid in images.items())
    report = ConvertReport(
        model.name,
        kmodel,
        "",
        "",
        tuple(model.inputs),
        tuple(model.outputs),
        len(samples),
        len(measured),
        shown,
        noise.get(""),
        layers_of(compiled, noise),
        _fit(chosen, len(data), main, compiled.kpu_bytes),
        tuple(notes),
    )
    sidecar = Sidecar(
        inputs=tuple(_input_facts(v, compiled, images) for v in compiled.graph.inputs),
        outputs=tuple(TensorFacts(v.name, four(v.shape), "float32") for v in compiled.graph.outputs),
        kmodel=kmodel,
        main_bytes=main,
        labels=facts.labels,
        preprocessing=preprocessing or samples.preprocessing or facts.preprocessing,
    )
    return Converted(data, sidecar, report)


def write_kmodel(converted: Converted, path: Path) -> ConvertReport:
    """Write the kmodel and its sidecar, both or neither. Raises ChipfitError P003 where they cannot be written."""
    beside = sidecar_path(path)
    write_whole({path: converted.data, beside: sidecar_text(converted.sidecar).encode()})
    return replace(converted.report, file=str(path), sidecar=str(beside))


# ------------------------------------------------------------------------------------------------ parts


def _written(compiled: Compiled, kmodel: Version) -> tuple[bytes, int]:
    """The file, and its working memory."""
    if kmodel == 4:
        return write_v4(compiled.model), compiled.model.main_bytes
    older = to_v3(compiled)
    return write_v3(older), older.main_bytes


def _board(board: str | Board) -> Board:
    chosen = load_board(board) if isinstance(board, str) else board
    if FIRMWARE not in chosen.frameworks:
        raise ChipfitError(
            "U001", f"the board '{chosen.name}' has no K210 with MaixPy", "`chipfit board list` shows all; try maix-bit"
        )
    return chosen


def _fit(board: Board, file: int, main: int, kpu: int) -> Fit:
    figures = board.frameworks[FIRMWARE]
    heap, camera = (parse_size(figures[key]) if key in figures else None for key in ("heap", "camera"))
    return Fit(file, main, heap, camera, kpu)


def _is_image(value: Value) -> bool:
    """Whether an input gets bytes: what a camera gives, or any map."""
    return len(value.shape) == 4 and value.shape[0] == 1 and value.shape[1] * value.shape[2] > 1


def _images(
    model: Model, samples: Samples | None, preprocessing: Preprocessing | None
) -> tuple[dict[str, Grid], list[str]]:
    """What the bytes of each image stand for, and what to tell of it.

    The camera gives 0 to 255, whatever the samples hold: a range that follows the samples would shift all pictures.
    """
    found: dict[str, Grid] = {}
    notes: list[str] = []
    known = preprocessing or (samples.preprocessing if samples else None) or facts_of(model).preprocessing
    for index, value in enumerate(model.graph.inputs):
        if not _is_image(value):
            continue
        channels = value.shape[3]
        if known is not None and channels in (1, 3):
            found[value.name] = _pixels(known, channels)
            continue
        declared = samples.ranges[index] if samples else None
        range_ = declared or (_usual(samples.arrays[index]) if samples else Range(0.0, 1.0))
        found[value.name] = Grid(
            np.array([(range_.high - range_.low) / 255.0]),
            np.array([-range_.low * 255.0 / (range_.high - range_.low)]),
        )
        if samples is not None:
            notes.append(
                f"'{value.name}': bytes 0 to 255 stand for {range_.low:g} to {range_.high:g}, as the samples look; "
                "say it with --scale, --mean and --std if the model was trained otherwise"
            )
    return found, notes


def _pixels(how: Preprocessing, channels: int) -> Grid:
    """The grid of pixels that are prepared so."""
    low, high = how.apply(np.array([[0] * channels, [255] * channels], np.uint8)).astype(np.float64)
    step = (high - low) / 255.0
    if (step <= 0.0).any():
        raise ChipfitError("Q002", "a picture whose pixels are turned round has no kmodel", "negate the first layer")
    return Grid(step, -low / step)


def _usual(array: Array) -> Range:
    """The range that pictures like these are usually scaled to, or their own."""
    low, high = float(array.min()), float(array.max())
    for least, most in ((0.0, 1.0), (-0.5, 0.5), (-1.0, 1.0), (0.0, 255.0), (-128.0, 127.0)):
        if least <= low and high <= most:
            return Range(least, most)
    return Range(min(low, 0.0), max(high, low + 1e-6))


def _input_facts(value: Value, compiled: Compiled, images: Mapping[str, Grid]) -> TensorFacts:
    shape = four(value.shape)
    grid = images.get(value.name)
    if grid is None:
        return TensorFacts(value.name, shape, "float32")
    same = len({*grid.step.tolist()}) == 1 and float(grid.zero[0]).is_integer()
    step = float(grid.step.mean())
    assert math.isfinite(step)
    return TensorFacts(value.name, shape, "uint8", step, int(grid.zero[0]) if same else None)


# ---------------------------------------------------------------------------------- the float model, rewritten


@dataclass(frozen=True)
class RewriteReport:
    """A float model whose layers suit the KPU better. ``changed``: what was rewritten; ``left``: what no exact rewrite
    helps."""

    model: str
    file: str
    changed: tuple[str, ...]
    left: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        return envelope("chipfit.rewrite", self)


def rewrite_model(model: Model) -> tuple[Model, RewriteReport]:
    """The same function with layers that the KPU computes. Raises ChipfitError O002 as :func:`check_model` does."""
    made = rewrite(float_weights(model.graph))
    passes = PIPELINE.run(made.graph).summary()
    report = RewriteReport(model.name, "", made.changed, made.left)
    return Model(made.graph, (*model.passes, *passes), model.source, model.format), report


def write_rewritten(rewritten: tuple[Model, RewriteReport], path: Path) -> RewriteReport:
    """Write it as a ``.tflite`` file with what the file it came from says. Raises ChipfitError P003."""
    model, report = rewritten
    facts = facts_of(model)
    write_whole({path: to_tflite(model.graph, facts.attached())})
    return replace(report, file=str(path))
