"""What chipfit reports, as dataclasses. ``to_json`` gives the documented, versioned form (docs/json.md).

Bytes are bytes, never KiB; unknown is None, never 0; every figure says how it was obtained (``how``).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from chipfit.graph import Array, Value

SCHEMA_VERSION = 1
MEASURED = "measured (emulator)"
COMPUTED = "computed (compiler)"


@dataclass(frozen=True)
class TensorInfo:
    """An input or output as the user sees it. ``scale`` and ``zero_point`` are None where there are none."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    scale: float | None = None
    zero_point: int | None = None

    @staticmethod
    def of(value: Value) -> TensorInfo:
        q = value.type.quant
        if q is None or q.axis is not None or value.dtype.is_float:
            return TensorInfo(value.name, value.shape, value.dtype.value)
        return TensorInfo(value.name, value.shape, value.dtype.value, q.s, q.zp)


@dataclass(frozen=True)
class LayerInfo:
    """One layer of a compiled model. ``rejected``: kernels that were not taken, each with the reason."""

    function: str
    name: str
    op: str
    kernel: str
    macs: int
    output: str
    rejected: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Flash:
    """Bytes of flash: machine code, the model's constants, its tables; ``available`` on the board."""

    code: int | None
    weights: int
    tables: int | None
    total: int | None
    available: int | None


@dataclass(frozen=True)
class Ram:
    """Bytes of RAM. ``arena`` includes ``scratch``; ``lower_bound``: no plan of this graph needs less than it.

    ``statics``: other variables of the program; ``stack``: what is reserved; ``total``: all of it. ``peak``: the step
    that needs most; ``why``: also what is alive then.
    """

    arena: int
    lower_bound: int
    scratch: int
    state: int
    statics: int | None
    stack: int | None
    total: int | None
    available: int | None
    peak: str = ""
    why: str = ""


@dataclass(frozen=True)
class CompileReport:
    model: str
    board: str
    core: str
    folder: str
    inputs: tuple[TensorInfo, ...]
    outputs: tuple[TensorInfo, ...]
    layers: tuple[LayerInfo, ...]
    macs: int
    flash: Flash
    ram: Ram
    passes: tuple[str, ...]
    optimize: str
    input_preserved: bool
    seconds: float
    compiler: str
    how: str = COMPUTED

    def to_json(self) -> dict[str, Any]:
        return envelope("chipfit.compile", self)

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> CompileReport:
        """The report again. Raises KeyError, TypeError or ValueError where it is not one of this version."""
        if (data["schema"], data["version"]) != ("chipfit.compile", SCHEMA_VERSION):
            raise ValueError(f"{data['schema']} {data['version']}")
        fields: dict[str, Any] = {f.name: data[f.name] for f in dataclasses.fields(CompileReport)}
        fields |= {
            "inputs": tuple(_tensor_info(d) for d in fields["inputs"]),
            "outputs": tuple(_tensor_info(d) for d in fields["outputs"]),
            "layers": tuple(_layer_info(d) for d in fields["layers"]),
            "flash": Flash(**fields["flash"]),
            "ram": Ram(**fields["ram"]),
            "passes": tuple(fields["passes"]),
        }
        return CompileReport(**fields)


def _tensor_info(data: Mapping[str, Any]) -> TensorInfo:
    fields: dict[str, Any] = {**data, "shape": tuple(data["shape"])}
    return TensorInfo(**fields)


def _layer_info(data: Mapping[str, Any]) -> LayerInfo:
    fields: dict[str, Any] = {**data, "rejected": tuple((name, reason) for name, reason in data["rejected"])}
    return LayerInfo(**fields)


@dataclass(frozen=True)
class LayerRun:
    """Instructions of one layer in one run: the mean over the samples. ``cycles`` is an estimate."""

    name: str
    op: str
    kernel: str
    instructions: int | None
    macs: int
    cycles: int | None = None


@dataclass(frozen=True)
class RunReport:
    """One execution over ``samples`` inputs. Instructions are those of one run: the mean over the samples.

    ``cycles``, and from them ``milliseconds`` at the board's clock and ``energy_mj`` at the current it states, are
    estimates; ``cycles_how`` says what they assume. None: unknown.
    """

    model: str
    board: str
    core: str
    samples: int
    instructions: int | None
    macs: int
    stack_bytes: int | None
    layers: tuple[LayerRun, ...]
    seconds: float
    proof: str
    how: str
    output_info: tuple[TensorInfo, ...]
    outputs: tuple[Array, ...] = field(repr=False)
    cycles: int | None = None
    milliseconds: float | None = None
    energy_mj: float | None = None
    cycles_how: str | None = None

    @property
    def cycles_per_mac(self) -> float | None:
        return self.cycles / self.macs if self.cycles is not None and self.macs else None

    @property
    def instructions_per_mac(self) -> float | None:
        return self.instructions / self.macs if self.instructions is not None and self.macs else None

    def to_json(self) -> dict[str, Any]:
        data = envelope("chipfit.run", self, omit=("outputs", "output_info"))
        data["instructions_per_mac"] = self.instructions_per_mac
        data["cycles_per_mac"] = self.cycles_per_mac
        data["outputs"] = [
            {**dataclasses.asdict(info), "values": array.tolist()}
            for info, array in zip(self.output_info, self.outputs, strict=True)
        ]
        return data


@dataclass(frozen=True)
class Comparison:
    """One execution held against the reference. ``identical``: every byte equal; ``passed``: good enough for its kind
    (integer models: identical; float models: ``max_error`` within the tolerance)."""

    against: str
    identical: bool
    passed: bool
    max_error: float
    first_difference: str | None = None
    skipped: str | None = None


@dataclass(frozen=True)
class VerifyReport:
    model: str
    samples: int
    tolerance: float
    comparisons: tuple[Comparison, ...]

    @property
    def identical(self) -> bool:
        ran = [c for c in self.comparisons if c.skipped is None]
        return bool(ran) and all(c.identical for c in ran)

    @property
    def passed(self) -> bool:
        """Whether something ran and all that ran is good enough."""
        ran = [c for c in self.comparisons if c.skipped is None]
        return bool(ran) and all(c.passed for c in ran)

    def to_json(self) -> dict[str, Any]:
        data = envelope("chipfit.verify", self)
        data["identical"] = self.identical
        data["passed"] = self.passed
        data["against"] = [c.against for c in self.comparisons if c.skipped is None]
        return data


def envelope(schema: str, report: Any, omit: tuple[str, ...] = ()) -> dict[str, Any]:
    """The JSON form of a report: the schema's name and version, then the fields of the dataclass."""
    fields = {f.name: plain(getattr(report, f.name)) for f in dataclasses.fields(report) if f.name not in omit}
    return {"schema": schema, "version": SCHEMA_VERSION, **fields}


def plain(value: Any) -> Any:
    """Dataclasses as dictionaries and tuples as lists, all the way down."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, (tuple, list)):
        return [plain(v) for v in value]  # pyright: ignore[reportUnknownVariableType]
    return value
