"""What Vela made of a part of a model: a command stream for Arm Ethos-U55 or U65."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar

import numpy as np

from chipfit.errors import ChipfitError
from chipfit.ethosu import READ_ONLY, SCRATCH, SCRATCH_FAST, Rounding, Simulator, Watch, parse_payload
from chipfit.graph import Array, DType, Node, Shape
from chipfit.ops._base import NARROW, Call, Choice, Kernel, Op, Port, Scratch

NPU_FEATURE = "npu"
"""What kernels need of a board that has an NPU."""

MEMORY_ALIGNMENT = 16
"""Bytes: of the stream and of each memory region, which the driver checks."""

_MOST_TENSORS = 32
"""As in ``cf_ethos_u.h``."""


def _few_tensors(node: Node) -> bool | str:
    count = len(node.operands) - 2 + len(node.outputs)
    return count <= _MOST_TENSORS or f"it has {count} inputs and outputs, more than {_MOST_TENSORS}"


@dataclass(frozen=True)
class EthosU(Op):
    """ys = what the command stream makes of xs on the NPU.

    stream: uint8, the payload of the driver; constants: uint8, weights and scales; xs: any. ``input_offsets`` and
    ``output_offsets``: bytes at which xs and ys lie in a working memory of ``scratch`` bytes; ``fast``: bytes of a
    second one, 0: there is none. ``dense``: ``stream`` rounds as the hardware does; ``single`` rounds FULLY_CONNECTED
    once, as newer reference kernels of LiteRT do. Not among the registered operators: a file brings it. In C it calls
    the NPU's driver (``cf_npu_invoke``). Source: Vela's custom operator ``ethos-u``.
    """

    name: ClassVar[str] = "ethos_u"
    inputs: ClassVar[tuple[str, ...]] = ("stream", "constants", "*xs")
    outputs: ClassVar[tuple[str, ...]] = ("*ys",)

    kernels: ClassVar[tuple[Kernel, ...]] = (Kernel("cf_ethos_u", needs=frozenset({NPU_FEATURE}), when=_few_tensors),)

    scratch: int = 0
    fast: int = 0
    input_offsets: tuple[int, ...] = ()
    output_offsets: tuple[int, ...] = ()
    dense: str = "stream"

    def infer(self, node: Node) -> Sequence[Shape]:
        """As the file says: a stream knows bytes, no shapes."""
        counts = (len(self.input_offsets), len(self.output_offsets))
        if counts != (len(node.operands) - 2, len(node.outputs)) or self.dense not in ("stream", "single"):
            raise ChipfitError("G003", f"ethos_u: {counts} places for {len(node.operands) - 2} inputs and outputs")
        tensors = (*node.operands[2:], *node.outputs)
        for value, offset in zip(tensors, (*self.input_offsets, *self.output_offsets), strict=True):
            if offset < 0 or offset + value.type.nbytes > self.scratch:
                raise ChipfitError("G003", f"ethos_u: '{value.name}' lies at {offset} of {self.scratch} bytes")
        return [v.shape for v in node.outputs]

    def check(self, node: Node) -> None:
        stream, constants, *_ = node.operands
        if stream.data is None or constants.data is None or {stream.dtype, constants.dtype} != {DType.UINT8}:
            raise ChipfitError("O002", "its command stream and its weights must be constants")

    def eval_int(self, node: Node, *x: Array) -> Array | tuple[Array, ...]:
        stream, constants, *xs = x
        simulator = _kept_simulator(self, stream.tobytes(), constants.tobytes())
        return tuple(y[0] for y in execute(node, simulator, [x[None] for x in xs]))

    def choose(
        self, node: Node, features: frozenset[str], weight_bytes: float = NARROW, shared: bool = False
    ) -> Choice:
        if NPU_FEATURE not in features:
            raise ChipfitError(
                "O002",
                f"'{node.name}' is a command stream for an NPU, and the board has none",
                "choose a board with an NPU (`chipfit board list`), or compile the model that was given to Vela",
            )
        return super().choose(node, features, weight_bytes, shared)

    def call(self, node: Node) -> Call:
        """The stream, its constants and a working memory, then the inputs and the outputs."""
        tensors = (*node.operands[2:], *node.outputs)
        xs = [Port("xs", i) for i in range(len(node.operands) - 2)]
        ys = [Port("ys", i) for i in range(len(node.outputs))]
        room = MEMORY_ALIGNMENT + -(-self.scratch // MEMORY_ALIGNMENT) * MEMORY_ALIGNMENT + self.fast
        params = {
            "stream_bytes": node.operands[0].type.nbytes,
            "constant_bytes": node.operands[1].type.nbytes,
            "scratch_bytes": self.scratch,
            "fast_bytes": self.fast,
            "inputs": len(xs),
            "outputs": len(ys),
            "offsets": (*self.input_offsets, *self.output_offsets),
            "sizes": tuple(value.type.nbytes for value in tensors),
        }
        return Call([Port("stream"), Port("constants"), Scratch(room), *xs, *ys], params)


@lru_cache(maxsize=8)
def _kept_simulator(op: EthosU, stream: bytes, constants: bytes) -> Simulator:
    """Kept between runs, for what it has unpacked of the weights."""
    return _simulator(op, stream, constants, 1)


def simulator_of(node: Node, runs: int) -> Simulator:
    """A simulator for the stream of an ``ethos_u`` node, for so many runs at once."""
    assert isinstance(node.op, EthosU)
    stream, constants, *_ = node.operands
    return _simulator(node.op, stream.array.tobytes(), constants.array.tobytes(), runs)


def _simulator(op: EthosU, stream: bytes, constants: bytes, runs: int) -> Simulator:
    working = np.zeros((runs, op.scratch), np.uint8)
    regions = {
        READ_ONLY: np.frombuffer(constants, np.uint8),
        SCRATCH: working,
        SCRATCH_FAST: np.zeros((runs, op.fast), np.uint8) if op.fast else working,
    }
    return Simulator(parse_payload(stream), regions, dense=Rounding.NATURAL if op.dense == "single" else None)


def execute(node: Node, simulator: Simulator, xs: Sequence[Array], watch: Watch | None = None) -> list[Array]:
    """Execute the stream of a node: its outputs, (runs, *shape) each.

    ``xs``: (runs, *shape) for each input, as many runs as the simulator is for. ``watch``: told of each operation.
    """
    op, memory = node.op, simulator.memory
    assert isinstance(op, EthosU)
    memory.clear()
    for offset, array in zip(op.input_offsets, xs, strict=True):
        raw = np.ascontiguousarray(array).reshape(memory.runs, -1).view(np.uint8)
        memory.bytes_at(SCRATCH, offset, raw.shape[1], "an input")[...] = raw
    simulator.run(watch)
    return [
        memory.bytes_at(SCRATCH, offset, v.type.nbytes, "an output")
        .copy()
        .view(v.dtype.numpy)
        .reshape(memory.runs, *v.shape)
        for offset, v in zip(op.output_offsets, node.outputs, strict=True)
    ]
