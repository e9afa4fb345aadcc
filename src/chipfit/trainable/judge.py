"""Data as samples of a graph, and how right its outputs are on them."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from chipfit.graph import Array, Graph, Value
from chipfit.model import Model
from chipfit.quantization import CALIBRATED
from chipfit.quantize import Samples, run_batches
from chipfit.quantize.parameters import dequantize_array, quantize_array
from chipfit.training.judge import cross_entropy
from chipfit.training.loop import Data
from chipfit.training.split import in_turns


def calibration_of(value: Value, data: Data, seed: int) -> Samples:
    """Of the pictures that are trained with, in turns of the classes."""
    labels = data.pictures.labels if data.standard is None else np.zeros_like(data.pictures.labels)
    chosen = np.sort(in_turns(labels, data.split.train, seed)[:CALIBRATED])
    return samples_at(value, data, chosen)


def samples_at(value: Value, data: Data, indices: Array) -> Samples:
    """The pictures at ``indices`` as samples of the input ``value``."""
    pixels, how = data.pictures.pixels[indices], data.preprocessing
    ranges = how.range(pixels.shape[3]) if pixels.dtype == np.uint8 and pixels.ndim == 4 else None
    return Samples((as_inputs(value, how.apply(pixels)),), (ranges,), how)


def as_inputs(value: Value, x: Array) -> Array:
    """(n, *shape of the input), float32."""
    return np.ascontiguousarray(x, np.float32).reshape(len(x), *value.shape)


@dataclass(frozen=True, eq=False)
class Labelled:
    """``samples`` with ``labels``, (n,); ``values``: (n, columns), standardised numbers that the network is to give,
    with the mean and deviation, (columns,) each, of each; None: it tells classes."""

    samples: Samples
    labels: Array
    values: Array | None = None
    mean: Array | None = None
    deviation: Array | None = None

    def __len__(self) -> int:
        return len(self.labels)

    def loss(self, outputs: Array) -> float:
        """``outputs``: (n, outputs), float64."""
        if self.values is None:
            return cross_entropy(_probabilities(outputs), self.labels)
        return float(np.square((outputs - self.mean) / self.deviation - self.values).mean())

    def accuracy(self, outputs: Array) -> float | None:
        return None if self.values is not None else float((outputs.argmax(axis=1) == self.labels).mean())


def labelled_of(value: Value, data: Data, indices: Array) -> Labelled:
    """The pictures at ``indices`` for the input ``value``."""
    labels = data.pictures.labels[indices]
    samples = samples_at(value, data, indices)
    if data.standard is None:
        return Labelled(samples, labels)
    return Labelled(samples, labels, data.targets[labels], data.standard.mean, data.standard.deviation)


def _probabilities(outputs: Array) -> Array:
    """Outputs that are none (logits) are made some."""
    sums = outputs.sum(axis=1)
    if outputs.min() >= -1e-6 and np.allclose(sums, 1.0, atol=0.05):
        return outputs
    shifted = np.exp(outputs - outputs.max(axis=1, keepdims=True))
    return shifted / shifted.sum(axis=1, keepdims=True)


def float_outputs(graph: Graph, samples: Samples) -> Array:
    """(n, elements) of the first output, float64."""
    parts = [outputs[0].reshape(len(outputs[0]), -1) for outputs in run_batches(graph, samples)]
    return np.concatenate(parts).astype(np.float64)


def int8_outputs(graph: Graph, samples: Samples) -> Array:
    """(n, elements) of the first output of a quantized graph as real numbers, float64, by its C on this computer."""
    rows = list(
        zip(
            *(
                x if v.type.quant is None else quantize_array(x, v.q, v.dtype)
                for v, x in zip(graph.inputs, samples.arrays, strict=True)
            ),
            strict=True,
        )
    )
    with tempfile.TemporaryDirectory(prefix="chipfit-judge-") as folder:
        output = np.asarray(Model(graph).compile("host", Path(folder) / "model").run(rows).outputs[0])
    value = graph.outputs[0]
    real = output if value.type.quant is None else dequantize_array(output, value.q)
    return real.reshape(len(real), -1).astype(np.float64)
