"""Real float models, quantized on real pictures: near enough, and the same bytes wherever they run.

Few pictures, so that it is quick: `make bench-quantize` measures on many.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from chipfit import load
from chipfit.exporters import to_tflite
from chipfit.graph import Array, Graph
from chipfit.model import Model
from chipfit.oracle import litert_run, tflm_run
from chipfit.quantization import quantize_variants, read_data
from chipfit.quantize import Preprocessing
from chipfit.quantize.prepare import judged
from chipfit.quantize.small_weights import dequantized
from oracles import needs_litert, needs_tflm

FEW = 3
"""Pictures that slow interpreters run."""


@dataclass(frozen=True)
class Case:
    """``least``: signal to noise that the default recipe must reach on the pictures that it has not seen, dB."""

    model: str
    data: str
    pixels: Preprocessing
    calibrated: int
    tested: int
    least: float


RESNET = Case("mlperf_ic_resnet8_f32", "cifar10_test", Preprocessing(), 60, 100, 25.0)
VWW = Case("mlperf_vww_mnv1_025_96_f32", "imagenet_even", Preprocessing(scale=1 / 255), 40, 60, 24.0)
MOBILENET = Case(
    "imagenet_mnv1_025_224_f32", "imagenet_even", Preprocessing(scale=1 / 127.5, mean=(1.0,)), 16, 24, 18.0
)


@dataclass(frozen=True, eq=False)
class Variant:
    """``file``: as it would be flashed; ``sqnr``: on ``tested``, (samples, *shape), real numbers."""

    file: bytes
    model: Model
    tested: Array
    sqnr: float | None


@cache
def variant(case: Case, models_dir: Path, data_dir: Path, recipe: str, calibrated: int = 0) -> Variant:
    model = load(models_dir / f"{case.model}.tflite")
    used = calibrated or case.calibrated
    samples = read_data(model, data_dir / case.data, case.pixels, used + (FEW if calibrated else case.tested))
    made = next(quantize_variants(model, samples, [recipe], calibrated=used))
    result = made.report.result
    assert result is not None
    return Variant(made.tflite(), made.model, samples.arrays[0][used:], result.sqnr)


def stored(graph: Graph, real: Array) -> list[tuple[Array]]:
    """Samples as the model's input takes them."""
    x = graph.inputs[0]
    if x.type.quant is None:
        return [(sample,) for sample in real]
    low, high = x.dtype.range
    integers = np.clip(np.rint(real / np.float32(x.q.s)) + x.q.zp, low, high).astype(x.dtype.numpy)
    return [(sample,) for sample in integers]


def compiled(model: Model, samples: Sequence[tuple[Array]], folder: Path) -> Array:
    return np.asarray(model.compile("host", folder / "program").run(list(samples)).outputs[0])


@needs_tflm
@needs_litert
@pytest.mark.parametrize("case", [RESNET, VWW, MOBILENET], ids=lambda c: c.model)
def test_int8(models_dir: Path, data_dir: Path, tmp_path: Path, case: Case) -> None:
    made = variant(case, models_dir, data_dir, "int8")
    assert made.sqnr is not None
    assert made.sqnr >= case.least
    samples = stored(made.model.graph, made.tested[:FEW])
    written = load(made.file)
    expected = compiled(made.model, samples, tmp_path)
    # the scores, too: probabilities of a thousand classes are nearly all 0
    scores = to_tflite(up_to_scores(made.model.graph))
    for run in (tflm_run, litert_run):
        np.testing.assert_array_equal(np.stack([y[0] for y in run(made.file, samples)]), expected)
        np.testing.assert_array_equal(
            np.stack([y[0] for y in run(scores, samples)]), load(scores).run_samples(samples)[0]
        )
    np.testing.assert_array_equal(written.run_samples(samples)[0], expected)


def up_to_scores(graph: Graph) -> Graph:
    """The graph without its softmax."""
    scores = judged(graph)
    last = next(i for i, node in enumerate(graph.nodes) if scores in node.outputs)
    return Graph(graph.name, graph.inputs, [scores], graph.nodes[: last + 1])


@needs_tflm
def test_int16x8_equals_tflite_micro(models_dir: Path, data_dir: Path, tmp_path: Path) -> None:
    made = variant(RESNET, models_dir, data_dir, "int16x8", 12)
    assert made.sqnr is not None
    assert made.sqnr >= 35.0
    scores = up_to_scores(made.model.graph)
    samples = stored(scores, made.tested[:FEW])
    expected = compiled(Model(scores), samples, tmp_path)
    np.testing.assert_array_equal(np.stack([y[0] for y in tflm_run(to_tflite(scores), samples)]), expected)


@needs_litert
@pytest.mark.parametrize("recipe", ["float16", "dynamic"])
def test_small_weights_run_in_litert(models_dir: Path, data_dir: Path, tmp_path: Path, recipe: str) -> None:
    """Arithmetic in float32 on both sides: only the order of sums differs."""
    made = variant(RESNET, models_dir, data_dir, recipe, 12)
    scores = to_tflite(dequantized(up_to_scores(made.model.graph)))
    samples = stored(made.model.graph, made.tested[:FEW])
    ours = compiled(load(scores), samples, tmp_path)
    theirs = np.stack([y[0] for y in litert_run(scores, samples)])
    assert np.abs(ours).max() > 1.0
    np.testing.assert_allclose(theirs, ours, rtol=0, atol=1e-5 * np.abs(ours).max())
