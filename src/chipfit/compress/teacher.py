"""A model that another one learns from: float or quantized, of any size of pictures, and run on what the other sees."""

from __future__ import annotations

import shutil
import tempfile
import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from chipfit.compress.judge import macs
from chipfit.deployment.source import is_run
from chipfit.errors import ChipfitError
from chipfit.graph import Array, Graph, Value
from chipfit.metadata import facts_of
from chipfit.model import Model, load
from chipfit.quantize import Preprocessing, Samples, run_batches
from chipfit.quantize.parameters import dequantize_array, quantize_array
from chipfit.trainable.forms import require_forms
from chipfit.trainable.keras_model import predictor
from chipfit.trainable.model import Says, output_of
from chipfit.training.backend import start_keras
from chipfit.training.run_folder import RunFolder

_GREY = np.array([0.299, 0.587, 0.114])
"""Of red, green and blue (ITU-R BT.601)."""


def load_teacher(source: Any) -> Teacher:
    """``source``: the folder of a run, a model's file, or a model object of Keras, PyTorch or another framework.

    Raises ChipfitError F001..F005, N003 (a run that is not finished), N005 (more than one input).
    """
    if isinstance(source, str | Path) and is_run(Path(source)):
        run = Path(source)
        kept = RunFolder(run).read_run()
        if kept["status"] != "finished":
            raise ChipfitError("N003", f"the run in '{run}' is not finished", f"go on with it: --resume -o {run}")
        source = run / f"{kept['model']}.tflite"
    model = load(source)
    if len(model.graph.inputs) != 1:
        names = ", ".join(v.name for v in model.graph.inputs)
        raise ChipfitError("N005", f"the teacher '{model.name}' has the inputs {names}", "one that takes pictures")
    facts = facts_of(model)
    return Teacher(model, facts.preprocessing, facts.labels)


@dataclass(eq=False)
class Teacher:
    """``how``: how pixels become its input; None: as they do for whoever learns from it. ``classes``: names, if known.

    ``raw``: the name of the tensor whose softmax or sigmoid it answers with, or the answer, and ``says`` what it is."""

    model: Model
    how: Preprocessing | None = None
    classes: tuple[str, ...] = ()
    raw: str = field(init=False)
    says: Says = field(init=False)

    def __post_init__(self) -> None:
        value, self.says = output_of(self.graph)
        self.raw = value.name

    @property
    def graph(self) -> Graph:
        return self.model.graph

    @property
    def outputs(self) -> int:
        return self.graph.outputs[0].type.size

    @property
    def macs(self) -> int:
        return macs(self.graph)

    def runner(self, names: Sequence[str]) -> Callable[[Array], dict[str, Array]]:
        """From its own input, (n, *shape), float32, to real numbers of these tensors, (n, *shape)."""
        graph = self.graph
        known = {v.name: v for v in graph.values()}
        missing = [name for name in names if name not in known]
        if missing:
            raise ChipfitError("U001", f"the teacher '{self.model.name}' has no tensor named {', '.join(missing)}")
        if graph.inputs[0].type.quant is not None or any(known[name].type.quant is not None for name in names):
            return _ByC(graph, names)
        try:
            require_forms(graph)
        except ChipfitError:
            return _by_definition(graph, names)
        return predictor(start_keras(), graph, names)


def _with_outputs(graph: Graph, names: Sequence[str]) -> Graph:
    seen = graph.copy()
    known = {v.name: v for v in seen.values()}
    seen.outputs = [known[name] for name in names]
    return seen


def _by_definition(graph: Graph, names: Sequence[str]) -> Callable[[Array], dict[str, Array]]:
    """For operators that Keras has no form of."""
    seen = _with_outputs(graph, names)

    def run(x: Array) -> dict[str, Array]:
        given = np.ascontiguousarray(x, np.float32).reshape(len(x), *seen.inputs[0].shape)
        parts = list(run_batches(seen, Samples((given,), (None,))))
        return {name: np.concatenate([part[i] for part in parts]) for i, name in enumerate(names)}

    return run


