"""``chipfit project``: a model, a board and a framework become a folder of plain files, ready to be built."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from chipfit import __version__, oracle
from chipfit.build import Aim, Weights
from chipfit.codegen.project import MANIFEST_VERSION
from chipfit.emulate.toolchain import linker_script
from chipfit.errors import ChipfitError
from chipfit.exporters import to_tflite
from chipfit.firmware import Firmware
from chipfit.importers import tflite_operators
from chipfit.metadata import facts_of
from chipfit.model import Model
from chipfit.npu import NpuModel, npu_model
from chipfit.ops.ethos_u import EthosU
from chipfit.projects import (
    Framework,
    InterpreterUse,
    StoredInputs,
    fitting,
    framework_names,
    load_framework,
    project_files,
    resolver_methods,
)
from chipfit.projects.context import Context, NpuUse, pascal, slug
from chipfit.projects.edits import write_project_folder
from chipfit.projects.inputs import arrays_of, pictures_of, random_inputs
from chipfit.projects.preprocess import PixelMap, pixel_map, takes_pictures
from chipfit.quantize import Preprocessing, image_files
from chipfit.report.data import COMPUTED, Flash, Ram, RunReport, envelope
from chipfit.targets import Board, Memory, Npu, load_board
from chipfit.verification import FLOAT_TOLERANCE, compare_outputs

NO_WORK = ("ethos_u", "read_variable", "assign_variable", "reshape")
"""Operators around a command stream that the core does not compute."""

TEST_INPUTS = 4
"""Test inputs that a project stores unless asked otherwise: fewer if flash has no room for them."""


@dataclass(frozen=True)
class ProjectReport:
    """What was written. ``files``: by path below ``folder``. ``commands``: what to do next, in that folder.

    ``inputs``: how many test inputs it stores, ``inputs_how`` where they come from, and ``inputs_bytes`` what they take
    of flash. ``flash`` and ``ram``: of chipfit's own program around the model for this board, without test inputs.
    ``verified``: how the outputs of the test inputs compared
    with the reference on the emulated board; None where no emulator is installed. ``instructions`` and
    ``milliseconds`` (estimated): of one run there, on the core. ``accelerator``: the NPU that the project calls, which
    is simulated there. ``notes``: what a person should know.
    """

    model: str
    board: str
    framework: str
    title: str
    folder: str
    files: tuple[str, ...]
    inputs: int
    inputs_how: str
    inputs_bytes: int
    labels: tuple[str, ...]
    flash: Flash
    ram: Ram
    verified: str | None
    instructions: int | None
    milliseconds: float | None
    commands: tuple[str, ...]
    notes: tuple[str, ...]
    accelerator: str | None = None
    how: str = COMPUTED

    def to_json(self) -> dict[str, Any]:
        return envelope("chipfit.project", self)


def write_project(
    model: Model,
    board: str | Board,
    framework: str,
    folder: str | Path | None = None,
    *,
    inputs: str | Path | None = None,
    count: int | None = None,
    name: str | None = None,
    labels: Sequence[str] = (),
    preprocessing: Preprocessing | None = None,
    optimize: Aim = "balanced",
    weights: Weights = "plain",
    stack_bytes: int | None = None,
    force: bool = False,
) -> ProjectReport:
    """Write a project that runs a model on a board into ``folder`` (default: ``<name>-<board>-<framework>``), whole or
    not at all.

    ``inputs``: a folder of pictures, a ``.npz`` or a ``.npy`` file, of which the first ``count`` are stored with what
    the reference makes of them; None: random ones. ``count``: None for four, or as many as flash has room for.
    ``name``: of the project, if not the model's. ``labels`` of the classes and ``preprocessing`` of pictures: if not
    those that the model's file states. Conversions between real numbers and integers at the model's ends are left out:
    the project takes and gives what the model stores.

    Raises ChipfitError U001 for a framework that is unknown or does not know the board, B002 if the board's file lacks
    a name that the framework needs, M001 if the model or ``count`` test inputs do not fit the board, I001..I004, Q001
    and Q002 for inputs that do not fit the model, P001 if the folder is not chipfit's, P004 if it is a project that was
    edited, V001 if the emulated board gives other outputs than the reference; O002 for an operator that TensorFlow Lite
    Micro does not have where that runs the model; where the project uses an NPU, as :func:`chipfit.npu.npu_model`.
    """
    kind = load_framework(framework)
    target = load_board(board) if isinstance(board, str) else board
    ids = kind.ids_of(target)
    facts = facts_of(model)
    model = _named(model.with_integer_io(), name or model.name)
    how, notes = _how_pictures(model, preprocessing or facts.preprocessing, inputs)
    pixels = pixel_map(model.inputs[0], how) if how else None
    classes = _classes(model)
    known, more = _labels(labels or facts.labels, classes, inputs)
    stored = _stored(model, inputs, pixels, how, count or TEST_INPUTS)
    stored = replace(stored, expected=model.run_samples(stored.samples))
    stack = stack_bytes or target.stack_bytes
    used = _one_piece(target) if kind.one_memory else target
    made, unused = _for_npu(model, target, kind, optimize)
    compiled = made.model if made else model
    with tempfile.TemporaryDirectory(prefix="chipfit-project-") as scratch:
        firmware = compiled.compile(
            used,
            Path(scratch) / "model",
            optimize=optimize,
            weights=weights,
            stack_bytes=stack,
            npu=made is not None,
        )
        stored, fewer = fitting(stored, firmware.report, used, is_asked=count is not None)
        run, comparison = (None, None) if kind.interpreter else _verified(firmware, stored, model)
        sources = {} if kind.interpreter else _sources(firmware)
    interpreter, told = _interpreter(compiled, stored) if kind.interpreter else (None, [])
    context = Context(
        name=model.name,
        p=firmware.name,
        upper=firmware.name.upper(),
        slug=slug(model.name),
        pascal=pascal(model.name),
        title=kind.title,
        board=target,
        ids=ids,
        report=firmware.report,
        run=run,
        tolerance=FLOAT_TOLERANCE if model.is_float else 0.0,
        inputs=tuple(model.inputs),
        outputs=tuple(model.outputs),
        tests=stored,
        pixels=pixels,
        preprocessing=how,
        labels=known,
        classes=classes,
        stack_bytes=stack,
        link_script=linker_script(used, stack, strict=True),
        version=__version__,
        npu=_npu_use(made, target.npu, target) if made and target.npu else None,
        interpreter=interpreter,
    )
    files, context = project_files(kind, context, sources)
    path = Path(folder) if folder is not None else Path(f"{context.slug}-{target.name}-{kind.name}")
    report = ProjectReport(
        model=context.name,
        board=target.name,
        framework=kind.name,
        title=kind.title,
        folder=str(path),
        files=tuple(sorted(files)),
        inputs=len(stored),
        inputs_how=stored.how,
        inputs_bytes=stored.nbytes,
        labels=known,
        flash=context.report.flash,
        ram=context.report.ram,
        verified=comparison,
        instructions=run.instructions if run else None,
        milliseconds=run.milliseconds if run else None,
        commands=context.commands,
        accelerator=made.accelerator if made else None,
        notes=(*notes, *more, *fewer, *unused, *told),
    )
    manifest = {"version": MANIFEST_VERSION, "board": target.name, "framework": kind.name, "report": report.to_json()}
    write_project_folder(path, files, manifest, force=force)
    return report


def _for_npu(model: Model, board: Board, kind: Framework, optimize: Aim) -> tuple[NpuModel | None, list[str]]:
    """The model for the board's NPU if the framework's projects use it, and a note where they do not."""
    if board.npu is None:
        return None, []
    if not kind.npu:
        uses = " or ".join(f"-f {name}" for name in framework_names() if load_framework(name).npu)
        return None, [f"the project leaves the NPU idle, its C is for the core alone: {uses} calls the NPU"]
    if board.npu.base is None or board.npu.interrupt is None:
        raise ChipfitError(
            "B002",
            f"the file of the board {board.name}: npu.base and npu.interrupt are missing",
            "name the address of the NPU's registers and the number of its interrupt there",
        )
    return npu_model(model, board, optimize=optimize), []


def _interpreter(model: Model, stored: StoredInputs) -> tuple[InterpreterUse, list[str]]:
    """What TensorFlow Lite Micro runs, and what it gave on this computer where it is installed."""
    file = model.source or to_tflite(model.graph)
    methods = resolver_methods(tflite_operators(file))
    arena, how, notes = _estimated_arena(model), "estimated", list[str]()
    is_known = oracle.have_tflm() and not any(isinstance(node.op, EthosU) for node in model.graph.nodes)
    if is_known and (measured := oracle.tflm_arena(file)):
        # a little more, for where the arena begins
        arena, how = measured + 64, "measured (TensorFlow Lite Micro on this computer, with pointers of 64 bits)"
        rows = oracle.tflm_run(file, stored.samples)
        found = tuple(np.stack([row[i] for row in rows]).reshape(y.shape) for i, y in enumerate(stored.expected))
        compared = compare_outputs("", stored.expected, found, FLOAT_TOLERANCE if model.is_float else 0.0)
        what = "gives the reference's outputs" if compared.passed else f"differs: {compared.first_difference}"
        notes = [f"TensorFlow Lite Micro on this computer {what}"]
    notes.append("flash and RAM are those of chipfit's own C for this model, which the project does not use")
    data = np.frombuffer(file, np.uint8)
    return InterpreterUse(data, methods, len(model.graph.variables), arena, how), notes


def _estimated_arena(model: Model) -> int:
    """Bytes: the memory of the command streams and of all tensors, and what an interpreter keeps of each of them."""
    values = [v for v in model.graph.values() if not v.is_const]
    streams = [node.op for node in model.graph.nodes if isinstance(node.op, EthosU)]
    tensors = sum(v.type.nbytes + 16 for v in values) + sum(op.scratch + op.fast for op in streams)
    kept = 2048 + 128 * len(list(model.graph.values())) + 256 * len(model.graph.nodes)
    return -(-(tensors + kept) // 1024) * 1024


def _npu_use(made: NpuModel, npu: Npu, board: Board) -> NpuUse:
    nodes, placement = made.model.graph.nodes, made.placement
    kinds = {memory.name: memory.kind for memory in board.memories}
    places = {kinds[name]: name for name in npu.memories.values()}
    use = NpuUse(
        accelerator=made.accelerator,
        base=npu.base or 0,
        interrupt=npu.interrupt or 0,
        constants=places.get("flash", ""),
        working=places.get("ram", ""),
        on_core=tuple(dict.fromkeys(n.op.name for n in nodes if n.op.name not in NO_WORK)),
        vela=made.vela,
    )
    if placement is None:
        return use
    return replace(use, on_npu=placement.npu, cycles=placement.cycles, clock_hz=placement.clock_hz)


def _named(model: Model, name: str) -> Model:
    return model if name == model.name else replace(model, graph=replace(model.graph, name=name))


def _how_pictures(
    model: Model, stated: Preprocessing | None, inputs: str | Path | None
) -> tuple[Preprocessing | None, list[str]]:
    """How pictures become the model's input; None where it takes none, or where that is unknown and nothing asks."""
    given = inputs is not None and Path(inputs).is_dir()
    first = model.inputs[0]
    if len(model.inputs) != 1 or not takes_pictures(first):
        if given:
            shapes = ", ".join(f"'{i.name}' {i.dtype}{list(i.shape)}" for i in model.inputs)
            raise ChipfitError(
                "Q002", f"{model.name} takes no pictures, but {shapes}", "hand inputs in as an .npz file with --inputs"
            )
        return None, []
    if stated is not None or not given:
        return stated, []
    note = "the model does not say how pixels become its input: they are taken as they are, 0 to 255 (--scale, --mean)"
    return Preprocessing(), [note]


