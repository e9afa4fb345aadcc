"""Models compiled for a board's Ethos-U: through Vela, rewritten where asked for, and proven in the simulator."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from chipfit.codegen import staged_folder, write_files
from chipfit.codegen.project import MANIFEST_VERSION
from chipfit.errors import ChipfitError
from chipfit.ethosu import ACCELERATORS, require
from chipfit.exporters import to_tflite
from chipfit.graph import Array, Graph
from chipfit.model import Model, load
from chipfit.npu.execute import Executor, accelerator_of, stacked, streams_of
from chipfit.npu.explain import explained
from chipfit.npu.fix import FIXES, same_bytes
from chipfit.npu.products import with_exact_products
from chipfit.npu.report import (
    Change,
    NpuCheckReport,
    NpuCompileReport,
    NpuMemory,
    Placement,
    Proof,
    RoundingDifference,
)
from chipfit.npu.vela import Aim, Compiled, compile_with_vela
from chipfit.ops.scan import Scan
from chipfit.report.data import TensorInfo, plain
from chipfit.samples import Samples
from chipfit.targets import Board, Npu, load_board

PROOFS = 4
"""Random samples of a proof unless asked otherwise."""

Goal = Literal["balanced", "speed", "size", "ram"]
_AIMS: dict[Goal, Aim] = {"balanced": "Performance", "speed": "Performance", "size": "Size", "ram": "Size"}

Progress = Callable[[str], None]


@dataclass(frozen=True, eq=False)
class _Made:
    """A model, and what Vela made of it. ``products``: multipliers that were then set to the reference's."""

    model: Model
    compiled: Compiled
    placement: Placement
    products: int


@dataclass(frozen=True, eq=False)
class NpuModel:
    """A model as Vela made it: command streams, and the core's operators around them.

    ``vela``: its version; ``placement``: where operators run, and Vela's figures. Both are None where the model came as
    a file of Vela.
    """

    model: Model
    accelerator: str
    vela: str | None = None
    placement: Placement | None = None


def check_for_npu(
    model: Model, board: str | Board, *, fix: bool = False, optimize: Goal = "balanced", sram_bytes: int | None = None
) -> NpuCheckReport:
    """Say where the operators of a model would run, and why not on the NPU; nothing is written.

    Errors as :func:`compile_for_npu`.
    """
    target, npu = npu_board(board)
    made, changes, first = _through_vela(model, target, npu, fix, _AIMS[optimize], sram_bytes, None)
    ports = tuple(made.model.inputs), tuple(made.model.outputs)
    after = made.placement if changes else None
    return NpuCheckReport(
        model.name, target.name, npu.accelerator, made.compiled.version, *ports, first, changes, after
    )


def compile_for_npu(
    model: Model,
    board: str | Board,
    folder: str | Path | None = None,
    *,
    fix: bool = False,
    optimize: Goal = "balanced",
    sram_bytes: int | None = None,
    samples: Samples | int = PROOFS,
    force: bool = False,
    progress: Progress | None = None,
) -> NpuCompileReport:
    """Compile an int8 or int16 model for a board's Ethos-U into a folder: ``<model>_vela.tflite`` and ``chipfit.json``.

    Recurrent layers are unrolled. ``fix``: rewrite what keeps operators from the NPU, where that keeps the bytes;
    ``optimize``: ``size`` and ``ram`` let Vela aim at little SRAM; ``sram_bytes``: what activations may take;
    ``samples``: those of the proof that the stream computes what the model says. Raises ChipfitError A004 for a float
    model, M001 where it does not fit, V001 where the proof fails; U001 for a board without an NPU; as
    :func:`chipfit.npu.compile_with_vela` and :func:`chipfit.codegen.staged_folder`.
    """
    say = progress or (lambda _: None)
    started = time.perf_counter()
    target, npu = npu_board(board)
    made, changes, first = _through_vela(model, target, npu, fix, _AIMS[optimize], sram_bytes, say)
    _require_room(made, target)
    say("the simulator runs")
    chosen = made.model.samples(samples) if isinstance(samples, int) else samples
    proof, roundings = _proven(made, chosen)
    path = Path(folder) if folder is not None else Path(f"{model.name}-{target.name}")
    file = f"{model.name}_vela.tflite"
    report = NpuCompileReport(
        model=model.name,
        board=target.name,
        accelerator=npu.accelerator,
        vela=made.compiled.version,
        folder=str(path),
        file=file,
        inputs=tuple(made.model.inputs),
        outputs=tuple(made.model.outputs),
        before=first,
        changes=changes,
        products=made.products,
        after=made.placement if changes else None,
        proof=proof,
        roundings=roundings,
        optimize=optimize,
        seconds=time.perf_counter() - started,
    )
    with staged_folder(path, force=force) as staging:
        (staging / file).write_bytes(made.compiled.tflite)
        write_files(staging, {}, _manifest(report, target))
    return report


