"""Outputs and results of single layers as files."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from chipfit.files import staged_file, write_whole
from chipfit.graph import Array
from chipfit.kmodel.simulate.report import KmodelRun


def save_outputs(run: KmodelRun, folder: Path) -> list[Path]:
    """A ``.bin`` for each sample, named as its input: all outputs one after the other, in the order (n, c, h, w), as
    they lie in the memory of the board. All are written or none: else ChipfitError P003."""
    files = {folder / f"{safe_path(sample.name)}.bin": _raw(sample.outputs) for sample in run.samples}
    for path in files:
        path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(files)
    return list(files)


def _raw(outputs: Iterable[Array]) -> bytes:
    return b"".join(np.ascontiguousarray(values).tobytes() for values in outputs)


class LayerDump:
    """Writes the result of every node to ``folder/SAMPLE/INDEX_KIND.npy``, to be given to :meth:`Kmodel.run`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __call__(self, sample: str, index: int, kind: str, result: Array) -> None:
        path = self._folder / safe_path(sample) / f"{index:03d}_{kind}.npy"
        path.parent.mkdir(parents=True, exist_ok=True)
        with staged_file(path) as part:
            np.save(part, result)


def safe_path(name: str) -> Path:
    """A relative path that stays within its folder."""
    parts = [re.sub(r"[^\w.\-]+", "_", part) for part in Path(name).parts]
    kept = [part for part in parts if part not in ("..", ".", "_")]
    return Path(*(kept or ["sample"]))
