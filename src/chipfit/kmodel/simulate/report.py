"""What ``chipfit run`` says of a simulated kmodel."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from chipfit.graph import Array
from chipfit.report.data import SCHEMA_VERSION, TensorInfo

TOP = 3
"""Greatest elements of an output that a report names."""


@dataclass(frozen=True, eq=False)
class SampleRun:
    """``outputs``: in the shape and type of each output; ``seconds``: that the simulation took."""

    name: str
    outputs: tuple[Array, ...]
    seconds: float


@dataclass(frozen=True, eq=False)
class KmodelRun:
    """``notes``: what is suspicious in the model; ``labels``: of its classes, if they are known."""

    model: str
    kmodel: int
    output_info: tuple[TensorInfo, ...]
    samples: tuple[SampleRun, ...]
    notes: tuple[str, ...]
    labels: tuple[str, ...] = ()

    @property
    def outputs(self) -> tuple[Array, ...]:
        """One array for each output, samples first."""
        return tuple(np.stack([s.outputs[i] for s in self.samples]) for i in range(len(self.output_info)))

    @property
    def seconds(self) -> float:
        return sum(sample.seconds for sample in self.samples)

    def label(self, index: int) -> str:
        """The name of an element of an output of classes."""
        return self.labels[index] if index < len(self.labels) else str(index)

    def to_json(self) -> dict[str, Any]:
        return {
            "schema": "chipfit.kmodel_run",
            "version": SCHEMA_VERSION,
            "model": self.model,
            "kmodel": self.kmodel,
            "seconds": self.seconds,
            "notes": list(self.notes),
            "samples": [
                {
                    "name": sample.name,
                    "seconds": sample.seconds,
                    "outputs": [
                        _output(info, values) for info, values in zip(self.output_info, sample.outputs, strict=True)
                    ],
                }
                for sample in self.samples
            ],
        }


def _output(info: TensorInfo, values: Array) -> dict[str, Any]:
    flat = values.ravel()
    return {
        "name": info.name,
        "shape": list(values.shape),
        "dtype": info.dtype,
        "min": float(flat.min()),
        "max": float(flat.max()),
        "mean": float(flat.mean(dtype=np.float64)),
        "top": [{"index": int(i), "value": float(flat[i])} for i in greatest(flat)],
    }


def greatest(flat: Array) -> Array:
    """Indices of the greatest elements, the greatest first; of equal ones the first."""
    return np.argsort(-flat.astype(np.float64), kind="stable")[:TOP]