def npu_model(model: Model, board: str | Board, *, optimize: Goal = "balanced") -> NpuModel:
    """The model as C calls it on a board with an NPU: compiled by Vela, unless it is a file of Vela already.

    Errors as :func:`compile_for_npu`; A002 for streams of another accelerator. The streams are not run.
    """
    target, npu = npu_board(board)
    if streams_of(model.graph):
        accelerator = accelerator_of(model.graph)
        require(accelerator, ACCELERATORS[npu.accelerator])
        return NpuModel(model, accelerator.name)
    made, _, _ = _through_vela(model, target, npu, False, _AIMS[optimize], None, None)
    _require_room(made, target)
    found = load(made.compiled.tflite, name=model.name)
    return NpuModel(
        replace(found, passes=(*made.model.passes, f"Vela {made.compiled.version}: command streams")),
        npu.accelerator,
        made.compiled.version,
        made.placement,
    )


def run_for_npu(model: Model, board: str | Board, samples: Samples) -> tuple[Array, ...]:
    """What the stream that Vela makes of a model gives in the simulator: (samples, *shape) for each output.

    The model is unrolled, not rewritten. Errors as :func:`npu_model`.
    """
    return Executor(npu_model(model, board).model.graph).run(stacked(samples))


def npu_board(board: str | Board) -> tuple[Board, Npu]:
    """A board that has an NPU. Raises ChipfitError U001 for one without."""
    target = load_board(board) if isinstance(board, str) else board
    if target.npu is None:
        raise ChipfitError("U001", f"the board '{target.name}' has no NPU", "try corstone-300-u55-128")
    return target, target.npu


def with_unrolled_loops(model: Model) -> Model:
    """A model without SCANs: Vela knows no loops. The integers stay the same."""
    if any(isinstance(node.op, Scan) for node in model.graph.nodes):
        return model.recurrent("unroll")
    return model


# ---------------------------------------------------------------------------------------------------- parts


def _through_vela(
    model: Model, board: Board, npu: Npu, fix: bool, aim: Aim, sram: int | None, say: Progress | None
) -> tuple[_Made, tuple[Change, ...], Placement]:
    """What is made of the model in the end, what was changed for it, and where operators were before that."""
    if not model.is_integer:
        raise ChipfitError(
            "A004",
            f"'{model.name}' computes on real numbers, an Ethos-U on integers of 8 and 16 bits",
            "quantize it first: `chipfit quantize MODEL --data SAMPLES -o NAME.tflite`",
        )
    say = say or (lambda _: None)
    model = with_unrolled_loops(model)

    def make(one: Model) -> _Made:
        say("Vela compiles")
        compiled = compile_with_vela(one.source or to_tflite(one.graph), npu, aim=aim, sram_bytes=sram)
        tflite, products = with_exact_products(compiled.tflite, one.graph)
        return _Made(one, replace(compiled, tflite=tflite), _placement(compiled, board, npu), products)

    made = make(model)
    first, changes = made.placement, list[Change]()
    for one in FIXES if fix else ():
        left = made.compiled.cpu_operators
        if not any(one.helps(operator.op) for operator in made.compiled.left):
            continue
        graph = one.apply(made.model.graph)
        if graph is made.model.graph and made.model.source is None:
            continue
        say(f"proving: {one.name}")
        if graph is not made.model.graph and not same_bytes(made.model.graph, graph):
            continue
        tried = make(Model(graph, (*made.model.passes, f"{one.name}: {one.text}")))
        if tried.compiled.cpu_operators < left:
            changes.append(Change(one.name, one.text, left, tried.compiled.cpu_operators))
            made = tried
    return made, tuple(changes), first


