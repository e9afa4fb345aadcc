"""Vela compiles the int8 models that chipfit writes for the Ethos-U55, and leaves nothing to the processor."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from chipfit import load
from chipfit.exporters import to_tflite
from chipfit.graph import Graph
from chipfit.importers import load_graph
from chipfit.quantize import Recipe, quantize_graph, samples_of

schema = import_module("ai_edge_litert.schema_py_generated")

needs_vela = pytest.mark.skipif(find_spec("ethosu") is None, reason="the ethos-u-vela package is not installed")


def as_it_is(file: Path) -> Graph:
    return load_graph(file)


def quantized(file: Path) -> Graph:
    """The float model in int8; what it would answer does not matter here."""
    graph = load(file).graph
    x = np.random.default_rng(0).uniform(0, 1, (4, *graph.inputs[0].shape[1:])).astype(np.float32)
    return quantize_graph(graph, samples_of(x, graph.inputs), Recipe(steps=frozenset())).graph


@needs_vela
@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("mlperf_kws_dscnn_int8", as_it_is),
        ("mlperf_ic_resnet8_f32", quantized),
        ("mlperf_vww_mnv1_025_96_f32", quantized),
    ],
)
def test_vela_takes_every_operator(models_dir: Path, tmp_path: Path, name: str, make: Callable[[Path], Graph]) -> None:
    """Softmax, too: Vela has a form of it."""
    (tmp_path / "model.tflite").write_bytes(to_tflite(make(models_dir / f"{name}.tflite")))
    command = [sys.executable, "-m", "ethosu.vela", "model.tflite", "--accelerator-config", "ethos-u55-128"]
    ran = subprocess.run([*command, "--output-dir", "out"], cwd=tmp_path, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    model = schema.ModelT.InitFromPackedBuf((tmp_path / "out" / "model_vela.tflite").read_bytes())
    # one operator stands for all that the Ethos-U computes; any other one is the processor's
    codes = [model.operatorCodes[o.opcodeIndex] for o in model.subgraphs[0].operators]
    assert [c.customCode for c in codes] == [b"ethos-u"]
