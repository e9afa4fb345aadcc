"""Small models of all kinds, and the programs of their cmake and arduino projects."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from chipfit.model import Model
from chipfit.ops.add import Add
from chipfit.ops.relu import Relu
from chipfit.ops.reshape import Reshape
from chipfit.targets import Board
from passes.chains import Builder
from projects.building import STAND_INS, build


def pictures(channels: int = 1, *, is_float: bool = False) -> Model:
    """Takes pictures of 4 x 4 pixels and tells 9 classes per channel apart."""
    b = Builder(is_float=is_float)
    y = b.conv(b.input(1, 4, 4, channels))
    return Model(b.done(b.add(Reshape((1, 9 * channels)), y)))


def table() -> Model:
    """Takes four numbers, and is no classifier: its output has rows and columns."""
    b = Builder()
    return Model(b.done(b.add(Relu(), b.input(2, 2))))


def row(count: int) -> Model:
    """Takes a row of numbers and gives such a row."""
    b = Builder()
    return Model(b.done(b.add(Relu(), b.input(1, count))))


def two_inputs() -> Model:
    b = Builder()
    return Model(b.done(b.add(Add(), b.input(2, 3), b.input(2, 3))))


def with_state() -> Model:
    """Adds up what it is given from run to run."""
    b = Builder()
    x = b.input(2, 2)
    b.state("s", b.type(2, 2))
    y = b.add(Add(), x, b.read("s"))
    b.write("s", y)
    return Model(b.done(y))


def build_cmake(
    folder: Path, board: Board, *, gcc: bool = False, apart: bool = False, more: Sequence[Path] = ()
) -> Path:
    """The program of a cmake project: of the sources that its CMakeLists.txt names, by its own linker script.

    ``apart``: each compiled on its own, as CMake does; else all at once, which is quicker. ``more``: sources that stand
    in for what else it is linked with.
    """
    text = (folder / "CMakeLists.txt").read_text(encoding="utf-8")
    names = ["main.c", *re.findall(r"^ +(\S+\.c)$", text, re.MULTILINE)]
    script = (folder / "link.ld").read_text(encoding="utf-8")
    (folder / "build").mkdir(exist_ok=True)
    sources, includes = [folder / name for name in names], [folder / "model", folder / "port"]
    includes += [folder, folder / "build", *dict.fromkeys(path.parent for path in more)]
    if not apart:
        whole = folder / "build" / "whole.c"
        whole.write_text("".join(f'#include "../{name}"\n' for name in names), encoding="utf-8")
        sources = [whole]
    return build([*sources, *more], includes, board, folder / "build" / "firmware.elf", script=script, gcc=gcc)


def build_sketch(folder: Path, board: Board) -> Path:
    """The program of an arduino or platformio project, with a stand-in for Arduino's core: the library as C, the
    sketch as C++."""
    (sketch,) = [*folder.glob("examples/*/*.ino"), *folder.glob("src/main.cpp")]
    main = folder / "build" / "sketch.cpp"
    main.parent.mkdir()
    main.write_text(sketch.read_text(encoding="utf-8"), encoding="utf-8")
    (model,) = folder.rglob("model.c")
    library, core = model.parent.parent, STAND_INS / "arduino"
    sources = [main, core / "Arduino.cpp", *sorted(model.parent.glob("*.c"))]
    return build(sources, [library, core], board, folder / "build" / "sketch.elf")
