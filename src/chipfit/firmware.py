"""A compiled model: on a chip (an ELF, run on the emulator) or on the host (a shared library)."""

from __future__ import annotations

import json
import time
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from chipfit.codegen.harness import RUN_END, proof_line
from chipfit.codegen.project import read_manifest
from chipfit.emulate import HostLibrary, MachineResult, estimate_cycles, how_estimated, run_elf
from chipfit.errors import ChipfitError
from chipfit.graph import Array
from chipfit.report.data import MEASURED, CompileReport, LayerRun, RunReport, TensorInfo
from chipfit.report.info import MemoryReport
from chipfit.samples import SampleLike, as_samples
from chipfit.targets import Board, Memory, Npu, Power, load_core

ELF_NAME = "firmware.elf"
MEMORY_NAME = "memory.json"
"""The memory map, as ``chipfit memory --json`` prints it."""

DEFAULT_LIMIT = 20_000_000_000
"""Instructions after which an emulated run is stopped."""


@dataclass(frozen=True)
class Firmware:
    """A folder that :meth:`chipfit.Model.compile` wrote. ``manifest`` is its ``chipfit.json``."""

    folder: Path
    manifest: Mapping[str, Any]

    @staticmethod
    def open(folder: str | Path) -> Firmware:
        """Raises ChipfitError P002 if the folder is not a compiled model."""
        path = Path(folder)
        return Firmware(path, read_manifest(path))

    @property
    def name(self) -> str:
        return self.manifest["name"]

    @property
    def inputs(self) -> list[TensorInfo]:
        return [_info(d) for d in self.manifest["inputs"]]

    @property
    def outputs(self) -> list[TensorInfo]:
        return [_info(d) for d in self.manifest["outputs"]]

    @property
    def board(self) -> str:
        return self.manifest["board"]

    @property
    def report(self) -> CompileReport:
        """What the compiler said. Raises ChipfitError P002 if the folder does not tell."""
        try:
            return CompileReport.from_json(self.manifest["report"])
        except (KeyError, TypeError, ValueError) as error:
            raise ChipfitError("P002", f"{self.folder} has no report of its compilation", "compile it again") from error

    @property
    def memory(self) -> MemoryReport:
        """Where everything lies in RAM. Raises ChipfitError P002 if the folder does not tell."""
        try:
            return MemoryReport.from_json(json.loads((self.folder / MEMORY_NAME).read_text(encoding="utf-8")))
        except (OSError, KeyError, TypeError, ValueError) as error:
            raise ChipfitError("P002", f"{self.folder} has no memory map", "compile it again") from error

    def run(
        self,
        samples: SampleLike,
        *,
        max_instructions: int = DEFAULT_LIMIT,
        progress: Callable[[int], None] | None = None,
    ) -> RunReport:
        """Run samples one after the other (state, if any, goes on from one to the next, starting fresh).

        ``samples``: see :func:`chipfit.samples.as_samples`. ``progress``: called with instructions done so far.
        Raises ChipfitError I001..I003 for inputs that do not fit, E001..E006 for what goes wrong on the chip.
        """
        chosen = as_samples(samples, self.inputs)
        count = len(chosen)
        stdin = b"".join(np.ascontiguousarray(a).tobytes() for sample in chosen for a in sample)
        started = time.perf_counter()
        if self.manifest["arch"] == "host":
            return self._host_report(stdin, count, started)
        return self._chip_report(stdin, count, started, max_instructions, progress)

    def _host_report(self, stdin: bytes, samples: int, started: float) -> RunReport:
        raw = run_on_host(self.folder / self.manifest["library"], stdin, samples, self.output_bytes)
        return self.report_of(raw, samples, started, "shared library returned", "measured (host)")

    def _chip_report(
        self, stdin: bytes, samples: int, started: float, limit: int, progress: Callable[[int], None] | None
    ) -> RunReport:
        board = board_of_json(self.manifest["target"])
        result = run_elf(
            self.folder / ELF_NAME,
            board,
            stdin=stdin,
            marks=[*self.marks, RUN_END],
            max_instructions=limit,
            progress=progress,
            stack_from=self.manifest["entry"],
        )
        proof = proof_line(self.name, samples, zlib.crc32(result.output))
        check_proof(result, [proof])
        report = self.report_of(result.output, samples, started, proof, MEASURED, result)
        return replace(self.with_cycles(report, result, board), stack_bytes=result.stack_bytes)

    @property
    def marks(self) -> list[str]:
        """The functions whose instructions are those of the model."""
        return [self.manifest["entry"], *(layer["function"] for layer in self.manifest["layers"])]

    def report_of(
        self, raw: bytes, samples: int, started: float, proof: str, how: str, result: MachineResult | None = None
    ) -> RunReport:
        """The report of a run over ``samples`` that put out ``raw``; ``stack_bytes`` is left open."""
        own = set(self.marks)
        counts = {m.name: m for m in result.marks if m.name in own} if result else {}
        runs = max(samples, 1)
        layers = tuple(
            LayerRun(d["name"], d["op"], d["kernel"], _per_run(counts.get(d["function"]), runs), d["macs"])
            for d in self.manifest["layers"]
        )
        total = sum(m.instructions for m in counts.values()) // runs if result else None
        return RunReport(
            model=self.name,
            board=self.board,
            core=self.manifest["core"],
            samples=samples,
            instructions=total,
            macs=sum(layer.macs for layer in layers),
            stack_bytes=None,
            layers=layers,
            seconds=time.perf_counter() - started,
            proof=proof,
            how=how,
            output_info=tuple(self.outputs),
            outputs=_split(raw, self.outputs, samples),
        )

    @property
    def output_bytes(self) -> int:
        """Bytes of all outputs of one sample."""
        return sum(int(np.prod(o.shape)) * np.dtype(o.dtype).itemsize for o in self.outputs)

    def with_cycles(self, report: RunReport, result: MachineResult, board: Board) -> RunReport:
        """The report with what the cycle model says of the run."""
        return _with_cycles(report, self.manifest["layers"], set(self.marks), result, board)