def _classes(model: Model) -> int:
    """Of a model whose only output is a score for each of several classes; 0 for others. As many elements as an input
    has are taken for that input again, as autoencoders give it."""
    outputs = model.outputs
    if len(outputs) != 1 or outputs[0].dtype not in ("int8", "uint8", "int16", "float32"):
        return 0
    count = math.prod(outputs[0].shape)
    is_row = max(outputs[0].shape, default=0) == count
    return count if is_row and count > 1 and all(math.prod(i.shape) != count for i in model.inputs) else 0


def _labels(stated: Sequence[str], classes: int, inputs: str | Path | None) -> tuple[tuple[str, ...], list[str]]:
    """Names of the classes, if they are known. Raises ChipfitError Q006 where there are more or fewer than classes."""
    if stated and len(stated) != classes:
        what = f"the model has {classes}" if classes else "the model has no output with a score for each class"
        raise ChipfitError("Q006", f"{len(stated)} classes are named, {what}")
    if stated or not classes or inputs is None or not Path(inputs).is_dir():
        return tuple(stated), []
    folder = Path(inputs)
    names = sorted({path.relative_to(folder).parts[0] for path in image_files(folder) if path.parent != folder})
    if len(names) != classes:
        return (), []
    return tuple(names), [f"the classes are called as the folders in '{folder.name}', in alphabetical order"]


