"""From a float model and samples to an integer model that a file can hold, with the figures to judge it by."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from chipfit.errors import ChipfitError
from chipfit.exporters import to_tflite
from chipfit.graph import Array, DType, Graph
from chipfit.importers import tflite_metadata
from chipfit.model import Model
from chipfit.quantize import (
    Preprocessing,
    Progress,
    Quantized,
    Recipe,
    Samples,
    Step,
    image_files,
    image_samples,
    no_progress,
    quantize_graph,
    run_batches,
    samples_of,
)
from chipfit.quantize.measure import agreement, signal_to_noise
from chipfit.quantize.prepare import judged
from chipfit.report.data import TensorInfo, envelope

METADATA = "chipfit.quantize"
"""The name under which a file keeps the recipe and the preprocessing, as JSON."""

CALIBRATED = 100
TESTED = 400
"""Samples that are calibrated with, and others that figures are taken on, unless asked otherwise."""

ORDER: tuple[Step, ...] = ("bias", "match", "reconstruct", "equalize", "pool")
"""The order in which the steps are added to show what each is worth: those that matter most come first."""

HELD_OUT = "measured (C on the host, samples that were not calibrated with)"
SEEN = "measured (C on the host, the samples that were calibrated with)"


@dataclass(frozen=True)
class Figures:
    """An integer model against its float model, on what both are judged by: the tensor before the softmax.

    ``sqnr``: signal to noise, dB, None: without any noise; ``agreement``: share of samples with the same greatest
    element; ``seconds``: that quantizing took.
    """

    recipe: str
    sqnr: float | None
    agreement: float
    seconds: float


@dataclass(frozen=True)
class TensorFigures:
    """One tensor of the integer model. ``sqnr``: on the samples that were calibrated with, dB; None: without noise."""

    name: str
    op: str
    sqnr: float | None


@dataclass(frozen=True)
class QuantizationReport:
    """``calibrated`` and ``tested``: numbers of samples; ``how``: how ``result`` was obtained.

    ``contributions``: what was left of the model with the first steps only, each line with one more; empty where it was
    not asked for. ``file``: where the model was written; None: nowhere.
    """

    model: str
    recipe: str
    inputs: tuple[TensorInfo, ...]
    outputs: tuple[TensorInfo, ...]
    calibrated: int
    tested: int
    how: str
    result: Figures
    contributions: tuple[Figures, ...]
    tensors: tuple[TensorFigures, ...]
    notes: tuple[str, ...]
    file: str | None = None
    file_bytes: int | None = None

    def to_json(self) -> dict[str, Any]:
        return envelope("chipfit.quantize", self)


@dataclass(frozen=True, eq=False)
class QuantizedModel:
    """The integer model and its report."""

    model: Model
    report: QuantizationReport
    preprocessing: Preprocessing | None

    def tflite(self) -> bytes:
        """The model as a ``.tflite`` file, which also keeps how it was made and how pictures become inputs."""
        made: dict[str, Any] = {"recipe": self.report.recipe, "preprocessing": None}
        if self.preprocessing is not None:
            made["preprocessing"] = self.preprocessing.to_json()
        return to_tflite(self.model.graph, {METADATA: json.dumps(made).encode()})


def preprocessing_of(model: Model) -> Preprocessing | None:
    """How pictures become inputs of a model that chipfit quantized; None: its file does not say."""
    kept = None if model.source is None else tflite_metadata(model.source, METADATA)
    try:
        found = None if kept is None else json.loads(kept)["preprocessing"]
        return None if found is None else Preprocessing.from_json(found)
    except (ValueError, TypeError, LookupError):
        raise ChipfitError("F003", f"'{model.name}' keeps a damaged description of its inputs") from None


def read_data(
    model: Model,
    path: Path,
    preprocessing: Preprocessing,
    count: int = CALIBRATED + TESTED,
    progress: Progress = no_progress,
) -> Samples:
    """At most ``count`` samples: pictures of a folder, or arrays of a ``.npy`` or ``.npz`` file.

    Raises ChipfitError Q001, Q002, I001, I003, I004 as :mod:`chipfit.quantize.sources` does.
    """
    if not path.is_dir():
        return samples_of(path, model.graph.inputs).first(count)
    if len(model.graph.inputs) != 1:
        raise ChipfitError("Q002", f"the model has {len(model.graph.inputs)} inputs: pictures fill one", "use an .npz")
    return image_samples(image_files(path, count), model.graph.inputs[0], preprocessing, progress)


def quantize_model(
    model: Model,
    samples: Samples,
    recipe: Recipe | None = None,
    *,
    calibrated: int = CALIBRATED,
    contributions: bool = False,
    progress: Progress = no_progress,
) -> QuantizedModel:
    """The first ``calibrated`` samples choose the integers, the others judge them; without others, the same ones do.

    ``contributions``: quantize again and again with one step more each time, and report what each is worth.
    Raises ChipfitError Q004 if the model cannot become an integer model, Q002 if the samples make it infinite.
    """
    recipe = recipe or Recipe()
    used, others = samples.first(calibrated), samples.rest(calibrated)
    tested = others if len(others) else used
    wanted = _float_scores(model.graph, tested, progress)
    rows: list[Figures] = []
    for partial in _partial_recipes(recipe) if contributions else ():
        rows.append(_measured(model, used, partial, tested, wanted, progress)[1])
    made, result = _measured(model, used, recipe, tested, wanted, progress)
    report = QuantizationReport(
        model=model.name,
        recipe=str(recipe),
        inputs=tuple(TensorInfo.of(v) for v in made.graph.inputs),
        outputs=tuple(TensorInfo.of(v) for v in made.graph.outputs),
        calibrated=len(used),
        tested=len(tested),
        how=HELD_OUT if len(others) else SEEN,
        result=result,
        contributions=tuple(rows),
        tensors=tuple(TensorFigures(f.name, f.op, _finite(f.sqnr)) for f in made.report.layers),
        notes=tuple(made.report.notes),
    )
    return QuantizedModel(Model(made.graph), report, made.preprocessing)


def _partial_recipes(recipe: Recipe) -> list[Recipe]:
    """From no step at all to all of the recipe's, one more each time."""
    wanted = [step for step in ORDER if step in recipe.steps]
    return [replace(recipe, steps=frozenset(wanted[:n])) for n in range(len(wanted) + 1)]


