"""Graph to firmware: choose, plan, print C, compile it, and say what it needs."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, get_args

from chipfit.codegen import Goal, Program, entry_function, lower, source_files, staged_folder, write_files
from chipfit.codegen.project import MANIFEST_VERSION
from chipfit.emulate import Elf, build_elf, build_host_library, used_bytes
from chipfit.errors import ChipfitError
from chipfit.firmware import ELF_NAME, MEMORY_NAME, Firmware, board_to_json
from chipfit.graph import Graph
from chipfit.memories import (
    Places,
    check_memory,
    check_places,
    parse_places,
    places_for_npu,
    ram_constants,
    rooms_for,
    send_constants,
    weight_flash,
)
from chipfit.ops import op_of
from chipfit.ops.ethos_u import NPU_FEATURE
from chipfit.plan import describe
from chipfit.report.data import CompileReport, Flash, LayerInfo, MemoryUse, PackingInfo, Ram, TensorInfo
from chipfit.report.info import MemoryReport
from chipfit.targets import Board, load_board

LIBRARY_NAME = "model.so"

Aim = Literal["balanced", "speed", "size", "ram"]
AIMS: tuple[Aim, ...] = get_args(Aim)

Weights = Literal["plain", "compressed"]
WEIGHTS: tuple[Weights, ...] = get_args(Weights)

_GOALS: dict[Aim, Goal] = {
    "balanced": Goal(),
    "speed": Goal(slower=1.0),
    "size": Goal(),
    "ram": Goal(slower=1.35, squeeze=1.2, rows=True),
}
"""What each aim asks of memory."""


def compile_graph(
    graph: Graph,
    board: str | Board,
    folder: Path | None = None,
    *,
    cc: str | None = None,
    stack_bytes: int | None = None,
    force: bool = False,
    passes: tuple[str, ...] = (),
    optimize: Aim = "balanced",
    weights: Weights = "plain",
    preserve_input: bool = False,
    input_rows: bool = False,
    place: Sequence[str] = (),
) -> Firmware:
    """Compile a graph for a board into ``folder`` (default: ``<graph>-<board>``), whole or not at all.

    ``optimize``: ``balanced`` keeps one byte per weight; ``speed`` spends the board's free flash on wider weights
    where they buy most; ``size`` lets layers share the bodies of their kernels; ``ram`` runs layers row by row and
    takes kernels with little scratch, for the least memory. ``preserve_input``: inputs keep their bytes.
    ``input_rows``: the application hands the image over row by row (see the functions in ``model.h``).
    ``weights``: ``compressed`` stores those of layers with few different weights, or with many zeros, in fewer bytes;
    they are made again in scratch before the layer runs. All outputs stay the same.
    ``place``: ``NAME=MEMORY`` sends what belongs to a layer or tensor, ``arena``, ``state`` or ``weights`` to a memory
    of the board. ``stack_bytes``: None: :attr:`Board.stack_bytes`. ``cc``: the command of the user's own compiler;
    None: the one that came with chipfit. ``passes``: for
    the report.
    Raises ChipfitError M001 if it does not fit the board, P001 if the folder is not chipfit's, O002 for a layer
    without a kernel, U001 for what cannot be placed.
    """
    started = time.perf_counter()
    target = load_board(board) if isinstance(board, str) else board
    stack = target.stack_bytes if stack_bytes is None else stack_bytes
    places = parse_places(place)
    check_places(places, [graph], target)
    asked = {name for name, _ in places}
    places = [*(pair for pair in places_for_npu([graph], target) if pair[0] not in asked), *places]
    program = lower_for(
        graph,
        target,
        optimize,
        weights=weights,
        preserve_input=preserve_input,
        input_rows=input_rows,
        stack_bytes=stack,
        places=places,
    )
    send_constants([program], target, places)
    check_memory([program], target, stack)
    path = folder or Path(f"{program.name}-{target.name}")
    files = source_files(program, "host" if target.is_host else "main")
    manifest = {**target_manifest(target), **model_manifest(program)}
    with staged_folder(path, force=force) as staging:
        write_files(staging, files, manifest)
        elf = compile_sources(staging, files, target, cc, stack, manifest, optimize)
        ram = whole_ram(planned_ram(program), target, elf, stack)
        flash = flash_of(program.bytes_of("weights"), target, elf)
        report = CompileReport(
            model=program.name,
            board=target.name,
            core=target.core.name,
            folder=str(path),
            inputs=tuple(TensorInfo.of(v) for v in graph.inputs),
            outputs=tuple(TensorInfo.of(v) for v in graph.outputs),
            layers=layers_of(program),
            macs=sum(layer.macs for layer in layers_of(program)),
            flash=flash,
            ram=ram,
            passes=passes,
            optimize=optimize,
            input_preserved=program.plan.input_preserved,
            seconds=time.perf_counter() - started,
            compiler=cc or "zig cc",
            memories=memory_use(target, elf),
            weights=weights,
        )
        manifest["report"] = report.to_json()
        plan = describe(program.plan)
        memory = MemoryReport(program.name, target.name, optimize, preserve_input, input_rows, plan)
        write_files(staging, {MEMORY_NAME: json.dumps(memory.to_json()) + "\n"}, manifest)
    return Firmware(path, manifest)


def lower_for(
    graph: Graph,
    board: Board,
    optimize: Aim = "balanced",
    *,
    weights: Weights = "plain",
    preserve_input: bool = False,
    input_rows: bool = False,
    stack_bytes: int | None = None,
    places: Places = (),
    name: str | None = None,
    taken: Mapping[str, int] | None = None,
    models: int = 1,
) -> Program:
    """Kernels and memory of a graph on a board, as :func:`compile_graph` chooses them; nothing is compiled.

    ``weights``: how they are stored. ``name``: how its C names begin, if not with its own. ``taken``: bytes of each RAM
    that are in use already; ``models``: how many share the flash.
    Raises ChipfitError U001 for another aim or another way to store weights, O002 for a layer without a kernel or an
    input that cannot come by rows.
    """
    if optimize not in AIMS:
        raise ChipfitError("U001", f"'{optimize}' is no goal", f"one of {', '.join(AIMS)}")
    if weights not in WEIGHTS:
        raise ChipfitError("U001", f"weights cannot be stored as '{weights}'", f"one of {', '.join(WEIGHTS)}")
    wide = weight_flash(board) // models if optimize == "speed" and weights == "plain" else None
    rooms = rooms_for(board, board.stack_bytes if stack_bytes is None else stack_bytes, places, taken)
    memory = replace(_GOALS[optimize], preserve_input=preserve_input, by_rows=input_rows, rooms=rooms)
    features = board.core.features | ({NPU_FEATURE} if board.npu else frozenset())
    program = lower(
        graph,
        features,
        name,
        weight_flash=wide,
        shared=optimize == "size",
        goal=memory,
        compressed=weights == "compressed",
    )
    program.home = board.ram.name
    return program


def compile_sources(
    folder: Path,
    files: dict[str, str],
    board: Board,
    cc: str | None,
    stack_bytes: int,
    manifest: dict[str, Any],
    optimize: Aim,
) -> Elf | None:
    sources = [folder / name for name in files if name.endswith(".c")]
    if board.is_host:
        manifest["library"] = build_host_library(sources, [folder], folder / LIBRARY_NAME, cc=cc).name
        return None
    small = optimize == "size"
    return build_elf(
        sources,
        [folder],
        board,
        folder / ELF_NAME,
        cc=cc,
        stack_bytes=stack_bytes,
        optimize="-Os" if small else "-O2",
        defines=["CF_SHARED"] if small else [],
    )


def target_manifest(board: Board) -> dict[str, Any]:
    """What a compiled folder keeps of its board."""
    return {
        "version": MANIFEST_VERSION,
        "board": board.name,
        "target": board_to_json(board),
        "core": board.core.name,
        "arch": board.core.arch,
    }


def model_manifest(program: Program) -> dict[str, Any]:
    """What a compiled folder keeps of a model."""
    return {
        "name": program.name,
        "entry": entry_function(program),
        "inputs": [vars(TensorInfo.of(v)) for v in program.graph.inputs],
        "outputs": [vars(TensorInfo.of(v)) for v in program.graph.outputs],
        "layers": [
            {"function": i.function, "name": i.name, "op": i.op, "kernel": i.kernel, "macs": i.macs}
            for i in layers_of(program)
        ],
    }


def layers_of(program: Program) -> tuple[LayerInfo, ...]:
    """The layers of a program for its report."""
    return tuple(
        LayerInfo(
            function=step.function,
            name=step.node.name,
            op=step.node.op.name,
            kernel=step.choice.kernel.name,
            macs=op_of(step.node).macs(step.node),
            output=", ".join(str(v.type) for v in step.node.outputs),
            rejected=step.choice.rejected,
            packing=PackingInfo(**vars(step.packing)) if step.packing else None,
        )
        for step in program.steps
    )


def flash_of(weights: int, board: Board, elf: Elf | None) -> Flash:
    """Flash of a program with so many bytes of weights."""
    if elf is None:
        return Flash(code=None, weights=weights, tables=None, total=None, available=None)
    sizes = elf.sizes()
    total = sizes.code + sizes.rodata + sizes.data + _elsewhere(board, elf, "flash")
    tables = total - sizes.code - weights
    return Flash(sizes.code, weights, tables, total, _available(board, elf, "flash"))


def planned_ram(program: Program) -> Ram:
    """RAM of a model as far as its plan tells."""
    plan = program.plan
    return Ram(
        arena=plan.arena_bytes,
        lower_bound=plan.lower_bound,
        scratch=plan.scratch_bytes,
        state=plan.state_bytes,
        statics=None,
        stack=None,
        total=None,
        available=None,
        peak=plan.peak_step,
        why=plan.why,
        unshared=plan.plain_bound,
        constants=ram_constants([program]),
    )


def whole_ram(planned: Ram, board: Board, elf: Elf | None, stack_bytes: int) -> Ram:
    """The same of the program around it."""
    if elf is None:
        return planned
    variables = elf.sizes().data + elf.sizes().bss + _elsewhere(board, elf, "ram")
    return replace(
        planned,
        statics=variables - planned.arena - planned.state - planned.constants,
        stack=stack_bytes,
        total=variables + stack_bytes,
        available=_available(board, elf, "ram"),
    )


def memory_use(board: Board, elf: Elf | None) -> tuple[MemoryUse, ...]:
    """What lies in each memory of a board that has several of a kind."""
    if elf is None or len(board.memories) == 2:
        return ()
    return tuple(MemoryUse(m.name, m.kind, used_bytes(elf, board, m), m.size, m.setup) for m in board.memories)


def _elsewhere(board: Board, elf: Elf, kind: str) -> int:
    """Bytes in memories of a kind other than the first one."""
    first = (board.flash, board.ram)
    return sum(used_bytes(elf, board, m) for m in board.memories if m.kind == kind and m not in first)


def _available(board: Board, elf: Elf, kind: str) -> int:
    """Bytes of all memories of a kind, without those that need to be set up and are not used."""
    memories = [m for m in board.memories if m.kind == kind]
    return sum(m.size for m in memories if m.setup is None or used_bytes(elf, board, m))
