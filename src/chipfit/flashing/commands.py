"""Which commands build a project and bring it onto its board: by the project's framework and the board's names."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chipfit.errors import ChipfitError
from chipfit.flashing.tools import is_there
from chipfit.targets import Board, load_board

MANIFEST = "chipfit.json"
INSIDE = "project"
"""The folder of the project in one that `chipfit deploy` wrote."""


@dataclass(frozen=True)
class Project:
    """A folder that ``chipfit project`` wrote, or one of the user's own for which framework and board were named."""

    folder: Path
    framework: str
    board: Board


@dataclass(frozen=True)
class Recipe:
    """Commands, run in the project's folder one after the other.

    In words, ``{port}`` is the serial port, ``{sketch}`` the sketch's folder, ``{program}`` the file that was built,
    ``{stem}`` its name alone, and any other name one that the board's file gives in ``[frameworks]``, in the table
    ``names`` (empty: none is needed). ``monitor``: shows what the board prints, where the framework has such a command.
    """

    names: str
    flash: tuple[tuple[str, ...], ...]
    monitor: tuple[str, ...] = ()
    program: str = ""
    """Pattern of the file that is flashed, if it is named in ``flash``."""
    probe: str = ""
    """The tool of :data:`PROBES` that is used; its table in ``[probes]`` gives the names then."""

    @property
    def needs_port(self) -> bool:
        return any("{port}" in word for command in self.flash for word in command)


_BUILD = ("cmake", "--build", "build")

# sources: the reference of each tool, `TOOL help COMMAND`; for arduino-cli `compile` and `monitor`, for PlatformIO
# `pio run`, for ESP-IDF "IDF Frontend - idf.py", for Zephyr "Building, Flashing and Debugging" (west), for the Pico SDK
# the README of picotool (-f: also a board that runs a program, -x: start the new one).
RECIPES = {
    "arduino": Recipe(
        names="arduino",
        flash=(
            (
                "arduino-cli",
                "compile",
                "--fqbn",
                "{fqbn}",
                "--library",
                ".",
                "--upload",
                "--port",
                "{port}",
                "{sketch}",
            ),
        ),
        monitor=("arduino-cli", "monitor", "--port", "{port}", "--config", "baudrate={baud}", "--quiet"),
    ),
    "platformio": Recipe(
        names="platformio",
        flash=(("pio", "run", "--target", "upload", "--upload-port", "{port}"),),
        monitor=("pio", "device", "monitor", "--port", "{port}", "--baud", "{baud}"),
    ),
    "esp-idf": Recipe(
        names="esp-idf",
        flash=(("idf.py", "-p", "{port}", "flash"),),
        monitor=("idf.py", "-p", "{port}", "-b", "{baud}", "monitor"),
    ),
    "pico-sdk": Recipe(
        names="pico-sdk",
        flash=(("cmake", "-B", "build"), _BUILD, ("picotool", "load", "-f", "-x", "{program}")),
        program="build/**/*.uf2",
    ),
    "zephyr": Recipe(
        names="zephyr",
        flash=(("west", "build", "-p", "auto", "-b", "{board}", "samples/stored_inputs"), ("west", "flash")),
    ),
    "mbed": Recipe(
        names="mbed",
        flash=(
            ("cmake", "-B", "build", "-G", "Ninja", "-DCMAKE_BUILD_TYPE=Develop", "-DMBED_TARGET={target}"),
            _BUILD,
            (*_BUILD, "--target", "flash-{stem}"),
        ),
        program="build/*.elf",
    ),
}
"""By the name of the framework, those that bring their own way onto a board."""


@dataclass(frozen=True)
class Probe:
    """A tool that programs a chip through a debug probe: for frameworks that leave that to the user. ``{flash}``: the
    first address of the board's flash. ``program``: pattern of the file that it takes."""

    words: tuple[str, ...]
    program: str


# sources: OpenOCD's manual, "Flash Programming" (program); pyOCD's command reference (flash); st-flash's manual page.
PROBES = {
    "openocd": Probe(("openocd", "-f", "{config}", "-c", "program {program} verify reset exit"), "build/**/*.elf"),
    "pyocd": Probe(("pyocd", "flash", "--target", "{target}", "{program}"), "build/**/*.elf"),
    "st-flash": Probe(("st-flash", "--reset", "write", "{program}", "{address}"), "build/**/*.bin"),
}
"""The first that a board's file names in ``[probes]`` and that is installed is taken."""

