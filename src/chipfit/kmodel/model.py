"""A kmodel as a user holds it: loaded, looked at, run."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from chipfit.errors import ChipfitError
from chipfit.graph import Array
from chipfit.kmodel.format import layers as v3
from chipfit.kmodel.format.kfpkg import FlashFile, is_kfpkg, read_kfpkg
from chipfit.kmodel.format.read import is_kmodel, read_kmodel
from chipfit.kmodel.format.shapes import output_shapes
from chipfit.kmodel.format.sidecar import Sidecar, TensorFacts, read_sidecar
from chipfit.kmodel.format.v3 import KmodelV3
from chipfit.kmodel.format.v4 import KmodelV4
from chipfit.kmodel.format.validate import MAIN_BYTES, count_work, validate
from chipfit.kmodel.inspection import KmodelReport, report_of
from chipfit.kmodel.simulate.layers import run_v3
from chipfit.kmodel.simulate.program import Observer, ignore, run_v4
from chipfit.kmodel.simulate.report import KmodelRun, SampleRun
from chipfit.report.data import TensorInfo
from chipfit.samples import SampleLike, as_samples, random_samples

MOST_FILE_BYTES = 16 << 20
"""Flash of the boards: no kmodel is larger."""
MOST_WORK = 1 << 35
"""Steps of a simulation; the K210 would take seconds for it."""

LayerObserver = Callable[[str, int, str, Array], None]
"""Told the sample's name, the index and kind of a node, and its result."""


def load(source: str | Path | bytes, name: str | None = None) -> Kmodel:
    """Read and check a kmodel: a file, its bytes, or a ``.kfpkg`` with one kmodel in it.

    Raises ChipfitError F001 (cannot be read), F002 (no kmodel), F003 (damaged, overlapping, out of range), F004
    (another version), F005 (larger than any flash), O002 (layers that no firmware runs).
    """
    if isinstance(source, bytes):
        return _of_bytes(source, name or "model", None)
    path = Path(source)
    return _of_bytes(read_bytes(path), name or path.stem, read_sidecar(path))


def read_bytes(path: Path) -> bytes:
    """A file that no flash is too small for. Raises ChipfitError F001, F005."""
    try:
        if path.stat().st_size > MOST_FILE_BYTES:
            raise ChipfitError("F005", f"'{path}' has more than 16 MiB, as much as the flash", "is it a kmodel?")
        return path.read_bytes()
    except OSError as error:
        raise ChipfitError("F001", f"cannot read '{path}': {error.strerror or error}", "check the path") from None


def _of_bytes(data: bytes, name: str, sidecar: Sidecar | None) -> Kmodel:
    if is_kfpkg(data):
        found = kmodels_of(data)
        if len(found) != 1:
            names = ", ".join(file.name for file in found) or "none"
            raise ChipfitError("F002", f"the package holds {len(found)} kmodels: {names}", "unzip it and name one")
        data, name = found[0].data, Path(found[0].name).stem
    file = read_kmodel(data)
    return Kmodel(name, data, file, validate(file), sidecar)


def kmodels_of(package: bytes) -> list[FlashFile]:
    """The kmodels in a ``.kfpkg``. Raises ChipfitError F003, F005."""
    return [file for file in read_kfpkg(package) if is_kmodel(file.data)]


