"""Projects, compiled with zig for the core of their board, with stand-ins for the headers of their frameworks."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from chipfit.codegen.project import runtime_folder
from chipfit.emulate.machine import MachineResult, run_elf
from chipfit.emulate.toolchain import linker_script, zig_cc
from chipfit.targets import Board

STAND_INS = Path(__file__).parent / "stand_ins"
PORT = runtime_folder() / "port"
STRICT = ("-Wall", "-Wextra", "-Wconversion", "-Werror", "-Wno-overlength-strings")
_COMMON = ("-O2", "-fomit-frame-pointer", "-ffunction-sections", "-fdata-sections", "-fno-exceptions")
_ZIG = ("-fhosted", "-fno-sanitize=all", "-g0", "-isystem", str(PORT / "include"))


def compiler(board: Board, *, gcc: bool = False) -> list[str]:
    """The C compiler for a board; the test is skipped where that is gcc and not installed."""
    core = board.core
    if not gcc:
        return [*zig_cc(), f"--target={core.zig_target}", *core.zig_flags, *_ZIG]
    if core.gcc is None or shutil.which(core.gcc) is None:
        pytest.skip(f"{core.gcc} is not installed")
    return [core.gcc, *core.gcc_flags]


def build(
    sources: Sequence[Path],
    includes: Sequence[Path],
    board: Board,
    out: Path,
    *,
    script: str | None = None,
    gcc: bool = False,
) -> Path:
    """An ELF with its own start-up and linker ``script``, or with chipfit's if there is none."""
    out.parent.mkdir(parents=True, exist_ok=True)
    command = compiler(board, gcc=gcc)
    port = [PORT / "semihost.c"] if script is None else []
    port += [PORT / f"start_{board.core.arch}.c"] if script is None else []
    port += [] if gcc else [PORT / "cf_math.c"]
    objects = [out.parent / f"{i}.o" for i in range(len(sources) + len(port))]

    def compile_one(pair: tuple[Path, Path]) -> None:
        source, target = pair
        is_cpp = source.suffix in (".cpp", ".cc")
        language = ["-std=c++17", "-fno-rtti", "-fno-threadsafe-statics"] if is_cpp else ["-std=gnu11"]
        driver = [command[0], "c++", *command[2:]] if is_cpp and not gcc else command
        flags = [*language, *_COMMON, *STRICT, *(f"-I{folder}" for folder in (*includes, PORT))]
        _run([*driver, *flags, "-c", str(source), "-o", str(target)])

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(compile_one, zip([*sources, *port], objects, strict=True)))
    text = script if script is not None else linker_script(board, 4096, strict=True)
    (out.parent / "link.ld").write_text(text, encoding="utf-8")
    link = ["-Wl,--gc-sections", "-Wl,--entry=cf_reset", f"-Wl,-T,{out.parent / 'link.ld'}", "-O2", "-o", str(out)]
    _run([*command, *map(str, objects), *link, *(["-nostartfiles", "-lm"] if gcc else [])])
    return out


def run(elf: Path, board: Board) -> MachineResult:
    return run_elf(elf, board, stdin=b"")


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False, encoding="utf-8")
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stderr[:4000]}"
