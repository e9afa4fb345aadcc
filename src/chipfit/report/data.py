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
class PackingInfo:
    """How a layer's weights are stored compressed. Bytes of flash: ``plain``, that its kernel would read, and
    ``packed``; ``parts``: how many times some of them are made, into ``scratch`` bytes of the arena."""

    form: str
    plain: int
    packed: int
    parts: int
    scratch: int


@dataclass(frozen=True)
class LayerInfo:
    """One layer of a compiled model. ``rejected``: kernels that were not taken, each with the reason. ``packing``: None
    where its weights are stored as its kernel reads them."""

    function: str
    name: str
    op: str
    kernel: str
    macs: int
    output: str
    rejected: tuple[tuple[str, str], ...] = ()
    packing: PackingInfo | None = None


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
    """Bytes of RAM. ``arena`` includes ``scratch``; ``lower_bound``: no placement of these steps needs less than it.

    ``unshared``: the largest sum of tensors alive at one layer, which is what the arena would be if none shared memory
    with another one (0 in reports of older versions). ``constants``: those that kernels read from RAM, on chips whose
    flash ordinary loads do not read. ``statics``: other variables of the program; ``stack``: what is reserved;
    ``total``: all of it. ``peak``: the step that needs most; ``why``: also what is alive then.
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
    unshared: int = 0
    constants: int = 0


@dataclass(frozen=True)
class MemoryUse:
    """Bytes of one memory of the board that a program takes. ``setup``: what the application must do before it may be
    used; None: nothing."""

    name: str
    kind: str
    used: int
    size: int
    setup: str | None = None


@dataclass(frozen=True)
class CompileReport:
    """``memories``: where a board has several of a kind, what lies in each. ``weights``: how they were to be stored."""

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
    memories: tuple[MemoryUse, ...] = ()
    weights: str = "plain"

    def to_json(self) -> dict[str, Any]:
        return envelope("chipfit.compile", self)

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> CompileReport:
        """The report again. Raises KeyError, TypeError or ValueError where it is not one of this version."""
        if (data["schema"], data["version"]) != ("chipfit.compile", SCHEMA_VERSION):
            raise ValueError(f"{data['schema']} {data['version']}")
        names = {f.name for f in dataclasses.fields(CompileReport)} - {"weights"}  # which older folders have not
        fields: dict[str, Any] = {name: data[name] for name in names} | {"weights": data.get("weights", "plain")}
        fields |= {
            "inputs": tuple(_tensor_info(d) for d in fields["inputs"]),
            "outputs": tuple(_tensor_info(d) for d in fields["outputs"]),
            "layers": tuple(_layer_info(d) for d in fields["layers"]),
            "flash": Flash(**fields["flash"]),
            "ram": Ram(**fields["ram"]),
            "passes": tuple(fields["passes"]),
            "memories": tuple(MemoryUse(**d) for d in fields["memories"]),
        }
        return CompileReport(**fields)


@dataclass(frozen=True)
class CompileSetReport:
    """Several models compiled together. ``models``: each as far as it can be told apart; ``flash`` and ``ram``: of the
    program, in which ``ram.arena`` is that of all models.

    ``arena_saved``: bytes that all arenas have in common, 0 where each has its own; ``constants_saved``: bytes of
    constants that several models have and that are stored once.
    """

    board: str
    core: str
    folder: str
    models: tuple[CompileReport, ...]
    flash: Flash
    ram: Ram
    shares_arena: bool
    arena_saved: int
    constants_saved: int
    optimize: str
    seconds: float
    compiler: str
    how: str = COMPUTED
    memories: tuple[MemoryUse, ...] = ()
    weights: str = "plain"

    def to_json(self) -> dict[str, Any]:
        data = envelope("chipfit.compile_set", self)
        data["models"] = [model.to_json() for model in self.models]
        return data

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> CompileSetReport:
        """The report again. Raises KeyError, TypeError or ValueError where it is not one of this version."""
        if (data["schema"], data["version"]) != ("chipfit.compile_set", SCHEMA_VERSION):
            raise ValueError(f"{data['schema']} {data['version']}")
        names = {f.name for f in dataclasses.fields(CompileSetReport)} - {"weights"}
        fields: dict[str, Any] = {name: data[name] for name in names} | {"weights": data.get("weights", "plain")}
        fields |= {
            "models": tuple(CompileReport.from_json(d) for d in fields["models"]),
            "flash": Flash(**fields["flash"]),
            "ram": Ram(**fields["ram"]),
            "memories": tuple(MemoryUse(**d) for d in fields["memories"]),
        }
        return CompileSetReport(**fields)


def _tensor_info(data: Mapping[str, Any]) -> TensorInfo:
    fields: dict[str, Any] = {**data, "shape": tuple(data["shape"])}
    return TensorInfo(**fields)


def _layer_info(data: Mapping[str, Any]) -> LayerInfo:
    packing = data.get("packing")
    fields: dict[str, Any] = {
        **data,
        "rejected": tuple((name, reason) for name, reason in data["rejected"]),
        "packing": None if packing is None else PackingInfo(**packing),
    }
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
class RunSetReport:
    """One execution of several models, in turn. ``stack_bytes``: of the whole program; the models' own are unknown."""

    models: tuple[RunReport, ...]
    stack_bytes: int | None
    seconds: float

    def to_json(self) -> dict[str, Any]:
        data = envelope("chipfit.run_set", self, omit=("models",))
        data["models"] = [model.to_json() for model in self.models]
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