def _stored(
    model: Model, inputs: str | Path | None, pixels: PixelMap | None, how: Preprocessing | None, count: int
) -> StoredInputs:
    if inputs is None:
        return random_inputs(model.inputs, pixels, count)
    path = Path(inputs)
    if path.is_dir() and pixels is not None and how is not None:
        return pictures_of(path, pixels, how, count)
    return arrays_of(path, model.inputs, pixels, count)


def _one_piece(board: Board) -> Board:
    """The board as linker scripts of frameworks see it: the program's flash, and the largest piece of RAM without a
    gap that is there after reset."""
    pieces: list[Memory] = []
    for memory in sorted(board.memories, key=lambda m: m.origin):
        if memory.kind != "ram" or memory.setup is not None:
            continue
        if pieces and pieces[-1].end == memory.origin:
            pieces[-1] = replace(pieces[-1], size=pieces[-1].size + memory.size, wait_states=None)
        else:
            pieces.append(memory)
    return replace(board, memories=(board.flash, max(pieces, key=lambda m: m.size)))


def _verified(firmware: Firmware, stored: StoredInputs, model: Model) -> tuple[RunReport | None, str | None]:
    """A run of the test inputs on the emulated board, and how it compares with the reference; None and None where no
    emulator is installed. Raises ChipfitError V001 where outputs differ."""
    try:
        run = firmware.run(stored.samples)
    except ChipfitError as error:
        if error.code != "T001":
            raise
        return None, None
    tolerance = FLOAT_TOLERANCE if model.is_float else 0.0
    found = compare_outputs(f"C on {firmware.board}", stored.expected, run.outputs, tolerance)
    if not found.passed:
        raise ChipfitError(
            "V001",
            f"{model.name} on {firmware.board}: {found.first_difference}",
            "this is a bug of chipfit: please report it with the model",
        )
    return run, "identical" if found.identical else f"within {tolerance:g}"


def _sources(firmware: Firmware) -> dict[str, str]:
    """The C of the model alone, by path. What a compiler's option says elsewhere is said in the file itself."""
    folder = firmware.folder
    paths = [p for p in sorted(folder.rglob("*")) if p.suffix in (".c", ".h") and p.name != "main.c"]
    files = {p.relative_to(folder).as_posix(): p.read_text(encoding="utf-8") for p in paths}
    if firmware.report.optimize == "size":
        files["model.c"] = f"#define CF_SHARED /* layers share the bodies of kernels */\n{files['model.c']}"
    return files
