"""What chipfit says of models for an NPU, as dataclasses (docs/ethos-u.md has their JSON)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from chipfit.graph import Array
from chipfit.report.data import TensorInfo, envelope, plain

ESTIMATED = "estimated (Vela)"
SIMULATED = "computed (simulator)"


@dataclass(frozen=True)
class CpuOperator:
    """An operator that stays on the processor. ``reasons``: Vela's, in its words; ``rewrite``: what would move it."""

    op: str
    output: str
    reasons: tuple[str, ...]
    rewrite: str


@dataclass(frozen=True)
class Change:
    """A rewrite of the model that keeps its bytes. ``before`` and ``after``: operators on the processor."""

    name: str
    text: str
    before: int
    after: int


@dataclass(frozen=True)
class NpuMemory:
    """``name``: Vela's; ``place``: the board's memory, of ``size`` bytes; None: unknown.

    ``peak``: the most bytes in use; ``cycles``: of all accesses.
    """

    name: str
    place: str | None
    peak: int
    size: int | None
    cycles: int

    @property
    def fits(self) -> bool:
        return self.size is None or self.peak <= self.size


@dataclass(frozen=True)
class Placement:
    """Where a model's operators run. ``npu``: as Vela counts them, after its own rewrites; ``cpu``: on the processor.

    ``left``: why these are left; ``cycles``: of one run, of the NPU, at ``clock_hz``; ``flash``: bytes of the file, of
    which ``constants`` are weights, scales and tables; ``weights`` and ``encoded``: bytes of weights before and after
    Vela's compression.
    """

    npu: int
    cpu: int
    left: tuple[CpuOperator, ...]
    cycles: int
    clock_hz: int
    memories: tuple[NpuMemory, ...]
    flash: int
    constants: int
    weights: int
    encoded: int

    @property
    def milliseconds(self) -> float:
        return 1000 * self.cycles / self.clock_hz

    @property
    def sram(self) -> int:
        """Bytes of SRAM at the peak."""
        return sum(m.peak for m in self.memories if m.name == "Sram")

    @property
    def fits(self) -> bool:
        return all(m.fits for m in self.memories)

    def to_json(self) -> dict[str, Any]:
        figures = {"milliseconds": self.milliseconds, "per_second": 1000 / self.milliseconds, "sram": self.sram}
        return {**plain(self), **figures, "fits": self.fits}


@dataclass(frozen=True)
class Proof:
    """The stream in the simulator against the integer reference, over random samples.

    ``differing``: of ``elements``.
    """

    samples: int
    elements: int
    differing: int
    how: str = SIMULATED

    @property
    def identical(self) -> bool:
        return self.elements > 0 and self.differing == 0


@dataclass(frozen=True)
class RoundingDifference:
    """One output under both roundings. ``largest``: the largest difference between elements."""

    output: str
    elements: int
    differing: int
    largest: float


@dataclass(frozen=True)
class NpuCheckReport:
    """Where the operators of a model would run on a board's NPU. ``before``: as the model is; ``after``: with
    ``changes``, None where none was asked for or none helps."""

    model: str
    board: str
    accelerator: str
    vela: str
    inputs: tuple[TensorInfo, ...]
    outputs: tuple[TensorInfo, ...]
    before: Placement
    changes: tuple[Change, ...] = ()
    after: Placement | None = None
    how: str = ESTIMATED

    @property
    def placement(self) -> Placement:
        return self.after or self.before

    def to_json(self) -> dict[str, Any]:
        return {**envelope("chipfit.npu_check", self, ("before", "after")), **_placements(self)}


@dataclass(frozen=True)
class NpuCompileReport:
    """A model compiled for an NPU. ``folder`` and ``file``: where it was written.

    ``products``: multipliers of MUL in the stream that were set from Vela's to the reference's;
    ``proof``: that the stream computes what the model says; ``roundings``: where LiteRT's newer FULLY_CONNECTED would
    give other elements.
    """

    model: str
    board: str
    accelerator: str
    vela: str
    folder: str
    file: str
    inputs: tuple[TensorInfo, ...]
    outputs: tuple[TensorInfo, ...]
    before: Placement
    changes: tuple[Change, ...]
    after: Placement | None
    products: int
    proof: Proof
    roundings: tuple[RoundingDifference, ...]
    optimize: str
    seconds: float
    how: str = ESTIMATED

    @property
    def placement(self) -> Placement:
        return self.after or self.before

    def to_json(self) -> dict[str, Any]:
        data = {**envelope("chipfit.npu_compile", self, ("before", "after")), **_placements(self)}
        data["proof"]["identical"] = self.proof.identical
        return data


def _placements(report: NpuCheckReport | NpuCompileReport) -> dict[str, Any]:
    return {"before": report.before.to_json(), "after": report.after.to_json() if report.after else None}


@dataclass(frozen=True)
class TracedOperation:
    """One operation of a stream, as :class:`chipfit.ethosu.disassembly.Described`.

    ``low`` and ``high``: of what it wrote in the first run, None where it was not run, or where it copied.
    """

    at: int
    kind: str
    ifm: str
    ifm2: str
    ofm: str
    details: tuple[str, ...]
    low: int | None = None
    high: int | None = None
    differing: int = 0
    """Elements that differ between both roundings."""


@dataclass(frozen=True)
class Counted:
    """How often there is something of a name."""

    name: str
    count: int


@dataclass(frozen=True)
class StreamInfo:
    """A command stream in a model. ``words``: of 32 bits; ``operations``: how often each kind is done.

    ``memory``: bytes of its working memory; ``fast``: of a second one; ``constants``: of weights and scales.
    """

    name: str
    accelerator: str
    words: int
    operations: tuple[Counted, ...]
    memory: int
    fast: int
    constants: int


@dataclass(frozen=True)
class NpuInspectReport:
    """A file of Vela. ``streams``: for the NPU; ``cpu``: the operators around them, by name."""

    model: str
    file_bytes: int | None
    inputs: tuple[TensorInfo, ...]
    outputs: tuple[TensorInfo, ...]
    streams: tuple[StreamInfo, ...]
    cpu: tuple[Counted, ...]
    trace: tuple[TracedOperation, ...]

    def to_json(self) -> dict[str, Any]:
        return envelope("chipfit.npu_inspect", self)


@dataclass(frozen=True)
class NpuRunReport:
    """A file of Vela, executed. ``seconds``: on this computer.

    ``dense``: the rounding; ``roundings``: what the other one changes, empty unless it was asked for.
    """

    model: str
    accelerator: str
    samples: int
    dense: str
    streams: tuple[StreamInfo, ...]
    cpu: tuple[Counted, ...]
    seconds: float
    roundings: tuple[RoundingDifference, ...]
    trace: tuple[TracedOperation, ...]
    output_info: tuple[TensorInfo, ...]
    outputs: tuple[Array, ...] = field(repr=False)
    how: str = SIMULATED

    def to_json(self) -> dict[str, Any]:
        data = envelope("chipfit.npu_run", self, omit=("outputs", "output_info"))
        data["outputs"] = [
            {**plain(info), "values": array.tolist()}
            for info, array in zip(self.output_info, self.outputs, strict=True)
        ]
        return data
