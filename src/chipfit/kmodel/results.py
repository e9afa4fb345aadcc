"""Outputs and results of single layers as files."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from chipfit.graph import Array
from chipfit.kmodel.simulate.report import KmodelRun


def save_outputs(run: KmodelRun, folder: Path) -> list[Path]:
    """A ``.bin`` for each sample, named as its input: all outputs one after the other, in the order (n, c, h, w), as
    they lie in the memory of the board. Each file appears as a whole or not at all."""
    written: list[Path] = []
    for sample in run.samples:
        path = folder / f"{safe_path(sample.name)}.bin"
        path.parent.mkdir(parents=True, exist_ok=True)
        staged = path.with_name(f".{path.name}.part")
        staged.write_bytes(b"".join(np.ascontiguousarray(values).tobytes() for values in sample.outputs))
        staged.replace(path)
        written.append(path)
    return written


class LayerDump:
    """Writes the result of every node to ``folder/SAMPLE/INDEX_KIND.npy``, to be given to :meth:`Kmodel.run`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __call__(self, sample: str, index: int, kind: str, result: Array) -> None:
        path = self._folder / safe_path(sample) / f"{index:03d}_{kind}.npy"
        path.parent.mkdir(parents=True, exist_ok=True)
        np.save(path, result)


def safe_path(name: str) -> Path:
    """A relative path that stays within its folder."""
    parts = [re.sub(r"[^\w.\-]+", "_", part) for part in Path(name).parts]
    kept = [part for part in parts if part not in ("..", ".", "_")]
    return Path(*(kept or ["sample"]))
