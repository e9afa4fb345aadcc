"""From a float model and samples to smaller models that files can hold, with the figures to judge them by."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from chipfit.errors import ChipfitError
from chipfit.exporters import to_tflite
from chipfit.files import write_whole
from chipfit.graph import Array, Graph, Value
from chipfit.importers import Attached, tflite_attached
from chipfit.metadata import Facts, facts_of
from chipfit.model import Model, load
from chipfit.oracle import have_litert, litert_run
from chipfit.quantize import (
    MODES,
    STEPS,
    Preprocessing,
    Progress,
    Quantized,
    Recipe,
    Samples,
    SampleSource,
    Step,
    image_files,
    image_samples,
    no_progress,
    parse_recipe,
    pixel_samples,
    quantize_graph,
    require_samples,
    run_batches,
    samples_of,
)
from chipfit.quantize.diagnose import Diagnosis, diagnose
from chipfit.quantize.measure import agreement, signal_to_noise
from chipfit.quantize.mixed import Budget, Mixed, quantize_within
from chipfit.quantize.parameters import quantize_array
from chipfit.quantize.prepare import judged_part
from chipfit.quantize.small_weights import dequantized
from chipfit.quantize.states import refuse_zero_states, step_model
from chipfit.recurrent import Form, StateMode
from chipfit.report.data import TensorInfo, envelope
from chipfit.samples import read_arrays

CALIBRATED = 100
TESTED = 400
"""Samples that are calibrated with, and others that figures are taken on, unless asked otherwise."""

ORDER: tuple[Step, ...] = ("bias", "match", "reconstruct", "equalize", "pool")
"""The order in which the steps are added to show what each is worth: those that matter most come first."""

HELD_OUT = "samples that were not calibrated with"
SEEN = "the samples that were calibrated with"
NOT_MEASURED = "not measured: there were no samples"


@dataclass(frozen=True)
class Figures:
    """A quantized model against its float model, on what both are judged by: the tensor before the softmax.

    ``sqnr``: signal to noise, dB, None: without any noise; ``agreement``: share of samples with the same greatest
    element; ``seconds``: that quantizing took.
    """

    recipe: str
    sqnr: float | None
    agreement: float
    seconds: float


@dataclass(frozen=True)
class TensorFigures:
    """A tensor of the quantized model. ``sqnr``: on the samples that were calibrated with, dB; None: without noise."""

    name: str
    op: str
    sqnr: float | None


@dataclass(frozen=True)
class QuantizationReport:
    """``calibrated`` and ``tested``: numbers of samples; ``how``: how ``result`` was obtained; None: without samples.
    ``seconds``: that quantizing took.

    ``contributions``: what was left of the model with the first steps only, each line with one more; empty where it was
    not asked for. ``diagnosis``: what costs what, and advice; None: not asked for. ``mixed``: which tensors became
    int16 for a budget; None: there was none. ``file``: where the model was written; None: nowhere.
    """

    model: str
    recipe: str
    inputs: tuple[TensorInfo, ...]
    outputs: tuple[TensorInfo, ...]
    calibrated: int
    tested: int
    how: str
    seconds: float
    result: Figures | None
    contributions: tuple[Figures, ...]
    tensors: tuple[TensorFigures, ...]
    notes: tuple[str, ...]
    diagnosis: Diagnosis | None = None
    mixed: Mixed | None = None
    file: str | None = None
    file_bytes: int | None = None

    def to_json(self) -> dict[str, Any]:
        return envelope("chipfit.quantize", self)


@dataclass(frozen=True)
class VariantsReport:
    """Several recipes of one float model, whose file has ``float_bytes``."""

    model: str
    float_bytes: int
    variants: tuple[QuantizationReport, ...]

    def to_json(self) -> dict[str, Any]:
        variants = [one.to_json() for one in self.variants]
        return {**envelope("chipfit.quantize_set", self, omit=("variants",)), "variants": variants}


@dataclass(frozen=True, eq=False)
class QuantizedModel:
    """A quantized model and its report."""

    model: Model
    report: QuantizationReport
    preprocessing: Preprocessing | None
    source: bytes | None = None
    """The file of the float model: what it says besides the network is written back."""
    labels: tuple[str, ...] = ()
    """Names of the classes, as the float model's file says them."""
    loops: bool = False
    """Whether its file has loops for recurrent layers (WHILE), which not all tools know; else they are unrolled."""

    def recurrent(
        self, form: Form = "loop", state: StateMode | None = None, steps: int | None = None
    ) -> QuantizedModel:
        """With its recurrent layers in another form: see :meth:`chipfit.Model.recurrent`."""
        return replace(self, model=self.model.recurrent(form, state, steps), loops=form == "loop")

    def tflite(self) -> bytes:
        """The model as a ``.tflite`` file, which also keeps how it was made and how pictures become inputs."""
        made = Facts(self.report.recipe, self.preprocessing, self.labels)
        kept = Attached(None, {}) if self.source is None else tflite_attached(self.source)
        metadata = {**kept.metadata, **made.attached()}
        graph = _in_files(self.model.graph, parse_recipe(self.report.recipe))
        return to_tflite(graph, metadata, kept.signature, loops=self.loops)


