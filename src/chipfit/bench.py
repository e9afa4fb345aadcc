"""Measure models on emulated boards: the same figures each time, to be held against earlier ones.

Instructions and bytes are exact: a figure that changes, changed because the code did.
"""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from importlib.metadata import version
from pathlib import Path
from typing import Any

from chipfit.build import Aim, Weights
from chipfit.errors import ChipfitError
from chipfit.firmware import Firmware
from chipfit.model import Model
from chipfit.report.data import SCHEMA_VERSION, RunReport, envelope
from chipfit.targets import load_board
from chipfit.verification import FLOAT_TOLERANCE, Outputs, compare_outputs

TOLERANCE = 0.02
"""Instructions may rise by this share before it is a regression; RAM by nothing."""

_RAM = ("arena", "scratch", "state", "ram", "stack")
_SCHEMA = "chipfit.bench"


@dataclass(frozen=True)
class BenchRow:
    """One model on one board; bytes are bytes, instructions and cycles those of one run (the mean over the samples).

    ``problem``: why it could not be measured; the figures are then None. ``identical``: every byte of every output is
    the reference's; ``passed``: good enough for its kind (a float model: within the tolerance). ``ram`` is all of it,
    ``stack_reserved`` included; ``stack`` is what was used of that. ``kernels``: in the order of the layers.
    """

    model: str
    board: str
    core: str
    optimize: str
    samples: int
    macs: int
    problem: str | None = None
    identical: bool | None = None
    passed: bool | None = None
    instructions: int | None = None
    cycles: int | None = None
    milliseconds: float | None = None
    cycles_how: str | None = None
    flash_code: int | None = None
    flash_weights: int | None = None
    flash_tables: int | None = None
    flash: int | None = None
    arena: int | None = None
    scratch: int | None = None
    state: int | None = None
    ram: int | None = None
    stack_reserved: int | None = None
    stack: int | None = None
    compile_seconds: float | None = None
    kernels: tuple[str, ...] = ()

    @property
    def key(self) -> tuple[str, str, str]:
        return self.model, self.board, self.optimize

    @property
    def instructions_per_mac(self) -> float | None:
        return self.instructions / self.macs if self.instructions is not None and self.macs else None

    @property
    def cycles_per_mac(self) -> float | None:
        return self.cycles / self.macs if self.cycles is not None and self.macs else None

    @property
    def flash_less_weights(self) -> int | None:
        return self.flash - self.flash_weights if self.flash is not None and self.flash_weights is not None else None


@dataclass(frozen=True)
class BenchReport:
    """``compiler``: name and version, without which figures of two reports cannot be compared exactly."""

    rows: tuple[BenchRow, ...]
    compiler: str

    @property
    def passed(self) -> bool:
        """Whether every row that could be measured gave the reference's outputs."""
        return all(row.passed for row in self.rows if row.problem is None)

    def row(self, key: tuple[str, str, str]) -> BenchRow | None:
        return next((row for row in self.rows if row.key == key), None)

    def to_json(self) -> dict[str, Any]:
        data = envelope(_SCHEMA, self)
        for entry, row in zip(data["rows"], self.rows, strict=True):
            entry["instructions_per_mac"] = row.instructions_per_mac
            entry["cycles_per_mac"] = row.cycles_per_mac
        return data

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> BenchReport:
        """The report again. Raises ChipfitError U001 where it is not one of this version."""
        names = {field.name for field in fields(BenchRow)}
        try:
            if (data["schema"], data["version"]) != (_SCHEMA, SCHEMA_VERSION):
                raise ValueError(f"{data['schema']} version {data['version']}")
            rows = tuple(_row({k: v for k, v in entry.items() if k in names}) for entry in data["rows"])
            return BenchReport(rows, data["compiler"])
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            hint = "write one with `chipfit bench -o FILE`"
            raise ChipfitError("U001", f"this is no benchmark of version {SCHEMA_VERSION}: {error}", hint) from error


def _row(entry: dict[str, Any]) -> BenchRow:
    values: dict[str, Any] = {**entry, "kernels": tuple(entry["kernels"])}
    return BenchRow(**values)


