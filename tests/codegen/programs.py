"""Programs around generated models: what to compile them with, and how to run them."""

from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

import chipfit
from chipfit.codegen import Program, lower, source_files
from chipfit.codegen.project import runtime_folder
from chipfit.demo import model_path
from chipfit.graph import Graph
from chipfit.targets import load_board

# overlength strings: the assembler text of a kernel, which is no string of the program
STRICT = ("-std=c99", "-Wall", "-Wextra", "-Wconversion", "-Werror", "-pedantic", "-Wno-overlength-strings")
CHIP = load_board("nucleo-l4r5zi").core
PORT_INCLUDE = str(runtime_folder() / "port" / "include")
ZIG = (sys.executable, "-m", "ziglang")


@dataclass(frozen=True)
class Compiler:
    """A command with its flags. ``features``: of the core that it compiles for."""

    name: str
    command: tuple[str, ...]
    features: frozenset[str] = frozenset()

    def require(self) -> None:
        """Skip the test where it is not installed."""
        if shutil.which(self.command[0]) is None:
            pytest.skip(f"{self.command[0]} is not installed")

    def run(self, *arguments: str | Path) -> None:
        done = subprocess.run(
            [*self.command, *map(str, arguments)], capture_output=True, text=True, check=False, encoding="utf-8"
        )
        assert done.returncode == 0, done.stderr[:4000]


GCC = Compiler("gcc", ("gcc",))
CLANG = Compiler("zig cc", (*ZIG, "cc"))
ARM_GCC = Compiler("arm-none-eabi-gcc", ("arm-none-eabi-gcc", *CHIP.gcc_flags), CHIP.features)
ARM_CLANG = Compiler(
    "zig cc for arm",
    (*ZIG, "cc", f"--target={CHIP.zig_target}", *CHIP.zig_flags, "-fomit-frame-pointer", "-isystem", PORT_INCLUDE),
    CHIP.features,
)
M3 = load_board("arduino-due").core
M3_GCC = Compiler("arm-none-eabi-gcc for the Cortex-M3", ("arm-none-eabi-gcc", *M3.gcc_flags), M3.features)
GXX = Compiler("g++", ("g++",))
CLANGXX = Compiler("zig c++", (*ZIG, "c++"))

COMPILERS = [GCC, CLANG, ARM_GCC, ARM_CLANG, M3_GCC]
HOST_COMPILERS = [GCC, CLANG]


def demo(kind: str = "int8") -> chipfit.Model:
    return chipfit.load(model_path("int8" if kind == "int8" else "float32"))


def write_program(
    folder: Path, graph: Graph, features: frozenset[str] = frozenset(), name: str | None = None
) -> Program:
    """The generated files of a model in a folder, without a program around them."""
    program = lower(graph, features, name)
    for path, text in source_files(program, "none").items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text, encoding="utf-8")
    return program


def build_and_run(folder: Path, main: str, sources: list[Path], *defines: str, compiler: Compiler = CLANG) -> str:
    """What a program for this computer prints; it must end with exit code 0."""
    compiler.require()
    source, program = folder / "program.c", folder / "program.exe"
    source.write_text(main, encoding="utf-8")
    flags = [*STRICT, "-O1", f"-I{folder}", *(f"-D{d}" for d in defines)]
    compiler.run(*flags, source, *sources, "-o", program, *([] if sys.platform == "win32" else ["-lm"]))
    done = subprocess.run([program], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