def check_proof(result: MachineResult, expected: Sequence[str]) -> None:
    """Raise ChipfitError E005 unless a run ended well and its last lines are these."""
    lines = result.console.strip().splitlines()[-len(expected) :]
    if result.exit_code != 0 or lines != list(expected):
        raise ChipfitError(
            "E005",
            f"the program ended with exit code {result.exit_code} and '{' '.join(lines)}', "
            f"expected '{' '.join(expected)}'",
            "this is a bug of chipfit: please report it with the model",
        )


def _with_cycles(
    report: RunReport, layers: Sequence[Mapping[str, Any]], marks: set[str], result: MachineResult, board: Board
) -> RunReport:
    estimate = estimate_cycles(result, board)
    if estimate is None:
        return report
    runs = max(report.samples, 1)
    by_mark = {mark.name: cycles for mark, cycles in zip(result.marks, estimate, strict=True)}
    total = sum(cycles for name, cycles in by_mark.items() if name in marks) // runs
    seconds = total / board.clock_hz
    power = board.power
    return replace(
        report,
        layers=tuple(
            replace(layer, cycles=by_mark[entry["function"]] // runs)
            for layer, entry in zip(report.layers, layers, strict=True)
        ),
        cycles=total,
        milliseconds=seconds * 1e3,
        energy_mj=power.run_ma * power.volt * seconds if power else None,
        cycles_how=how_estimated(board, result.elf),
    )


def run_on_host(library: Path, stdin: bytes, samples: int, output_bytes: int) -> bytes:
    """Raw outputs of ``samples`` runs of a host library, state fresh at the start."""
    out = np.zeros(max(1, samples * output_bytes), np.uint8)
    source = np.frombuffer(stdin or b"\0", np.uint8)
    lib = HostLibrary(library)
    if lib.call("chipfit_reset") != 0:
        raise ChipfitError("E005", "the shared library could not be initialised")
    lib.call("chipfit_run", source, out, samples, returns=None)
    return out.tobytes()[: samples * output_bytes]


def board_to_json(board: Board) -> dict[str, Any]:
    """What the emulator must know of a board: a compiled folder keeps it, wherever the board's own file is."""
    return {
        "name": board.name,
        "title": board.title,
        "core": board.core.name,
        "clock_hz": board.clock_hz,
        "memories": [vars(memory) for memory in board.memories],
        "power": vars(board.power) if board.power else None,
        "npu": vars(board.npu) if board.npu else None,
    }


def board_of_json(data: Mapping[str, Any]) -> Board:
    memories = tuple(Memory(**memory) for memory in data["memories"])
    power = Power(**data["power"]) if data["power"] else None
    npu = Npu(**data["npu"]) if data.get("npu") else None  # folders of older versions say nothing of it
    return Board(data["name"], data["title"], load_core(data["core"]), data["clock_hz"], memories, power, npu=npu)


def _per_run(mark: Any, runs: int) -> int | None:
    return mark.instructions // runs if mark is not None else None


def _info(data: Mapping[str, Any]) -> TensorInfo:
    return TensorInfo(data["name"], tuple(data["shape"]), data["dtype"], data["scale"], data["zero_point"])


def _split(raw: bytes, outputs: Sequence[TensorInfo], samples: int) -> tuple[Array, ...]:
    """Raw bytes, sample by sample, as one array per output with a leading axis of samples."""
    sizes = [int(np.prod(o.shape)) * np.dtype(o.dtype).itemsize for o in outputs]
    table = np.frombuffer(raw, np.uint8).reshape(samples, sum(sizes))
    arrays: list[Array] = []
    at = 0
    for info, size in zip(outputs, sizes, strict=True):
        column = np.ascontiguousarray(table[:, at : at + size])
        arrays.append(column.view(np.dtype(info.dtype)).reshape(samples, *info.shape))
        at += size
    return tuple(arrays)