def _in_files(graph: Graph, recipe: Recipe) -> Graph:
    """A quantized graph as its file says it: also how to compute with small weights."""
    computes = MODES[recipe.mode].activations is None and recipe.compute == "float"
    return dequantized(graph) if computes else graph


def check_target(out: Path, model: Path, *, folder: bool) -> None:
    """Raise ChipfitError U001 or P003 if ``out`` cannot become the file or ``folder`` of quantized models."""
    if out.resolve() == model.resolve():
        raise ChipfitError("U001", f"'{out}' is the float model itself", "name another file")
    if folder and out.exists() and not out.is_dir():
        raise ChipfitError("P003", f"'{out}' is a file", "name a folder, or a file that ends in .tflite")
    if not folder and out.is_dir():
        raise ChipfitError("P003", f"'{out}' is a folder", "name a file in it")
    if not folder and not out.resolve().parent.is_dir():
        raise ChipfitError("P003", f"cannot write '{out}': there is no folder '{out.parent}'")


def write_file(made: QuantizedModel, path: Path) -> QuantizedModel:
    """Write the file, whole or not at all; its report then names it. Raises ChipfitError P003 if it cannot be."""
    content = made.tflite()
    write_whole({path: content})
    return replace(made, report=replace(made.report, file=str(path), file_bytes=len(content)))


def write_folder(variants: Sequence[QuantizedModel], folder: Path, stem: str) -> list[QuantizedModel]:
    """Write ``STEM_RECIPE.tflite`` for each into a folder, all of them or none; reports then name the files.

    What else is in the folder stays. Raises ChipfitError P003 if they cannot be written.
    """
    written: list[QuantizedModel] = []
    files: dict[Path, bytes] = {}
    for made in variants:
        word = parse_recipe(made.report.recipe).file_word
        names = (f"{stem}_{word}{end}.tflite" for end in ("", *(f"_{n}" for n in range(2, len(variants) + 1))))
        path = next(folder / name for name in names if folder / name not in files)
        files[path] = made.tflite()
        written.append(replace(made, report=replace(made.report, file=str(path), file_bytes=len(files[path]))))
    is_new = not folder.exists()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_whole(files)
    except OSError as error:
        raise ChipfitError("P003", f"cannot write '{folder}': {error}") from None
    except ChipfitError:
        if is_new:
            folder.rmdir()
        raise
    return written


def read_data(
    model: Model,
    path: Path,
    preprocessing: Preprocessing,
    count: int = CALIBRATED + TESTED,
    progress: Progress = no_progress,
) -> Samples:
    """At most ``count`` samples: pictures of a folder, or arrays of a ``.npy`` or ``.npz`` file.

    Bytes are pixels where ``preprocessing`` says what becomes of them and the model's only input takes pictures.
    Raises ChipfitError Q001, Q002, I001, I003, I004 as :mod:`chipfit.quantize.sources` does.
    """
    if not path.is_dir():
        pixels = None if preprocessing == Preprocessing() else _pixels_of(model, path)
        return (
            samples_of(path, model.graph.inputs).first(count)
            if pixels is None
            else pixel_samples(pixels[:count], preprocessing)
        )
    if len(model.graph.inputs) != 1:
        raise ChipfitError("Q002", f"the model has {len(model.graph.inputs)} inputs: pictures fill one", "use an .npz")
    return image_samples(image_files(path, count), model.graph.inputs[0], preprocessing, progress)


def _pixels_of(model: Model, path: Path) -> Array | None:
    """(n, height, width, channels), uint8, of a file that holds pictures for the model's only input."""
    inputs = model.graph.inputs
    if len(inputs) != 1 or len(inputs[0].shape) != 4:
        return None
    found = read_arrays(path)
    array = found if isinstance(found, np.ndarray) else found.get(inputs[0].name)
    is_pixels = array is not None and array.dtype == np.uint8 and array.shape[-3:] == inputs[0].shape[1:]
    return array.reshape(-1, *inputs[0].shape[1:]) if array is not None and is_pixels else None


