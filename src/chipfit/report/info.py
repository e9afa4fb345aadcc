"""What chipfit says of models, operators, boards and this computer, as dataclasses (docs/json.md has their JSON)."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from chipfit.errors import ErrorCode
from chipfit.plan import PlanInfo
from chipfit.report.data import SCHEMA_VERSION, Flash, Ram, TensorInfo, envelope


@dataclass(frozen=True)
class LayerSummary:
    """One layer as it is in the model. ``params``: elements of its constants."""

    name: str
    op: str
    output: str
    params: int
    macs: int


@dataclass(frozen=True)
class ArenaSummary:
    """RAM for activations with portable kernels, in bytes.

    ``peak``: the step that needs most; ``why``: also what is alive then.
    """

    bytes: int
    lower_bound: int
    scratch: int
    state: int
    peak: str
    why: str


@dataclass(frozen=True)
class InspectReport:
    """A model at a glance. ``params`` counts a constant that several layers share once.

    ``arena`` is None where a layer has no portable kernel; ``arena_unknown`` then says which.
    """

    model: str
    format: str | None
    file_bytes: int | None
    inputs: tuple[TensorInfo, ...]
    outputs: tuple[TensorInfo, ...]
    layers: tuple[LayerSummary, ...]
    params: int
    params_bytes: int
    macs: int
    is_float: bool
    arena: ArenaSummary | None
    arena_unknown: str | None
    passes: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        return envelope("chipfit.inspect", self)


def options_of(optimize: str, preserve_input: bool, input_rows: bool) -> tuple[str, ...]:
    """How a plan is asked for on the command line."""
    keep = ("--preserve-input",) if preserve_input else ()
    return ("--optimize", optimize, *keep, *(("--input", "rows") if input_rows else ()))


@dataclass(frozen=True)
class Alternative:
    """What would make the arena ``arena`` bytes. ``options``: of the command line; empty where there is no option."""

    text: str
    arena: int
    options: tuple[str, ...] = ()


@dataclass(frozen=True)
class MemoryReport:
    """Where everything lies in RAM, and what would need less."""

    model: str
    board: str
    optimize: str
    preserve_input: bool
    input_rows: bool
    plan: PlanInfo
    alternatives: tuple[Alternative, ...] = ()

    @property
    def options(self) -> tuple[str, ...]:
        return options_of(self.optimize, self.preserve_input, self.input_rows)

    @property
    def title(self) -> str:
        return f"{self.model} on {self.board}, {' '.join(self.options)}: {self.plan.arena:,} B"

    def to_json(self) -> dict[str, Any]:
        return envelope("chipfit.memory", self)

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> MemoryReport:
        """The report again. Raises KeyError, TypeError or ValueError where it is not one of this version."""
        if (data["schema"], data["version"]) != ("chipfit.memory", SCHEMA_VERSION):
            raise ValueError(f"{data['schema']} {data['version']}")
        fields: dict[str, Any] = {f.name: data[f.name] for f in dataclasses.fields(MemoryReport)}
        others = (Alternative(d["text"], d["arena"], tuple(d["options"])) for d in fields["alternatives"])
        fields |= {"plan": PlanInfo.from_plain(fields["plan"]), "alternatives": tuple(others)}
        return MemoryReport(**fields)


@dataclass(frozen=True)
class KernelInfo:
    """One C kernel of an operator. ``types``: pairs of element types (first input, output); empty: any, it moves bytes.

    ``needs``: core features. ``conditional``: whether it also looks at the layer itself.
    """

    name: str
    types: tuple[tuple[str, str], ...]
    needs: tuple[str, ...]
    conditional: bool


@dataclass(frozen=True)
class OpInfo:
    """One operator. ``tflite``: the builtin operators that become it. ``dtypes``: of its first input or output."""

    name: str
    tflite: tuple[str, ...]
    summary: str
    text: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: tuple[tuple[str, str], ...]
    dtypes: tuple[str, ...]
    kernels: tuple[KernelInfo, ...]
    is_view: bool


@dataclass(frozen=True)
class OpReport:
    """What ``chipfit op`` shows."""

    ops: tuple[OpInfo, ...]

    def to_json(self) -> dict[str, Any]:
        return envelope("chipfit.op", self)


@dataclass(frozen=True)
class MemoryInfo:
    """One memory of a board, in bytes. ``wait_states`` is None where unknown; ``setup`` is what the application must do
    before it may be used, None: nothing."""

    name: str
    kind: str
    origin: int
    size: int
    wait_states: int | None
    setup: str | None = None


@dataclass(frozen=True)
class BoardInfo:
    """One board. ``clock_hz``, ``run_ma`` and ``volt`` are None where unknown."""

    name: str
    title: str
    core: str
    core_title: str
    arch: str
    bits: int
    features: tuple[str, ...]
    clock_hz: int | None
    memories: tuple[MemoryInfo, ...]
    run_ma: float | None
    volt: float | None
    frameworks: tuple[str, ...]
    emulated: bool


@dataclass(frozen=True)
class BoardReport:
    """What ``chipfit board`` shows."""

    boards: tuple[BoardInfo, ...]

    def to_json(self) -> dict[str, Any]:
        return envelope("chipfit.board", self)


@dataclass(frozen=True)
class Check:
    """One thing that chipfit uses. ``found``: its version or path, None if it is not there."""

    name: str
    purpose: str
    required: bool
    ok: bool
    found: str | None
    install: str


@dataclass(frozen=True)
class DoctorReport:
    """What ``chipfit doctor`` found."""

    checks: tuple[Check, ...]

    @property
    def ok(self) -> bool:
        """Whether all that is required is there."""
        return all(check.ok for check in self.checks if check.required)

    def to_json(self) -> dict[str, Any]:
        return {**envelope("chipfit.doctor", self), "ok": self.ok}


@dataclass(frozen=True)
class Explanation:
    """One error code."""

    code: str
    title: str
    text: str


@dataclass(frozen=True)
class ExplainReport:
    """What ``chipfit explain`` shows."""

    codes: tuple[Explanation, ...]

    @staticmethod
    def of(codes: Mapping[str, ErrorCode]) -> ExplainReport:
        return ExplainReport(tuple(Explanation(code, entry.title, entry.text) for code, entry in codes.items()))

    def to_json(self) -> dict[str, Any]:
        return envelope("chipfit.explain", self)


@dataclass(frozen=True)
class DemoReport:
    """The demo network on a board. ``correct`` and ``float_correct``: of ``samples`` pictures.

    ``identical``: all ``compared_bytes`` of output equal those of the integer reference.
    """

    board: str
    core: str
    samples: int
    correct: int
    float_correct: int
    identical: bool
    compared_bytes: int
    instructions: int | None
    macs: int
    stack_bytes: int | None
    flash: Flash
    ram: Ram
    proof: str
    how: str

    def to_json(self) -> dict[str, Any]:
        return envelope("chipfit.demo", self)
