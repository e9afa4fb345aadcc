"""What tests of compression share: a small network, data of two kinds, and a board that is not compiled for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from chipfit.compress import judge
from chipfit.compress.judge import quickly_quantized
from chipfit.deployment.figures import Needs
from chipfit.exporters import to_tflite
from chipfit.graph import Array, Graph
from chipfit.model import Model, load
from chipfit.ops import op_of
from chipfit.quantize import Samples, run_batches
from chipfit.quantize.parameters import dequantize_array, quantize_array
from chipfit.trainable.judge import float_outputs
from quantize.nets import mobile, pictures


@pytest.fixture
def net(tmp_path: Path) -> Path:
    """A float model of five classes for pictures of 12 x 12 pixels."""
    path = tmp_path / "net.tflite"
    path.write_bytes(to_tflite(mobile(np.random.default_rng(0))))
    return path


@pytest.fixture
def labelled(tmp_path: Path, net: Path) -> Path:
    """Samples with the classes that the network tells, and a few others."""
    rng = np.random.default_rng(1)
    x = pictures(rng, 200)
    labels = float_outputs(load(net).graph, Samples((x,), (None,))).argmax(axis=1)
    labels[::20] = rng.integers(0, 5, 10)
    path = tmp_path / "data.npz"
    np.savez(path, x=x[:, 0], labels=labels)
    return path


def _outputs(graph: Graph, samples: Samples) -> Array:
    """Of an int8 graph by its definition, (n, elements)."""
    inputs = zip(graph.inputs, samples.arrays, strict=True)
    stored = Samples(tuple(quantize_array(x, v.q, v.dtype) for v, x in inputs), samples.ranges)
    outputs = np.concatenate([batch[0] for batch in run_batches(graph, stored)])
    return dequantize_array(outputs, graph.outputs[0].q).reshape(len(outputs), -1).astype(np.float64)


@pytest.fixture
def uncompiled(monkeypatch: pytest.MonkeyPatch) -> list[Model]:
    """Nothing is compiled or fitted: what a program needs follows from the graph. The models that were asked for."""
    asked: list[Model] = []

    def needs(model: Model, board: Any, goal: Any, limits: Any, *, weights: str = "plain") -> Needs:
        asked.append(model)
        constants = {v: v.type.nbytes for n in model.graph.nodes for v in n.operands if v.is_const}
        flash = sum(constants.values()) // (2 if weights == "compressed" else 1)
        ram = max(sum(v.type.nbytes for v in (*n.operands, *n.outputs) if not v.is_const) for n in model.graph.nodes)
        run = 100 + sum(op_of(n).macs(n) for n in model.graph.nodes)
        return Needs(board.name, goal, False, 2000 + flash, ram, True, run, run / 1000, constants=flash)

    monkeypatch.setattr(judge, "needs", needs)
    monkeypatch.setattr(judge, "quantized", lambda graph, samples, progress=None: quickly_quantized(graph, samples))
    monkeypatch.setattr(judge, "int8_outputs", _outputs)
    return asked