BY_PROBE: dict[str, tuple[tuple[str, ...], ...]] = dict.fromkeys(
    ("cmake", "stm32"), (("cmake", "-B", "build", "--toolchain", "toolchain.cmake"), _BUILD)
)
"""How projects are built that are programmed through a probe, by framework."""


def read_project(folder: Path, framework: str | None = None, board: str | None = None) -> Project:
    """The project in a folder, or in the folder ``project`` of it. What is named goes before what the folder says.

    Raises ChipfitError P002 for a folder that says neither and none was named, B001, B002 (board), U001 (framework).
    """
    if not folder.is_dir():
        raise ChipfitError("F001", f"there is no folder '{folder}'", "`chipfit project` or `chipfit deploy` makes one")
    inner = folder / INSIDE
    path = inner if "framework" not in _said(folder) and "framework" in _said(inner) else folder
    said = _said(path)
    framework, board = framework or said.get("framework"), board or said.get("board")
    if framework is None or board is None:
        what = "what it is compiled for is a program for the emulator" if said else "nothing says what it is for"
        hint = "`chipfit project MODEL -b BOARD -f FRAMEWORK` makes one; or name both: -b BOARD -f FRAMEWORK"
        raise ChipfitError("P002", f"'{folder}' is no project: {what}", hint)
    known = (*RECIPES, *BY_PROBE)
    if framework not in known:
        raise ChipfitError(
            "U001", f"projects for '{framework}' are not flashed by chipfit", f"one of {', '.join(known)}"
        )
    return Project(path, framework, load_board(board))


def _said(folder: Path) -> Mapping[str, Any]:
    """What ``chipfit.json`` says; nothing where it is not there, or is none."""
    try:
        data: Any = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return data if isinstance(data, dict) else {}


def recipe_of(project: Project) -> Recipe:
    """The commands for a project. Of several tools for a probe, the first that is installed is taken.

    Raises ChipfitError U001 where none is known for the board."""
    found = RECIPES.get(project.framework)
    if found is not None:
        return found
    named = [name for name in PROBES if name in project.board.probes]
    if not named:
        hint = "program it with the tool of your probe; the file is the .elf below build/"
        raise ChipfitError("U001", f"no tool is known that programs {project.board.name} through a probe", hint)
    chosen = next((name for name in named if is_there(name)), named[0])
    probe = PROBES[chosen]
    return Recipe("", (*BY_PROBE[project.framework], probe.words), program=probe.program, probe=chosen)


def names_for(project: Project, recipe: Recipe) -> dict[str, str]:
    """What the words of a recipe stand for, serial port and program aside. Raises ChipfitError U001 where the board's
    file does not give the names."""
    board = project.board
    if recipe.probe:
        return dict(board.probes[recipe.probe])
    if recipe.names and recipe.names not in board.frameworks:
        hint = f"boards name it in [frameworks], in the table '{recipe.names}'; see `chipfit board show {board.name}`"
        raise ChipfitError("U001", f"{board.name} has no name in {project.framework}", hint)
    names = dict(board.frameworks.get(recipe.names, {}))
    return {**names, "sketch": sketch_of(project.folder)} if project.framework == "arduino" else names


def sketch_of(folder: Path) -> str:
    """The folder of the only sketch of a project, relative to it. Raises ChipfitError P002 if there is none."""
    found = sorted(path.parent.relative_to(folder).as_posix() for path in folder.rglob("*.ino"))
    if not found:
        raise ChipfitError("P002", f"there is no sketch (.ino) in '{folder}'", "make the project again")
    return found[0]


def built_program(project: Project, recipe: Recipe) -> str:
    """The newest file that a build left, relative to the project. Raises ChipfitError D002 if there is none."""
    found = [p for p in project.folder.glob(recipe.program) if "CMakeFiles" not in p.parts]
    if not found:
        raise ChipfitError(
            "D002", f"the build left no {recipe.program} in '{project.folder}'", "look at its output above"
        )
    return max(found, key=lambda p: p.stat().st_mtime).relative_to(project.folder).as_posix()