def _placement(compiled: Compiled, board: Board, npu: Npu) -> Placement:
    sizes = {memory.name: memory.size for memory in board.memories}
    memories = tuple(
        NpuMemory(m.name, place, m.peak_bytes, sizes[place] if place else None, m.cycles)
        for m in compiled.memories
        if (place := npu.memories.get(m.name)) or m.peak_bytes
    )
    left = tuple(explained(one) for one in compiled.left)
    return Placement(
        npu=compiled.npu_operators,
        cpu=compiled.cpu_operators,
        left=left,
        cycles=compiled.cycles,
        clock_hz=compiled.clock_hz,
        memories=memories,
        flash=len(compiled.tflite),
        constants=compiled.constants,
        weights=compiled.weights,
        encoded=compiled.encoded_weights,
    )


def _require_room(made: _Made, board: Board) -> None:
    for memory in made.placement.memories:
        if not memory.fits:
            raise ChipfitError(
                "M001",
                f"'{made.model.name}' needs {memory.peak:,} bytes of {memory.name}, '{memory.place}' of {board.name} "
                f"has {memory.size:,}",
                "let Vela aim at little memory: --optimize size, or --npu-sram BYTES",
            )


def _proven(made: _Made, samples: Samples) -> tuple[Proof, tuple[RoundingDifference, ...]]:
    """That the stream gives the reference's bytes, and where the other rounding would give others."""
    graph = load(made.compiled.tflite, name=made.model.name).graph
    expected = made.model.run_samples(samples)
    inputs = stacked(samples)
    found = Executor(graph).run(inputs)
    differing = sum(int(np.count_nonzero(a != b)) for a, b in zip(expected, found, strict=True))
    elements = sum(a.size for a in expected)
    if differing:
        raise ChipfitError(
            "V001",
            f"{differing:,} of {elements:,} elements of '{made.model.name}' differ between the reference and the "
            "stream in the simulator",
            "please report it with the model",
        )
    return Proof(len(samples), elements, differing), differences(graph, found, Executor(graph, "single").run(inputs))


def differences(graph: Graph, one: Sequence[Array], other: Sequence[Array]) -> tuple[RoundingDifference, ...]:
    """Where two executions differ, output by output."""
    return tuple(
        RoundingDifference(
            v.name, a.size, int(np.count_nonzero(a != b)), float(np.abs(a.astype(np.float64) - b).max(initial=0))
        )
        for v, a, b in zip(graph.outputs, one, other, strict=True)
    )


def _manifest(report: NpuCompileReport, board: Board) -> dict[str, Any]:
    """``chipfit.json``: of the keys of other compiled folders those that mean something here."""
    return {
        "version": MANIFEST_VERSION,
        "name": report.model,
        "board": board.name,
        "npu": report.accelerator,
        "file": report.file,
        "inputs": [plain(info) for info in report.inputs],
        "outputs": [plain(info) for info in report.outputs],
        "report": report.to_json(),
    }


def info_of(graph: Graph) -> tuple[tuple[TensorInfo, ...], tuple[TensorInfo, ...]]:
    """Inputs and outputs."""
    return tuple(map(TensorInfo.of, graph.inputs)), tuple(map(TensorInfo.of, graph.outputs))
