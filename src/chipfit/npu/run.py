"""Files of Vela, taken apart and executed."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from chipfit.errors import ChipfitError
from chipfit.ethosu import ACCELERATORS, Memory, Payload, Registers, Watch, parse_payload, require
from chipfit.ethosu.commands import Command, Operation, commands
from chipfit.ethosu.disassembly import UNITS, Described, describe, disassemble, kind_of
from chipfit.graph import Array, Graph, Node
from chipfit.model import Model, load
from chipfit.npu.compile import differences, info_of, npu_board
from chipfit.npu.execute import Dense, Executor, accelerator_of, stacked, streams_of
from chipfit.npu.report import Counted, NpuInspectReport, NpuRunReport, StreamInfo, TracedOperation
from chipfit.ops.ethos_u import EthosU
from chipfit.samples import Samples


def is_npu_model(model: Model) -> bool:
    """Whether a model holds command streams for an Ethos-U."""
    return bool(streams_of(model.graph))


def npu_file_of(folder: Path) -> Path | None:
    """The file of Vela in a folder that :func:`chipfit.npu.compile_for_npu` wrote; None: it is another folder."""
    try:
        manifest = json.loads((folder / "chipfit.json").read_text(encoding="utf-8"))
        return folder / str(manifest["file"]) if "npu" in manifest else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def inspect_streams(model: Model, *, trace: bool = False) -> NpuInspectReport:
    """What a file of Vela holds. ``trace``: every operation. Raises ChipfitError A001 and A002 for damaged streams."""
    graph = model.graph
    size = None if model.source is None else len(model.source)
    nodes = streams_of(graph) if trace else []
    operations = tuple(_untraced(one) for node in nodes for one in disassemble(_payload(node)))
    return NpuInspectReport(model.name, size, *info_of(graph), _streams(graph), _cpu(graph), operations)


def run_streams(
    model: Model,
    samples: Samples,
    *,
    dense: Dense = "stream",
    trace: bool = False,
    board: str | None = None,
    progress: Callable[[int], None] | None = None,
) -> NpuRunReport:
    """Execute a file of Vela in the simulator, with the processor's operators around the streams.

    ``dense``: the rounding of FULLY_CONNECTED; with ``single`` the report says where it differs from the stream's.
    ``trace``: every operation of the first sample. Raises ChipfitError A002 where ``board`` has another accelerator.
    """
    graph = model.graph
    accelerator = accelerator_of(graph)
    if board is not None:
        require(accelerator, ACCELERATORS[npu_board(board)[1].accelerator])
    inputs = stacked(samples)
    started = time.perf_counter()
    outputs = Executor(graph, dense).run(inputs, progress=progress)
    seconds = time.perf_counter() - started
    plain = outputs if dense == "stream" else Executor(graph).run(inputs, progress=progress)
    return NpuRunReport(
        model=model.name,
        accelerator=accelerator.name,
        samples=len(samples),
        dense=dense,
        streams=_streams(graph),
        cpu=_cpu(graph),
        seconds=seconds,
        roundings=() if dense == "stream" else differences(graph, plain, outputs),
        trace=_traced(graph, [x[:1] for x in inputs], dense) if trace else (),
        output_info=info_of(graph)[1],
        outputs=outputs,
    )


def open_target(target: Path) -> Model:
    """The model of a compiled folder or of a file. Raises ChipfitError P002 for another folder."""
    if not target.is_dir():
        return load(target)
    file = npu_file_of(target)
    if file is None:
        raise ChipfitError("P002", f"{target} is not compiled for an NPU", "compile it with `chipfit compile`")
    return load(file)


# ---------------------------------------------------------------------------------------------------- parts


def _payload(node: Node) -> Payload:
    return parse_payload(node.operands[0].array.tobytes())


def _streams(graph: Graph) -> tuple[StreamInfo, ...]:
    found: list[StreamInfo] = []
    for node in streams_of(graph):
        payload, op = _payload(node), node.op
        assert isinstance(op, EthosU)
        kinds = Counter(kind_of(one) for one in commands(payload.words) if one.operation in UNITS)
        sizes = (op.scratch, op.fast, node.operands[1].type.nbytes)
        found.append(StreamInfo(node.name, payload.accelerator.name, len(payload.words), _counted(kinds), *sizes))
    return tuple(found)


def _cpu(graph: Graph) -> tuple[Counted, ...]:
    return _counted(Counter(node.op.name for node in graph.nodes if not isinstance(node.op, EthosU)))


def _counted(found: Counter[str]) -> tuple[Counted, ...]:
    """The most frequent first, then by name."""
    return tuple(Counted(name, n) for name, n in sorted(found.items(), key=lambda item: (-item[1], item[0])))


def _untraced(one: Described) -> TracedOperation:
    return TracedOperation(one.at, one.kind, one.ifm, one.ifm2, one.ofm, one.details)


@dataclass
class _Recorder:
    """What each operation wrote, in order."""

    operations: list[TracedOperation] = field(default_factory=list[TracedOperation])
    written: list[Array | None] = field(default_factory=list["Array | None"])

    def watch(self, _: Node) -> Watch:
        return self._record

    def _record(self, command: Command, r: Registers, memory: Memory) -> None:
        if command.operation not in UNITS:
            return
        one = _untraced(describe(command, r))
        values = None
        if command.operation != Operation.DMA_START:
            values = memory.read(r.feature_map("OFM"), *r.ofm_shape)
            one = replace(one, low=int(values.min()), high=int(values.max()))
        self.operations.append(one)
        self.written.append(values)


def _traced(graph: Graph, inputs: list[Array], dense: Dense) -> tuple[TracedOperation, ...]:
    """Every operation of one run; with another rounding also how many of the elements it writes differ for it."""
    recorder = _Recorder()
    Executor(graph, dense).run(inputs, watch=recorder.watch)
    if dense == "stream":
        return tuple(recorder.operations)
    plain = _Recorder()
    Executor(graph).run(inputs, watch=plain.watch)
    return tuple(
        one if a is None or b is None else replace(one, differing=int(np.count_nonzero(a != b)))
        for one, a, b in zip(recorder.operations, recorder.written, plain.written, strict=True)
    )
