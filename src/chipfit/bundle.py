"""Several models for one board: one folder, one program, one arena that they use in turn."""

from __future__ import annotations

import itertools
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from chipfit.build import (
    Aim,
    Weights,
    compile_sources,
    flash_of,
    layers_of,
    lower_for,
    memory_use,
    model_manifest,
    planned_ram,
    target_manifest,
    whole_ram,
)
from chipfit.codegen import Bundle, Program, share, source_files, staged_folder, write_files
from chipfit.codegen.ctext import identifier
from chipfit.codegen.memory import BUNDLE
from chipfit.emulate import Elf
from chipfit.errors import ChipfitError
from chipfit.firmware_set import FirmwareSet
from chipfit.memories import check_memory, check_places, parse_places, ram_constants, ram_needs, send_constants
from chipfit.model import Model
from chipfit.report.data import CompileReport, CompileSetReport, Ram, TensorInfo
from chipfit.targets import Board, load_board


def compile_models(
    models: Sequence[Model],
    board: str | Board = "host",
    folder: str | Path | None = None,
    *,
    cc: str | None = None,
    stack_bytes: int | None = None,
    force: bool = False,
    optimize: Aim = "balanced",
    weights: Weights = "plain",
    preserve_input: bool = False,
    input_rows: bool = False,
    place: Sequence[str] = (),
    separate_arenas: bool = False,
) -> FirmwareSet:
    """Compile models together for a board, into ``folder`` (default: ``models-<board>``), whole or not at all.

    They share kernels, equal constants and one arena, as large as the largest needs: no two of them may be in the
    middle of a run at once, and the outputs of one are lost when the next one's inputs are written. State is each one's
    own. ``separate_arenas``: each has its own. The other options are those of :meth:`chipfit.Model.compile`.
    Models of the same name are told apart by a number.
    Raises ChipfitError U001 for fewer than two models, M001 if they do not fit, P001, O002 as for one model.
    """
    started = time.perf_counter()
    if len(models) < 2:
        raise ChipfitError("U001", "one model alone is no set", "compile it with Model.compile")
    target = load_board(board) if isinstance(board, str) else board
    stack = target.stack_bytes if stack_bytes is None else stack_bytes
    places = parse_places(place)
    check_places(places, [model.graph for model in models], target)
    names = _names(models)

    def lowered(index: int, taken: Mapping[str, int]) -> Program:
        """One of the models; ``taken``: what others have of each RAM."""
        return lower_for(
            models[index].graph,
            target,
            optimize,
            weights=weights,
            preserve_input=preserve_input,
            input_rows=input_rows,
            stack_bytes=stack,
            places=places,
            name=names[index],
            taken=taken,
            models=len(models),
        )

    programs = _fitted(lowered, len(models), target, stack, shared=not separate_arenas)
    bundle = share(programs, arena=not separate_arenas)
    send_constants(programs, target, places)
    check_memory(programs, target, stack, shared=bundle.shares_arena)
    path = Path(folder) if folder is not None else Path(f"{BUNDLE}-{target.name}")
    files = source_files(bundle, "host" if target.is_host else "main")
    manifest = {**target_manifest(target), "name": BUNDLE, "models": [model_manifest(p) for p in programs]}
    with staged_folder(path, force=force) as staging:
        write_files(staging, files, manifest)
        elf = compile_sources(staging, files, target, cc, stack, manifest, optimize)
        report = CompileSetReport(
            board=target.name,
            core=target.core.name,
            folder=str(path),
            models=(),
            flash=flash_of(_constant_bytes(bundle, "weights"), target, elf),
            ram=whole_ram(_planned(bundle), target, elf, stack),
            shares_arena=bundle.shares_arena,
            arena_saved=sum(p.plan.arena_bytes for p in programs) - _planned(bundle).arena,
            constants_saved=sum(
                sum(p.bytes_of(role) for p in programs) - _constant_bytes(bundle, role) for role in ("weights", "table")
            ),
            optimize=optimize,
            seconds=time.perf_counter() - started,
            compiler=cc or "zig cc",
            memories=memory_use(target, elf),
            weights=weights,
        )
        own = (_report(p, m, report, target, elf) for p, m in zip(programs, models, strict=True))
        manifest["report"] = replace(report, models=tuple(own)).to_json()
        write_files(staging, {}, manifest)
    return FirmwareSet(path, manifest)


def _names(models: Sequence[Model]) -> list[str]:
    """C names, all different, none of them that of the set."""
    names: list[str] = []
    for model in models:
        name = identifier(model.name)
        numbered = itertools.chain([name], (f"{name}_{n}" for n in itertools.count(2)))
        names.append(next(n for n in numbered if n not in (*names, BUNDLE)))
    return names


def _fitted(
    lowered: Callable[[int, Mapping[str, int]], Program], count: int, board: Board, stack_bytes: int, *, shared: bool
) -> list[Program]:
    """Programs that leave each other room. Where the first plans, each made as if it were alone, do not fit together in
    a board's several RAMs, those are planned again with what the others need."""
    programs = [lowered(i, {}) for i in range(count)]
    needs = ram_needs(programs, board, stack_bytes, shared=shared)
    sizes = {memory.name: memory.size for memory in board.memories}
    if len(needs) == 1 or all(need <= sizes[name] for name, need in needs.items()):
        return programs
    if shared:
        states = [_state_needs(program, board) for program in programs]
        total = sum(states, Counter[str]())
        return [lowered(i, total - state) for i, state in enumerate(states)]
    result: list[Program] = []
    for i in range(count):
        result.append(lowered(i, ram_needs(result, board, 0)))
    return result


def _state_needs(program: Program, board: Board) -> Counter[str]:
    """Bytes of variables in each RAM."""
    needs: Counter[str] = Counter()
    for block in program.blocks:
        needs[block.memory or board.ram.name] += block.state
    return needs


def _planned(bundle: Bundle) -> Ram:
    """RAM of all models together; what makes the peak is that of the model with the largest arena."""
    largest = planned_ram(max(bundle.programs, key=lambda p: p.plan.arena_bytes))
    arena = sum(bundle.arenas.values()) if bundle.shares_arena else sum(p.plan.arena_bytes for p in bundle.programs)
    state = sum(p.plan.state_bytes for p in bundle.programs)
    return replace(largest, arena=arena, state=state, constants=ram_constants(bundle.programs))


def _constant_bytes(bundle: Bundle, role: str) -> int:
    """Bytes of constants, each counted once."""
    unique = {c.symbol: c.data.nbytes for p in bundle.programs for c in p.constants if c.role == role}
    return sum(unique.values())


def _report(program: Program, model: Model, whole: CompileSetReport, board: Board, elf: Elf | None) -> CompileReport:
    """What can be said of one of the models."""
    layers = layers_of(program)
    return CompileReport(
        model=program.name,
        board=board.name,
        core=board.core.name,
        folder=whole.folder,
        inputs=tuple(TensorInfo.of(v) for v in program.graph.inputs),
        outputs=tuple(TensorInfo.of(v) for v in program.graph.outputs),
        layers=layers,
        macs=sum(layer.macs for layer in layers),
        flash=flash_of(program.bytes_of("weights"), board, None),
        ram=planned_ram(program),
        passes=model.passes,
        optimize=whole.optimize,
        input_preserved=program.plan.input_preserved,
        seconds=whole.seconds,
        compiler=whole.compiler,
        weights=whole.weights,
    )