def quantize_model(
    model: Model | str | Path,
    samples: Samples | SampleSource | None = None,
    recipe: Recipe | str | None = None,
    *,
    calibrated: int = CALIBRATED,
    contributions: bool = False,
    explain: bool = False,
    min_sqnr: float | None = None,
    max_drop: float | None = None,
    max_int16: int | None = None,
    states: Mapping[str, str] | None = None,
    progress: Progress = no_progress,
) -> QuantizedModel:
    """A smaller model for a float model, and how near it is.

    ``model``: loaded, or the name of its file. ``samples``: an array (samples first), a mapping from the names of
    inputs, an ``.npz`` or ``.npy`` file, an iterable, or what :func:`read_data` makes of a folder of pictures. The
    first ``calibrated`` choose the integers, the others judge them; without others, the same ones do. None: only for
    ``float16`` and ``dynamic``, which then round to the nearest. ``recipe``: default ``int8``.

    ``contributions``: quantize again and again with one step more each time, and report what each is worth.
    ``explain``: measure what each tensor and layer costs, and give advice.
    ``min_sqnr`` (dB), ``max_drop`` (percentage points of agreement with the float model): as few tensors as that takes
    become int16, ``max_int16`` at most; whether it is met is measured on a quarter of the calibration samples.
    ``states``: inputs by name that take what an output gave in the call before: then samples are sequences (samples,
    steps, ...), from which the states come that really occur; so are those of a model with variables.
    Raises ChipfitError Q001 (no samples), Q002 (samples that cannot be used, or that make the model infinite), Q003
    (recipe), Q004 (a model that cannot be quantized so), F001..F005 (file), I001, I003, I004 (arrays).
    """
    recipes = [Recipe() if recipe is None else recipe]
    return next(
        quantize_variants(
            model,
            samples,
            recipes,
            calibrated=calibrated,
            contributions=contributions,
            explain=explain,
            budget=Budget.of(min_sqnr, max_drop, max_int16),
            states=states,
            progress=progress,
        )
    )


def quantize_variants(
    model: Model | str | Path,
    samples: Samples | SampleSource | None,
    recipes: Sequence[Recipe | str],
    *,
    calibrated: int = CALIBRATED,
    contributions: bool = False,
    explain: bool = False,
    budget: Budget | None = None,
    states: Mapping[str, str] | None = None,
    progress: Progress = no_progress,
) -> Iterator[QuantizedModel]:
    """:func:`quantize_model` for one recipe after the other; the float model runs only once.

    ``budget``: for the recipes of mode int8; raises ChipfitError U001 if there is none.
    """
    parsed = [parse_recipe(r) if isinstance(r, str) else r for r in recipes]
    loaded = model if isinstance(model, Model) else load(model)
    called = step_model(loaded.graph, states)
    if called is not None and samples is not None:
        samples, steps = called.samples(samples)
        loaded = Model(called.loop(steps), source=loaded.source)
    elif samples is not None and not isinstance(samples, Samples):
        samples = samples_of(samples, loaded.graph.inputs)
    if budget is not None and not any(recipe.mode == "int8" for recipe in parsed):
        raise ChipfitError("U001", "a budget widens tensors of int8, and no recipe begins with it")
    if samples is None and (contributions or explain):
        raise ChipfitError("Q001", "what a step is worth is measured on samples", "about 100 typical ones are enough")
    require_samples(parsed, samples)
    if samples is not None:
        refuse_zero_states(loaded.graph, samples)
    used = None if samples is None else samples.first(calibrated)
    facts = facts_of(loaded)
    judge = None if samples is None else _Judge(loaded.graph, samples.rest(calibrated) or samples, progress)
    for recipe in parsed:
        rows: list[Figures] = []
        for partial in _partial_recipes(recipe) if contributions else ():
            figures = _quantized(loaded, used, partial, judge, progress)[2]
            rows += [] if figures is None else [figures]
        made, seconds, result, mixed = _quantized(loaded, used, recipe, judge, progress, budget)
        graph = made.graph if called is None else called.back(made.graph, made.recipe)
        report = QuantizationReport(
            model=loaded.name,
            recipe=str(made.recipe),
            inputs=tuple(TensorInfo.of(v) for v in graph.inputs),
            outputs=tuple(TensorInfo.of(v) for v in graph.outputs),
            calibrated=0 if used is None else len(used),
            tested=0 if judge is None else len(judge.samples),
            how=_how(made.graph, samples, calibrated),
            seconds=seconds,
            result=result,
            contributions=tuple(rows),
            tensors=tuple(TensorFigures(f.name, f.op, _finite(f.sqnr)) for f in made.report.layers),
            notes=tuple(made.report.notes),
            diagnosis=diagnose(made, used, progress) if explain and used is not None else None,
            mixed=mixed,
        )
        yield QuantizedModel(
            _model(graph, made.recipe), report, made.preprocessing or facts.preprocessing, loaded.source, facts.labels
        )


