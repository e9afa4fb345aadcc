"""A kmodel becomes a MaixPy project: the script for the board, the model, and the package for its flash."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from chipfit import __version__
from chipfit.codegen.project import MANIFEST_VERSION
from chipfit.errors import ChipfitError
from chipfit.kmodel import FlashFile, Kmodel, write_kfpkg
from chipfit.kmodel.format.kfpkg import SECTOR
from chipfit.projects.context import slug
from chipfit.projects.edits import write_project_folder
from chipfit.projects.render import environment
from chipfit.report.data import TensorInfo, envelope
from chipfit.targets import Board, load_board, parse_size

FRAMEWORK = "maixpy"
ADDRESS = 0x300000
"""In flash, behind the firmware."""
FILES_ADDRESS = 0xD00000
"""Where MaixPy keeps its own file system in flash."""
TOP = 3
"""Classes that the script prints."""

# width and height of the camera's frames, and their names
_FRAMES = ((320, 240, "QVGA"), (640, 480, "VGA"))

Kind = Literal["classes", "numbers", "map"]


@dataclass(frozen=True)
class MaixpyReport:
    """What was written into ``folder``. ``address`` and ``end``: of the model in flash; ``kind``: what the script makes
    of the first output; ``working`` of ``heap``: bytes of the board's heap that model and its memory take; None:
    unknown. ``commands``: what to do next, in that folder. ``notes``: what a person should know."""

    model: str
    board: str
    framework: str
    folder: str
    files: tuple[str, ...]
    address: int
    end: int
    kind: Kind
    labels: tuple[str, ...]
    working: int
    heap: int | None
    commands: tuple[str, ...]
    notes: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        return envelope("chipfit.project_maixpy", self)


@dataclass(frozen=True)
class _Image:
    """The model's picture, and the camera's window around it: as large as fits a frame, in whole multiples."""

    width: int
    height: int
    channels: int
    framesize: str
    window_width: int
    window_height: int

    @property
    def scaled(self) -> bool:
        return self.window_width != self.width


@dataclass(frozen=True)
class _Output:
    width: int
    height: int
    channels: int

    @property
    def elements(self) -> int:
        return self.width * self.height * self.channels


def write_maixpy_project(
    model: Kmodel,
    board: str | Board = "maix-bit",
    folder: str | Path | None = None,
    *,
    name: str | None = None,
    labels: Sequence[str] = (),
    address: int = ADDRESS,
    force: bool = False,
) -> MaixpyReport:
    """Write a project into ``folder`` (default: ``<name>-<board>-maixpy``), whole or not at all.

    ``labels`` of the classes: if not those of the facts beside the model. ``address``: of the model in flash.
    Raises ChipfitError U001 for a board that MaixPy does not run on, O002 for inputs and outputs that MaixPy cannot
    hand over, M001 where flash or heap are too small, Q006 for labels that do not fit, P001 and P004 for a folder that
    is not chipfit's or was edited.
    """
    target = load_board(board) if isinstance(board, str) else board
    known = target.frameworks.get(FRAMEWORK)
    if known is None:
        raise ChipfitError("U001", f"MaixPy does not run on the board {target.name}", "choose maix-bit")
    title = name or model.name
    file, package = f"{slug(title)}.kmodel", f"{slug(title)}.kfpkg"
    image, outputs = _image(model), [_output(info) for info in model.outputs]
    _readable(model)
    names = tuple(labels) or (model.sidecar.labels if model.sidecar else ())
    kind, softmax = _kind(model, outputs, names)
    heap = _heap(known)
    end = address + len(model.data)
    working = len(model.data) + model.file.main_bytes
    _fits(model, end, address, working, heap)
    commands = (f"kflash -p PORT -b 1500000 {package}", "ampy --port PORT put main.py")
    values = {
        "title": _plain(title),
        "board": _plain(target.title),
        "version": __version__,
        "kmodel": model.version,
        "file": file,
        "package": package,
        "address": address,
        "end": end,
        "image": image,
        "outputs": outputs,
        "labels": names,
        "kind": kind,
        "softmax": softmax,
        "top": min(TOP, outputs[0].elements),
        "commands": commands,
        "elements": math.prod(model.inputs[0].shape),
        "sizes": {
            "file": _kib(len(model.data)),
            "working": _kib(working),
            "main": _kib(model.file.main_bytes),
            "kpu": _kib(model.inspect().memory.kpu),
            "heap": None if heap is None else _kib(heap),
        },
    }
    jinja = environment()
    jinja.filters["python"] = ascii  # names of classes: as MicroPython reads them, whatever its encoding
    files: dict[str, str | bytes] = {
        "main.py": jinja.get_template("maixpy/main.py.j2").render(values),
        "README.md": jinja.get_template("maixpy/README.md.j2").render(values),
        file: model.data,
        package: write_kfpkg([FlashFile(address, file, model.data)]),
    }
    if names:
        files["labels.txt"] = "".join(f"{label}\n" for label in names)
    path = Path(folder) if folder is not None else Path(f"{slug(title)}-{target.name}-{FRAMEWORK}")
    report = MaixpyReport(
        model=title,
        board=target.name,
        framework=FRAMEWORK,
        folder=str(path),
        files=tuple(sorted(files)),
        address=address,
        end=end,
        kind=kind,
        labels=names,
        working=working,
        heap=heap,
        commands=commands,
        notes=_notes(model, image),
    )
    manifest = {"version": MANIFEST_VERSION, "board": target.name, "framework": FRAMEWORK, "report": report.to_json()}
    write_project_folder(path, files, manifest, force=force)
    return report


def _plain(text: str) -> str:
    """Fit for a line of Python's or Markdown's text."""
    return "".join(c for c in text if c.isprintable() and c not in '"\\`|')


def _kib(nbytes: int) -> str:
    return f"{nbytes / 1024:,.1f} KiB"


def _image(model: Kmodel) -> _Image | None:
    """The picture that the model takes; None where it takes floats. Raises ChipfitError O002 for anything else."""
    inputs = model.inputs
    shapes = ", ".join(f"{info.dtype}{list(info.shape)}" for info in inputs)
    if len(inputs) == 1 and inputs[0].dtype == "float32":
        return None
    if len(inputs) != 1 or len(inputs[0].shape) != 4 or inputs[0].shape[0] != 1 or inputs[0].shape[1] not in (1, 3):
        raise ChipfitError(
            "O002", f"MaixPy hands in one picture or one list of floats; the model takes {shapes}", "change the model"
        )
    _, channels, height, width = inputs[0].shape
    for frame_width, frame_height, framesize in _FRAMES:
        times = min(frame_width // width, frame_height // height)
        if times:
            return _Image(width, height, channels, framesize, width * times, height * times)
    raise ChipfitError("O002", f"the camera has 640x480 pixels; the model takes {shapes}", "make its input smaller")


def _readable(model: Kmodel) -> None:
    """Raises ChipfitError O002 where MaixPy would take an output for something else."""
    for info in model.outputs:
        if model.version == 4 and info.dtype != "float32":
            raise ChipfitError(
                "O002",
                f"output '{info.name}' is {info.dtype}; MaixPy reads every output of version 4 as float32",
                "convert the model with outputs of float32",
            )


def _output(info: TensorInfo) -> _Output:
    """A vector has all its elements as channels."""
    extents = [extent for extent in info.shape if extent != 1]
    if len(info.shape) != 4 or len(extents) <= 1:
        return _Output(1, 1, math.prod(info.shape))
    batch, channels, height, width = info.shape
    return _Output(width, height, channels * batch)


def _kind(model: Kmodel, outputs: Sequence[_Output], labels: Sequence[str]) -> tuple[Kind, bool]:
    """What the first output is, and whether a softmax must make shares of it."""
    elements = outputs[0].elements
    vector = outputs[0].channels == elements
    if labels and len(labels) != elements:
        text = f"{len(labels)} classes are named, the model gives {elements} numbers"
        raise ChipfitError("Q006", text, "name each class once, in the model's order")
    if not vector:
        return "map", False
    runs = model.run(model.samples(2)).outputs[0].reshape(2, -1)
    shares = bool((runs >= 0).all() and np.allclose(runs.sum(1), 1, atol=0.02)) and elements > 1
    if shares or labels:
        return "classes", not shares
    return "numbers", False


def _heap(known: Mapping[str, str]) -> int | None:
    """Bytes that MaixPy leaves to a model while the camera runs."""
    if "heap" not in known:
        return None
    heap, camera = parse_size(known["heap"]), parse_size(known.get("camera", "0"))
    return None if heap is None else heap - (camera or 0)


def _fits(model: Kmodel, end: int, address: int, working: int, heap: int | None) -> None:
    if address % SECTOR:
        raise ChipfitError(
            "U001", f"0x{address:x} is no multiple of {SECTOR}, in which flash is erased", "0x300000 is usual"
        )
    if end > FILES_ADDRESS:
        raise ChipfitError(
            "M001", f"the model ends at 0x{end:x} in flash; MaixPy's own files begin at 0xd00000", "make it smaller"
        )
    if heap is not None and working > heap:
        raise ChipfitError(
            "M001",
            f"{model.name} needs {_kib(working)} of heap ({_kib(len(model.data))} for the file, "
            f"{_kib(model.file.main_bytes)} to work in); MaixPy leaves {_kib(heap)} beside the camera",
            "a smaller input or width multiplier needs less; so do fewer layers on the CPU",
        )


def _notes(model: Kmodel, image: _Image | None) -> tuple[str, ...]:
    notes = list(model.notes)
    if model.sidecar is None:
        notes.append("no facts lie beside the model: shapes of outputs are what its last nodes tell")
    if image is not None and image.scaled:
        window = f"{image.window_width}x{image.window_height}"
        notes.append(f"the camera's window of {window} is scaled down on the CPU, which takes time")
    return tuple(notes)