class _ByC:
    """For integers: what the model's C gives on this computer."""

    def __init__(self, graph: Graph, names: Sequence[str]) -> None:
        seen = _with_outputs(graph, names)
        self._input, self._outputs = seen.inputs[0], seen.outputs
        folder = Path(tempfile.mkdtemp(prefix="chipfit-teacher-"))
        weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
        self._firmware = Model(seen).compile("host", folder / "model")

    def __call__(self, x: Array) -> dict[str, Array]:
        value = self._input
        given = np.asarray(x, np.float32).reshape(len(x), *value.shape)
        stored = given if value.type.quant is None else quantize_array(given, value.q, value.dtype)
        outputs = self._firmware.run([(row,) for row in stored]).outputs
        return {v.name: _real(v, np.asarray(y)) for v, y in zip(self._outputs, outputs, strict=True)}


def _real(value: Value, stored: Array) -> Array:
    """(n, *shape), float32."""
    x = stored if value.type.quant is None else dequantize_array(stored, value.q)
    return x.reshape(len(x), *value.shape).astype(np.float32)


# ------------------------------------------------------------------------------------- what it sees


@dataclass(frozen=True, eq=False)
class Glasses:
    """What turns inputs of one model into those of another, of the same pictures: other sizes, colours, scales."""

    theirs: Value
    ours: Value
    theirs_how: Preprocessing
    ours_how: Preprocessing

    def __post_init__(self) -> None:
        if self.theirs.shape == self.ours.shape:
            return
        if not all(len(v.shape) == 4 and v.shape[3] in (1, 3) for v in (self.theirs, self.ours)):
            shapes = f"{list(self.theirs.shape)} and {list(self.ours.shape)}"
            raise ChipfitError("N005", f"teacher and student take {shapes}, which are no pictures", "the same inputs")

    def __call__(self, x: Array) -> Array:
        """``x``: (n, *sample), as our model takes it. Returns (n, *sample) for theirs, float32."""
        if self.theirs.shape == self.ours.shape and self._scales(self.theirs_how) == self._scales(self.ours_how):
            return x
        how = self.ours_how
        pixels = (x.astype(np.float64) * np.array(how.std) + np.array(how.mean)) / how.scale
        if self.theirs.shape != self.ours.shape:
            _, height, width, channels = self.theirs.shape
            pixels = resized(pixels.reshape(len(x), *self.ours.shape[1:]), height, width)
            if channels != pixels.shape[3]:
                pixels = np.repeat(pixels, 3, axis=3) if channels == 3 else pixels @ _GREY[:, None]
        how = self.theirs_how
        seen = (pixels * how.scale - np.array(how.mean)) / np.array(how.std)
        return np.ascontiguousarray(seen, np.float32)

    @staticmethod
    def _scales(how: Preprocessing) -> Preprocessing:
        """Pictures are cut to size already."""
        return replace(how, resize="stretch", side=0)


def resized(x: Array, height: int, width: int) -> Array:
    """(n, height, width, c) of (n, h, w, c): linear between the middles of pixels; for fewer pixels, over all."""
    rows, columns = _blend(x.shape[1], height), _blend(x.shape[2], width)
    return np.einsum("Hh,nhwc,Ww->nHWc", rows, x, columns, optimize=True)


def _blend(old: int, new: int) -> Array:
    """(new, old): rows sum up to 1."""
    if old == new:
        return np.eye(old)
    reach = max(1.0, old / new)
    centre = (np.arange(new) + 0.5) * old / new - 0.5
    share = np.maximum(0.0, 1.0 - np.abs(np.arange(old) - np.clip(centre, 0, old - 1)[:, None]) / reach)
    return share / share.sum(axis=1, keepdims=True)
