"""Several models in one program: on a chip (an ELF, run on the emulator) or on the host (a shared library)."""

from __future__ import annotations

import struct
import time
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from chipfit.codegen import read_manifest
from chipfit.codegen.harness import RUN_END, proof_line
from chipfit.emulate import HostLibrary, run_elf
from chipfit.errors import ChipfitError
from chipfit.firmware import DEFAULT_LIMIT, ELF_NAME, Firmware, board_of_json, check_proof
from chipfit.report.data import MEASURED, CompileSetReport, RunReport, RunSetReport
from chipfit.samples import SampleLike, as_samples


@dataclass(frozen=True)
class FirmwareSet:
    """A folder that :func:`chipfit.compile_models` wrote. ``manifest`` is its ``chipfit.json``."""

    folder: Path
    manifest: Mapping[str, Any]

    @staticmethod
    def open(folder: str | Path) -> FirmwareSet:
        """Raises ChipfitError P002 if the folder does not hold several compiled models."""
        path = Path(folder)
        return FirmwareSet(path, read_manifest(path, several=True))

    @property
    def models(self) -> list[Firmware]:
        """Each model's names, inputs and outputs. They run together only: see :meth:`run`."""
        return [Firmware(self.folder, {**self.manifest, **model}) for model in self.manifest["models"]]

    @property
    def names(self) -> list[str]:
        return [model.name for model in self.models]

    @property
    def board(self) -> str:
        return self.manifest["board"]

    @property
    def report(self) -> CompileSetReport:
        """What the compiler said. Raises ChipfitError P002 if the folder does not tell."""
        try:
            return CompileSetReport.from_json(self.manifest["report"])
        except (KeyError, TypeError, ValueError) as error:
            raise ChipfitError("P002", f"{self.folder} has no report of its compilation", "compile it again") from error

    def run(
        self,
        samples: Mapping[str, SampleLike] | Sequence[SampleLike],
        *,
        max_instructions: int = DEFAULT_LIMIT,
        progress: Callable[[int], None] | None = None,
    ) -> RunSetReport:
        """Run the models in turn: the first sample of each, then the second, until none has any left.

        ``samples``: for each model what :meth:`chipfit.Firmware.run` takes, in their order or by name; a model without
        any does not run. Raises ChipfitError I001..I003 for inputs that do not fit, U001 for an unknown name,
        E001..E006 for what goes wrong on the chip.
        """
        models = self.models
        given = self._in_order(samples)
        rows = [
            [b"".join(np.ascontiguousarray(a).tobytes() for a in sample) for sample in as_samples(s, m.inputs)]
            for m, s in zip(models, given, strict=True)
        ]
        started = time.perf_counter()
        if self.manifest["arch"] == "host":
            outputs = self._run_on_host(rows)
            reports = [
                m.report_of(raw, len(row), started, "shared library returned", "measured (host)")
                for m, raw, row in zip(models, outputs, rows, strict=True)
            ]
            return RunSetReport(tuple(reports), None, time.perf_counter() - started)
        return self._run_on_chip(rows, started, max_instructions, progress)

    def _in_order(self, samples: Mapping[str, SampleLike] | Sequence[SampleLike]) -> list[SampleLike]:
        if isinstance(samples, Mapping):
            unknown = [name for name in samples if name not in self.names]
            if unknown:
                raise ChipfitError("U001", f"there is no model '{unknown[0]}'", f"one of {', '.join(self.names)}")
            return [samples.get(name, []) for name in self.names]
        if len(samples) != len(self.models):
            raise ChipfitError(
                "U001", f"samples for {len(samples)} models, there are {len(self.models)}", "give them by name"
            )
        return list(samples)

    def _run_on_chip(
        self, rows: list[list[bytes]], started: float, limit: int, progress: Callable[[int], None] | None
    ) -> RunSetReport:
        models = self.models
        board = board_of_json(self.manifest["target"])
        counts = [len(row) for row in rows]
        result = run_elf(
            self.folder / ELF_NAME,
            board,
            stdin=struct.pack(f"<{len(counts)}I", *counts) + b"".join(rows[k][i] for k, i in _turns(counts)),
            marks=[*(mark for model in models for mark in model.marks), RUN_END],
            max_instructions=limit,
            progress=progress,
        )
        outputs = [b""] * len(models)
        at = 0
        for k, _ in _turns(counts):
            nbytes = models[k].output_bytes
            outputs[k] += result.output[at : at + nbytes]
            at += nbytes
        proofs = [proof_line(m.name, n, zlib.crc32(raw)) for m, n, raw in zip(models, counts, outputs, strict=True)]
        check_proof(result, proofs)
        reports: list[RunReport] = []
        for model, raw, count, proof in zip(models, outputs, counts, proofs, strict=True):
            report = model.report_of(raw, count, started, proof, MEASURED, result)
            reports.append(model.with_cycles(report, result, board) if count else replace(report, instructions=None))
        return RunSetReport(tuple(reports), result.stack_bytes, time.perf_counter() - started)

    def _run_on_host(self, rows: list[list[bytes]]) -> list[bytes]:
        library = HostLibrary(self.folder / self.manifest["library"])
        if library.call("chipfit_reset") != 0:
            raise ChipfitError("E005", "the shared library could not be initialised")
        outputs = [b""] * len(rows)
        for k, i in _turns([len(row) for row in rows]):
            out = np.zeros(max(1, self.models[k].output_bytes), np.uint8)
            library.call(f"chipfit_run_{k}", np.frombuffer(rows[k][i], np.uint8), out, 1, returns=None)
            outputs[k] += out.tobytes()[: self.models[k].output_bytes]
        return outputs


def _turns(counts: Sequence[int]) -> list[tuple[int, int]]:
    """Pairs of a model and a sample of it, in the order in which they run."""
    return [(k, i) for i in range(max(counts, default=0)) for k, count in enumerate(counts) if i < count]