def _measured(
    model: Model, used: Samples, recipe: Recipe, tested: Samples, wanted: Array, progress: Progress
) -> tuple[Quantized, Figures]:
    started = time.perf_counter()
    made = quantize_graph(model.graph, used, recipe, progress)
    seconds = time.perf_counter() - started
    progress("testing", 0, len(tested))
    scores = _integer_scores(made.graph, tested)
    return made, Figures(str(recipe), _finite(signal_to_noise(wanted, scores)), agreement(wanted, scores), seconds)


def _finite(decibels: float) -> float | None:
    return decibels if np.isfinite(decibels) else None


def _scored(graph: Graph) -> Graph:
    """The graph up to what the network is judged by."""
    target = judged(graph)
    last = max((i for i, node in enumerate(graph.nodes) if target in node.outputs), default=-1)
    return Graph(graph.name, graph.inputs, [target], graph.nodes[: last + 1])


def _float_scores(graph: Graph, samples: Samples, progress: Progress) -> Array:
    """(samples, scores) of the float model."""
    batches: list[Array] = []
    for outputs in run_batches(_scored(graph), samples):
        batches.append(outputs[0].reshape(len(outputs[0]), -1))
        progress("running the float model", sum(map(len, batches)), len(samples))
    return np.concatenate(batches)


def _integer_scores(graph: Graph, samples: Samples) -> Array:
    """(samples, scores) of the integer model as real numbers, from its own C."""
    scored = _scored(graph)
    rows = [_stored(value_index, scored, samples) for value_index in range(len(scored.inputs))]
    with tempfile.TemporaryDirectory() as folder:
        firmware = Model(scored).compile("host", Path(folder) / "model")
        output = np.asarray(firmware.run(list(zip(*rows, strict=True))).outputs[0])
    value = scored.outputs[0]
    flat = output.reshape(len(output), -1).astype(np.float64)
    return flat if value.type.quant is None else (flat - value.q.zp) * value.q.s


def _stored(index: int, graph: Graph, samples: Samples) -> Sequence[Array]:
    """An input's samples in its element type."""
    value, x = graph.inputs[index], samples.arrays[index]
    if value.type.quant is None or value.dtype not in (DType.INT8, DType.UINT8):
        return list(x)
    low, high = value.dtype.range
    return list(np.clip(np.rint(x / np.float32(value.q.s)) + value.q.zp, low, high).astype(value.dtype.numpy))