def bench(
    models: Sequence[Model],
    boards: Sequence[str],
    *,
    samples: int = 1,
    seed: int = 0,
    optimize: Aim = "balanced",
    weights: Weights = "plain",
    progress: Callable[[str], None] | None = None,
) -> BenchReport:
    """Compile every model for every board, run it over random inputs, and hold the outputs against the reference.

    A model that does not fit a board, or that its core has no kernel for, is a row with the reason. ``optimize`` and
    ``weights`` are handed to :meth:`chipfit.Model.compile`. ``progress`` is told what is done now.
    """
    rows: list[BenchRow] = []
    for model in models:
        inputs = model.samples(samples, seed)
        if progress:
            progress(f"{model.name}: the reference runs")
        expected = model.run_samples(inputs)
        for board in boards:
            if progress:
                progress(f"{model.name} on {board}")
            blank = BenchRow(model.name, board, load_board(board).core.name, optimize, samples, model.macs)
            with tempfile.TemporaryDirectory(prefix="chipfit-bench-") as folder:
                try:
                    firmware = model.compile(board, Path(folder) / "firmware", optimize=optimize, weights=weights)
                except ChipfitError as error:
                    if error.code not in ("M001", "O002", "A003", "A004"):
                        raise
                    rows.append(dataclasses.replace(blank, problem=error.message))
                    continue
                rows.append(_measured(blank, firmware, firmware.run(inputs), expected, model.is_float))
    return BenchReport(tuple(rows), compiler_name())


def compiler_name() -> str:
    """The compiler that benchmarks use, with its version."""
    return f"zig cc {version('ziglang')}"


def _measured(blank: BenchRow, firmware: Firmware, run: RunReport, expected: Outputs, is_float: bool) -> BenchRow:
    compiled = firmware.report
    ram, flash = compiled.ram, compiled.flash
    outcome = compare_outputs(blank.board, expected, run.outputs, FLOAT_TOLERANCE if is_float else 0.0)
    return dataclasses.replace(
        blank,
        identical=outcome.identical,
        passed=outcome.passed,
        instructions=run.instructions,
        cycles=run.cycles,
        milliseconds=run.milliseconds,
        cycles_how=run.cycles_how,
        flash_code=flash.code,
        flash_weights=flash.weights,
        flash_tables=flash.tables,
        flash=flash.total,
        arena=ram.arena,
        scratch=ram.scratch,
        state=ram.state,
        ram=ram.total,
        stack_reserved=ram.stack,
        stack=run.stack_bytes,
        compile_seconds=round(compiled.seconds, 2),
        kernels=tuple(layer.kernel for layer in compiled.layers),
    )


# ---------------------------------------------------------------------------------------------- comparison


@dataclass(frozen=True)
class Change:
    """A figure of one row, before and after. ``is_regression``: it must not have become that much larger."""

    key: tuple[str, str, str]
    figure: str
    before: int
    after: int

    @property
    def share(self) -> float | None:
        """The change as a share of what was before; None where that was nothing."""
        return self.after / self.before - 1 if self.before else None

    @property
    def is_regression(self) -> bool:
        if self.figure in _RAM:
            return self.after > self.before
        return self.figure == "instructions" and self.after > self.before * (1 + TOLERANCE)

    def __str__(self) -> str:
        model, board, optimize = self.key
        percent = "" if self.share is None else f" ({100 * self.share:+.2f}%)"
        unit = "" if self.figure in ("instructions", "cycles") else " B"
        return f"{model} on {board}, {optimize}: {self.figure} {self.before:,}{unit} -> {self.after:,}{unit}{percent}"


def changes(before: BenchReport, after: BenchReport) -> list[Change]:
    """What differs in the rows that both reports have measured."""
    result: list[Change] = []
    for row in after.rows:
        earlier = before.row(row.key)
        for figure in ("instructions", "cycles", "flash", *_RAM):
            new, old = getattr(row, figure), getattr(earlier, figure, None)
            if new is not None and old is not None and new != old:
                result.append(Change(row.key, figure, old, new))
    return result


def failures(before: BenchReport | None, after: BenchReport) -> list[str]:
    """Why a benchmark is not good: outputs that differ, and what became worse since an earlier one."""
    result = [f"{row.model} on {row.board}: outputs differ" for row in after.rows if row.passed is False]
    if before is not None:
        result += [str(change) for change in changes(before, after) if change.is_regression]
        for row in after.rows:
            earlier = before.row(row.key)
            if row.problem is not None and earlier is not None and earlier.problem is None:
                result.append(f"{row.model} on {row.board}: {row.problem}; it was measured before")
    return result