@dataclass(frozen=True, eq=False)
class Kmodel:
    """A checked kmodel. ``data``: the file; ``notes``: what is suspicious in it; ``sidecar``: the facts beside it."""

    name: str
    data: bytes
    file: KmodelV3 | KmodelV4
    notes: tuple[str, ...] = ()
    sidecar: Sidecar | None = None

    @property
    def version(self) -> int:
        return 4 if isinstance(self.file, KmodelV4) else 3

    @property
    def inputs(self) -> list[TensorInfo]:
        """Shapes are (n, c, h, w), of a dense first layer of version 3 (1, n)."""
        return _tensors("x", self._input_shapes(), self.sidecar.inputs if self.sidecar else ())

    def _input_shapes(self) -> list[tuple[str, tuple[int, ...]]]:
        if isinstance(self.file, KmodelV4):
            pairs = zip(self.file.inputs, self.file.input_shapes, strict=True)
            return [(place.dtype.name.lower(), shape) for place, shape in pairs]
        first = self.file.layers[0]
        if isinstance(first, v3.K210Conv):
            source = first.registers.source
            return [("uint8", (1, source.channels, source.height, source.width))]
        assert isinstance(first, v3.FullyConnected)  # validate takes no other
        return [("float32", (1, first.in_channels))]

    @property
    def outputs(self) -> list[TensorInfo]:
        """Shapes are those of the sidecar, else what the last node that writes an output tells."""
        batch = () if isinstance(self.file, KmodelV4) else (1,)
        shapes = [(dtype.name.lower(), (*batch, *shape)) for dtype, shape in output_shapes(self.file)]
        return _tensors("y", shapes, self.sidecar.outputs if self.sidecar else ())

    def inspect(self) -> KmodelReport:
        """What the file holds and what it takes on the board."""
        return report_of(self.name, len(self.data), self.file, self.inputs, self.outputs, self.notes)

    def samples(self, count: int, seed: int = 0) -> list[tuple[Array, ...]]:
        """Seeded random samples over the whole range of the inputs."""
        return random_samples(self.inputs, count, seed)

    def run(
        self,
        samples: SampleLike,
        *,
        names: Sequence[str] | None = None,
        observe: LayerObserver | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> KmodelRun:
        """Simulate the model on samples, byte for byte as the vendor's simulator does.

        ``samples``: see :func:`chipfit.samples.as_samples`; (n, c, h, w), uint8 pixels or float32, as the input is.
        ``names``: of the samples. ``observe``: told each node's result. ``progress``: told how many are done, of how
        many. Raises ChipfitError I001..I003 for inputs that do not fit, M001 where main memory is too small, F005 for
        a model that would take minutes on the chip itself.
        """
        self._can_run()
        chosen = as_samples(samples, self.inputs)
        labels = list(names) if names is not None else [str(index) for index in range(len(chosen))]
        runs: list[SampleRun] = []
        for index, (label, sample) in enumerate(zip(labels, chosen, strict=True)):
            if progress:
                progress(index, len(chosen))
            started = time.perf_counter()
            outputs = self._run_one(sample, self._observer(label, observe))
            runs.append(SampleRun(label, tuple(outputs), time.perf_counter() - started))
        classes = self.sidecar.labels if self.sidecar else ()
        return KmodelRun(self.name, self.version, tuple(self.outputs), tuple(runs), self.notes, classes)

    def _can_run(self) -> None:
        if self.file.main_bytes > MAIN_BYTES:
            raise ChipfitError(
                "M001",
                f"the model works in {self.file.main_bytes / 2**20:,.1f} MiB of main memory; the K210 has 6: MaixPy "
                "answers with error 2006",
                "make the input smaller, or keep more layers on the KPU",
            )
        if (work := count_work(self.file)) > MOST_WORK:
            raise ChipfitError(
                "F005",
                f"a run takes {work:.2g} steps, more than any model of the K210",
                "the file is most likely damaged",
            )

    def _observer(self, label: str, observe: LayerObserver | None) -> Observer:
        if observe is None:
            return ignore
        parts = self.file.nodes if isinstance(self.file, KmodelV4) else self.file.layers
        return lambda index, result: observe(label, index, type(parts[index]).__name__, result)

    def _run_one(self, sample: tuple[Array, ...], observe: Observer) -> list[Array]:
        if isinstance(self.file, KmodelV4):
            raw = run_v4(self.file, sample, observe)
        else:
            raw = run_v3(self.file, sample[0][0], observe)
        infos = self.outputs
        return [y.view(np.dtype(info.dtype)).reshape(info.shape) for y, info in zip(raw, infos, strict=True)]


def _tensors(
    letter: str, found: Sequence[tuple[str, tuple[int, ...]]], facts: Sequence[TensorFacts]
) -> list[TensorInfo]:
    """Types and shapes of the file, with what the sidecar says of them, where that fits the file."""
    if len(facts) == len(found) and all(_fits(fact, one) for fact, one in zip(facts, found, strict=True)):
        return [TensorInfo(fact.name, fact.shape, fact.dtype, fact.scale, fact.zero_point) for fact in facts]
    names = [letter] if len(found) == 1 else [f"{letter}{index}" for index in range(len(found))]
    return [TensorInfo(name, shape, dtype) for name, (dtype, shape) in zip(names, found, strict=True)]


def _fits(fact: TensorFacts, found: tuple[str, tuple[int, ...]]) -> bool:
    return fact.dtype == found[0] and math.prod(fact.shape) == math.prod(found[1])