def _model(graph: Graph, recipe: Recipe) -> Model:
    """With its file where that says more than the graph, so that foreign interpreters compute as the recipe says."""
    stated = _in_files(graph, recipe)
    try:
        return Model(graph, source=None if stated is graph else to_tflite(stated))
    except ChipfitError as error:
        if error.code != "O002":
            raise
        return Model(graph)  # with an operator that files do not know, foreign interpreters cannot run it


def _partial_recipes(recipe: Recipe) -> list[Recipe]:
    """From no step at all to all of the recipe's, one more each time."""
    wanted = [step for step in (*ORDER, *(s for s in STEPS if s not in ORDER)) if step in recipe.steps]
    return [replace(recipe, steps=frozenset(wanted[:n])) for n in range(len(wanted) + 1)]


def _quantized(
    model: Model,
    used: Samples | None,
    recipe: Recipe,
    judge: _Judge | None,
    progress: Progress,
    budget: Budget | None = None,
) -> tuple[Quantized, float, Figures | None, Mixed | None]:
    """The graph, the seconds that it took, figures if there is a judge, and what a budget led to."""
    started, mixed = time.perf_counter(), None
    if budget is not None and used is not None and recipe.mode == "int8":
        floats = _float_scores(model.graph, used, progress)
        made, mixed = quantize_within(model.graph, used, recipe, budget, floats, _Instruments(), progress)
    else:
        made = quantize_graph(model.graph, used, recipe, progress)
    seconds = time.perf_counter() - started
    return made, seconds, None if judge is None else judge.figures(made, seconds), mixed


class _Instruments:
    """Integer graphs in C on the host."""

    def scores(self, graph: Graph, samples: Samples) -> Array:
        return _scores(graph, samples, Recipe())

    def arena_bytes(self, graph: Graph) -> int:
        return Model(graph).memory("host", alternatives=False).plan.arena


class _Judge:
    """Holds quantized models against their float model, on the same ``samples``."""

    def __init__(self, graph: Graph, samples: Samples, progress: Progress) -> None:
        self.samples, self._graph, self._progress = samples, graph, progress

    @cached_property
    def _wanted(self) -> Array:
        return _float_scores(self._graph, self.samples, self._progress)

    def figures(self, made: Quantized, seconds: float) -> Figures:
        wanted = self._wanted
        self._progress("testing", 0, len(self.samples))
        scores = _scores(made.graph, self.samples, made.recipe)
        noise = _finite(signal_to_noise(wanted, scores))
        return Figures(str(made.recipe), noise, agreement(wanted, scores), seconds)


def _how(graph: Graph, samples: Samples | None, calibrated: int) -> str:
    if samples is None:
        return NOT_MEASURED
    by = "LiteRT" if _runs_by_litert(graph) else "C"
    return f"measured ({by} on the host, {HELD_OUT if len(samples) > calibrated else SEEN})"


def _finite(decibels: float) -> float | None:
    return decibels if np.isfinite(decibels) else None


def _float_scores(graph: Graph, samples: Samples, progress: Progress) -> Array:
    """(samples, scores) of the float model."""
    batches: list[Array] = []
    for outputs in run_batches(judged_part(graph), samples):
        batches.append(outputs[0].reshape(len(outputs[0]), -1))
        progress("running the float model", sum(map(len, batches)), len(samples))
    return np.concatenate(batches)


def _runs_by_litert(graph: Graph) -> bool:
    """Models of floats, if it is there: it is what people run them with."""
    return have_litert() and not Model(graph).is_integer


def _scores(graph: Graph, samples: Samples, recipe: Recipe) -> Array:
    """(samples, scores) of a quantized model as real numbers, executed by LiteRT or as its own C."""
    scored = judged_part(graph)
    inputs = [_stored(v, x) for v, x in zip(scored.inputs, samples.arrays, strict=True)]
    rows = list(zip(*inputs, strict=True))
    if _runs_by_litert(graph):
        output = np.stack([y for y, *_ in litert_run(to_tflite(_in_files(scored, recipe)), rows, reference=False)])
    else:
        with tempfile.TemporaryDirectory() as folder:
            firmware = Model(scored).compile("host", Path(folder) / "model")
            output = np.asarray(firmware.run(rows).outputs[0])
    value = scored.outputs[0]
    flat = output.reshape(len(output), -1).astype(np.float64)
    return flat if value.type.quant is None else (flat - value.q.zp) * value.q.s


def _stored(value: Value, x: Array) -> Sequence[Array]:
    """An input's samples in its element type."""
    return list(x if value.type.quant is None else quantize_array(x, value.q, value.dtype))
