"""Models with small weights: they compile as they are, and their files say how to compute, whatever their form."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pytest

from chipfit import load
from chipfit.graph import Array, Graph
from chipfit.model import Model
from chipfit.ops.scan import Scan
from chipfit.quantization import QuantizedModel, quantize_model
from chipfit.quantize.measure import signal_to_noise
from oracles import needs_litert
from quantize.nets import mobile, pictures
from recurrent.nets import float_samples, network

RECIPES = ["dynamic", "dynamic weights=tensor", "dynamic compute=integer", "float16"]
NETS = ["mobile", "gru", "lstm"]


def graph_of(net: str) -> Graph:
    # wide enough that bodies have weights worth making small
    return mobile(np.random.default_rng(0)) if net == "mobile" else network([net], units=40)  # type: ignore[list-item]


@cache
def made(net: str, recipe: str) -> tuple[Graph, QuantizedModel, list[list[Array]]]:
    graph = graph_of(net)
    images = pictures(np.random.default_rng(1), 12)
    samples = [[x] for x in images] if net == "mobile" else float_samples(graph, 12)
    x = np.stack([sample[0] for sample in samples])
    return graph, quantize_model(Model(graph), x, recipe, calibrated=8), samples


def dequantizes(model: Model) -> list[str]:
    return [n["x"].name for n in model.graph.nodes if n.op.name == "dequantize"]


def small(graph: Graph) -> int:
    """Constants of one or two bytes, those of bodies included."""
    inner = sum(small(n.op.body) for n in graph.nodes if isinstance(n.op, Scan))
    return inner + sum(v.is_const and v.dtype.numpy.itemsize < 4 and v.type.size > 64 for v in graph.values())


@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.parametrize("net", NETS)
def test_the_model_compiles(net: str, recipe: str, tmp_path: Path) -> None:
    graph, result, samples = made(net, recipe)
    assert small(result.model.graph) > 1
    assert not dequantizes(result.model)
    y = np.asarray(result.model.compile("host", tmp_path / "c").run([tuple(s) for s in samples]).outputs[0])
    expected = np.stack([result.model.run(*s)[0] for s in samples])
    np.testing.assert_allclose(y, expected, rtol=1e-4, atol=1e-5)
    exact = np.stack([Model(graph).run(*s)[0] for s in samples])
    assert signal_to_noise(exact, y) > 20.0


@pytest.mark.parametrize("net", NETS)
def test_files_say_how_to_compute(net: str) -> None:
    """Which is lost on chipfit, to which it means the same: so LiteRT's answers tell."""
    for recipe in RECIPES:
        _, result, _ = made(net, recipe)
        asks = recipe != "dynamic compute=integer"
        for changed in (result, *([] if net == "mobile" else [result.recurrent("unroll")])):
            assert (b"/float32" in changed.tflite()) == asks
        assert (result.model.source is not None) == asks


@pytest.mark.parametrize("net", ["gru", "lstm"])
def test_unrolled_files_hold_weights_once(net: str) -> None:
    _, result, _ = made(net, "dynamic")
    one = small(result.model.graph)
    assert small(load(result.tflite()).graph) == one
    assert result.tflite().count(b"/float32") == one


@needs_litert
@pytest.mark.parametrize("recipe", ["dynamic", "float16"])
@pytest.mark.parametrize("net", NETS)
def test_foreign_interpreters_agree(net: str, recipe: str) -> None:
    _, result, samples = made(net, recipe)
    report = result.model.verify([tuple(s) for s in samples[:4]])
    lite = next(c for c in report.comparisons if c.against.startswith("LiteRT"))
    assert lite.passed
    assert lite.skipped is None
