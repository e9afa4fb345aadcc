"""Graph to firmware: choose, plan, print C, compile it, and say what it needs."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any, Literal, get_args

from chipfit.codegen import Program, lower, source_files, staged_folder, write_files
from chipfit.codegen.project import MANIFEST_VERSION
from chipfit.emulate import Elf, build_elf, build_host_library
from chipfit.errors import ChipfitError
from chipfit.firmware import ELF_NAME, Firmware, board_to_json
from chipfit.graph import Graph
from chipfit.ops import op_of
from chipfit.report.data import CompileReport, Flash, LayerInfo, Ram, TensorInfo
from chipfit.targets import Board, load_board

STACK_BYTES = 4096
"""Stack reserved on a chip unless asked otherwise."""

LIBRARY_NAME = "model.so"

Goal = Literal["balanced", "speed", "size"]
GOALS: tuple[Goal, ...] = get_args(Goal)

CODE_ROOM = 64 * 1024
"""Bytes of flash that are kept for code and tables when weights widen."""


def compile_graph(
    graph: Graph,
    board: str | Board,
    folder: Path | None = None,
    *,
    cc: str | None = None,
    stack_bytes: int = STACK_BYTES,
    force: bool = False,
    passes: tuple[str, ...] = (),
    optimize: Goal = "balanced",
) -> Firmware:
    """Compile a graph for a board into ``folder`` (default: ``<graph>-<board>``), whole or not at all.

    ``optimize``: ``balanced`` keeps one byte per weight; ``speed`` spends the board's free flash on wider weights
    where they buy most; ``size`` lets layers share the bodies of their kernels.
    ``cc``: the command of the user's own compiler; None: the one that came with chipfit. ``passes``: for the report.
    Raises ChipfitError M001 if it does not fit the board, P001 if the folder is not chipfit's, O002 for a layer
    without a kernel.
    """
    started = time.perf_counter()
    target = load_board(board) if isinstance(board, str) else board
    if optimize not in GOALS:
        raise ChipfitError("U001", f"'{optimize}' is no goal", f"one of {', '.join(GOALS)}")
    weight_flash = _weight_flash(target) if optimize == "speed" else None
    program = lower(graph, target.core.features, weight_flash=weight_flash, shared=optimize == "size")
    _check_memory(program, target, stack_bytes)
    path = folder or Path(f"{program.name}-{target.name}")
    files = source_files(program, "host" if target.is_host else "main")
    manifest = _manifest(program, target)
    with staged_folder(path, force=force) as staging:
        write_files(staging, files, manifest)
        elf = _compile(staging, files, target, cc, stack_bytes, manifest, optimize)
        ram, flash = _ram(program, target, elf, stack_bytes), _flash(program, target, elf)
        report = CompileReport(
            model=program.name,
            board=target.name,
            core=target.core.name,
            folder=str(path),
            inputs=tuple(TensorInfo.of(v) for v in graph.inputs),
            outputs=tuple(TensorInfo.of(v) for v in graph.outputs),
            layers=tuple(_layers(program)),
            macs=sum(layer.macs for layer in _layers(program)),
            flash=flash,
            ram=ram,
            passes=passes,
            optimize=optimize,
            input_preserved=program.plan.input_preserved,
            seconds=time.perf_counter() - started,
            compiler=cc or "zig cc",
        )
        manifest["report"] = report.to_json()
        write_files(staging, {}, manifest)
    return Firmware(path, manifest)


def _check_memory(program: Program, board: Board, stack_bytes: int) -> None:
    """Raise M001 before anything is compiled if the plan alone is larger than the board's memories."""
    if board.is_host:
        return
    weights = program.bytes_of("weights") + program.bytes_of("table")
    needs = (
        ("RAM", program.memory_bytes + stack_bytes, board.ram.size, "arena, state and stack"),
        ("flash", weights, board.flash.size, "constants alone"),
    )
    problems = [
        f"{kind} {need / 1024:,.1f} KiB of {size / 1024:,.1f} KiB ({need - size:,} B too many; {what})"
        for kind, need, size, what in needs
        if need > size
    ]
    if problems:
        raise ChipfitError(
            "M001",
            f"{program.name} does not fit {board.name}: {'; '.join(problems)}",
            f"most RAM is needed {program.plan.peak_step}; "
            "choose a board with more memory, a smaller input or a smaller model",
        )


def _weight_flash(board: Board) -> int:
    """Flash for all weights when speed is the goal: what the board has, less room for code and tables."""
    return (1 << 40) if board.is_host else board.flash.size - min(CODE_ROOM, board.flash.size // 4)


def _compile(
    folder: Path,
    files: dict[str, str],
    board: Board,
    cc: str | None,
    stack_bytes: int,
    manifest: dict[str, Any],
    optimize: Goal,
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


def _manifest(program: Program, board: Board) -> dict[str, Any]:
    return {
        "version": MANIFEST_VERSION,
        "name": program.name,
        "board": board.name,
        "target": board_to_json(board),
        "core": board.core.name,
        "arch": board.core.arch,
        "inputs": [vars(TensorInfo.of(v)) for v in program.graph.inputs],
        "outputs": [vars(TensorInfo.of(v)) for v in program.graph.outputs],
        "layers": [
            {"function": i.function, "name": i.name, "op": i.op, "kernel": i.kernel, "macs": i.macs}
            for i in _layers(program)
        ],
    }


def _layers(program: Program) -> list[LayerInfo]:
    return [
        LayerInfo(
            function=step.function,
            name=step.node.name,
            op=step.node.op.name,
            kernel=step.choice.kernel.name,
            macs=op_of(step.node).macs(step.node),
            output=", ".join(str(v.type) for v in step.node.outputs),
            rejected=step.choice.rejected,
        )
        for step in program.steps
    ]


def _flash(program: Program, board: Board, elf: Elf | None) -> Flash:
    weights = program.bytes_of("weights")
    if elf is None:
        return Flash(code=None, weights=weights, tables=None, total=None, available=None)
    sizes = elf.sizes()
    total = sizes.code + sizes.rodata + sizes.data
    return Flash(sizes.code, weights, total - sizes.code - weights, total, board.flash.size)


def _ram(program: Program, board: Board, elf: Elf | None, stack_bytes: int) -> Ram:
    plan = program.plan
    arena, bound, scratch, state = plan.arena_bytes, plan.lower_bound, plan.scratch_bytes, plan.state_bytes
    if elf is None:
        return Ram(arena, bound, scratch, state, None, None, None, None, plan.peak_step, plan.why)
    variables = elf.sizes().data + elf.sizes().bss
    total = variables + stack_bytes
    statics = variables - program.memory_bytes
    return Ram(arena, bound, scratch, state, statics, stack_bytes, total, board.ram.size, plan.peak_step, plan.why)
