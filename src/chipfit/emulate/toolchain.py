"""Turn C into a program for a board, or into a shared library for this computer.

The compiler is ``zig cc`` from the ziglang wheel (clang and lld with a support library for every target), or the
user's own gcc. Zig's support library brings memcpy, memmove, memset, memcmp, strlen, soft floating point and, of
math.h, exp exp2 fabs floor ceil fma fmax fmin fmod log log2 log10 round sin cos tan sqrt trunc (float and double).
It lacks tanhf, powf, expm1f, log1pf and rintf (found by linking; ziglang 0.17): those are in runtime/port/cf_math.c.
A user's gcc links its own C library instead. For an AVR zig's support library does not compile: support_avr.S in
runtime/port stands for it, and the linker is called without the driver that would add that library.

The support library is compiled by zig on the first use of a target (about 6 s, once, kept in zig's cache).
"""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from string import Template

from chipfit.emulate.elf import Elf
from chipfit.errors import ChipfitError
from chipfit.targets import Board, Core, Memory

PORT = Path(__file__).parent.parent / "runtime" / "port"
_INCLUDE = PORT.parent / "include"

# Lengths of the memories in the linker script: more than any board has, so that a program that is too large still links
# and its needs are known exactly. 256 MiB.
_SPAN = 1 << 28

_C11 = "-std=c11"
_COMMON = ("-ffunction-sections", "-fdata-sections", "-fomit-frame-pointer", "-fno-math-errno")
_BARE = ("-fno-unwind-tables", "-fno-asynchronous-unwind-tables", "-fno-exceptions")
# zig adds -ffreestanding for bare chips, and with it clang calls memcpy for a load of 4 bytes and sqrtf for a square
# root; -fhosted takes that back. zig also sanitizes by default.
_ZIG_BARE = ("-fhosted", "-fno-sanitize=all", "-g0")
_WORKERS = min(4, os.cpu_count() or 1)


def zig_cc() -> list[str]:
    """The command of the C compiler in the ziglang wheel.

    The program itself where it is found: by way of ``python -m`` each of many calls starts an interpreter as well.
    """
    package = importlib.util.find_spec("ziglang")
    for folder in (package.submodule_search_locations or ()) if package else ():
        program = Path(folder) / ("zig.exe" if sys.platform == "win32" else "zig")
        if program.is_file():
            return [str(program), "cc"]
    return [sys.executable, "-m", "ziglang", "cc"]


def zig_linker() -> list[str]:
    """The command of the linker alone."""
    return [*zig_cc()[:-1], "ld.lld"]


def build_elf(
    sources: Sequence[Path],
    include_dirs: Sequence[Path],
    board: Board,
    out: Path,
    *,
    optimize: str = "-O2",
    cc: str | None = None,
    stack_bytes: int = 4096,
    extra_flags: Sequence[str] = (),
    defines: Sequence[str] = (),
) -> Elf:
    """Compile and link a program with a ``main`` and chipfit's start-up code for a board.

    ``cc`` is the command of a gcc or clang to use instead of zig; ``defines`` are ``NAME`` or ``NAME=VALUE``.
    T002 with the compiler's text where it fails, M001 with the figures where the board is too small. ``out`` is
    written only when all is well.
    """
    core = board.core
    if core.arch == "host":
        raise ChipfitError("U001", f"{board.name} runs no ELF programs", "build_host_library makes its library")
    compiler = [cc] if cc else [*zig_cc(), f"--target={core.zig_target}"]
    is_avr = core.arch == "avr"
    flags = [*_core_flags(core, cc), _language(core), *_COMMON, *_BARE, optimize, *extra_flags]
    flags += [f"-D{item}" for item in defines]
    if cc is None:
        flags += [*_ZIG_BARE, "-isystem", str(PORT / "include")]
    flags += [f"-I{folder}" for folder in (*include_dirs, PORT, *([_INCLUDE] if is_avr or board.npu else []))]
    inputs = [*sources, PORT / ("port_avr.c" if is_avr else "semihost.c"), PORT / f"start_{core.arch}.c"]
    if board.npu is not None:
        inputs.append(PORT / "npu_emulated.c")
    if cc is None:
        inputs.append(PORT / ("support_avr.S" if is_avr else "cf_math.c"))
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="chipfit-") as folder_name:
        folder = Path(folder_name)
        objects = _compile(compiler, flags, inputs, folder)
        linked = folder / "program.elf"
        _link(_link_command(compiler, core, cc, objects, linked), board, stack_bytes, folder)
        check_fit(Elf.load(linked), board)
        replace_file(linked, out)
    return Elf.load(out)


def build_host_library(
    sources: Sequence[Path],
    include_dirs: Sequence[Path],
    out: Path,
    *,
    optimize: str = "-O2",
    sanitize: bool = False,
    cc: str | None = None,
) -> Path:
    """Compile C into a shared library for this computer and return its path.

    ``out`` gets the system's suffix (.so, .dylib, .dll). ``sanitize`` turns undefined behaviour into a message and an
    abort of the process that runs the library: use it in a process of its own. With the user's own compiler it also
    finds bad addresses, for which that process must have the sanitizer's runtime preloaded.
    """
    compiler = [cc] if cc else zig_cc()
    flags = [_C11, *_COMMON, optimize, *(["-fPIC"] if sys.platform != "win32" else [])]
    flags += [f"-I{folder}" for folder in include_dirs]
    link: list[str] = ["-shared", *([] if sys.platform == "win32" else ["-lm"])]
    if not sanitize:
        flags.append("-fno-sanitize=all" if cc is None else "-fno-sanitize=undefined")
    else:
        checks = ["-fsanitize=undefined" if cc is None else "-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
        flags += [*checks, "-g"]
        link += checks
    suffix = {"win32": ".dll", "darwin": ".dylib"}.get(sys.platform, ".so")
    target = out.with_suffix(suffix)
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="chipfit-") as folder_name:
        folder = Path(folder_name)
        objects = _compile(compiler, flags, sources, folder)
        linked = folder / f"library{suffix}"
        _run([*compiler, *objects, "-o", str(linked), *link, optimize], "linking")
        replace_file(linked, target)
    return target


def linker_script(board: Board, stack_bytes: int, *, strict: bool = False) -> str:
    """The linker script of a board, with a stack of that size at the bottom of its RAM.

    ``strict``: the linker itself refuses what is too large. Else memories have more length than the board's, so that
    :func:`check_fit` can say by how much.
    """

    def length(memory: Memory) -> str:
        return hex(memory.size if strict else _SPAN)

    more = [memory for memory in board.memories if memory not in (board.flash, board.ram)]
    name = "link_avr.ld.in" if board.core.arch == "avr" else "link.ld.in"
    template = Template((PORT / name).read_text(encoding="utf-8"))
    return template.substitute(
        board=board.name,
        flash_origin=hex(board.flash.origin),
        ram_origin=hex(board.ram.origin),
        flash_length=length(board.flash),
        ram_length=length(board.ram),
        stack_bytes=stack_bytes,
        more_regions="\n".join(
            f"    {memory.name} ({'rx' if memory.kind == 'flash' else 'rw'}) : "
            f"ORIGIN = {memory.origin:#x}, LENGTH = {length(memory)}"
            for memory in more
        ),
        more_headers="\n".join(f"    {memory.name} PT_LOAD;" for memory in more),
        more_sections="\n".join(_more_section(memory) for memory in more),
    )


def check_fit(elf: Elf, board: Board) -> None:
    """M001 with exact figures unless every memory of the board holds what the linker placed in it."""
    problems: list[str] = []
    for memory in board.memories:
        needed = used_bytes(elf, board, memory)
        if needed > memory.size:
            problems.append(
                f"{memory.name} {needed / 1024:,.1f} KiB of {memory.size / 1024:,.1f} KiB "
                f"({needed:,} B needed, {needed - memory.size:,} B too many)"
            )
    if problems:
        raise ChipfitError(
            "M001",
            f"the program does not fit {board.name}: {'; '.join(problems)}",
            "choose a board with more memory, a smaller input or a smaller model",
        )


def used_bytes(elf: Elf, board: Board, memory: Memory) -> int:
    """Bytes of a memory that a program takes, from its origin on."""
    end = memory.kind if memory in (board.flash, board.ram) else memory.name
    return max(0, elf.labels[f"cf_{end}_end"] - memory.origin)


def replace_file(source: Path, target: Path) -> None:
    """Move a file to its place in one step, also when the two lie on different file systems."""
    handle, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(source.read_bytes())
        os.chmod(name, 0o755)  # noqa: PTH101 - mkstemp gives a name
        os.replace(name, target)  # noqa: PTH105
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _more_section(memory: Memory) -> str:
    """Variables go to another memory by __attribute__((section(".NAME"))); RAM there is not cleared at the start."""
    name = memory.name
    kind = " (NOLOAD)" if memory.kind == "ram" else ""
    body = f"*(.{name} .{name}.*) cf_{name}_end = .;"
    return f"    .{name}{kind} : ALIGN(16) {{ {body} }} > {name} :{name}"


def _core_flags(core: Core, cc: str | None) -> tuple[str, ...]:
    return core.gcc_flags if cc else core.zig_flags


def _language(core: Core) -> str:
    """Constants in an AVR's flash are named by an extension of GNU C."""
    return "-std=gnu11" if core.arch == "avr" else _C11


def _link_command(compiler: list[str], core: Core, cc: str | None, objects: list[str], out: Path) -> list[str]:
    """The command that links; what names the linker script comes last."""
    if core.arch == "avr" and cc is None:
        return [*zig_linker(), "--gc-sections", "--entry=cf_reset", *objects, "-o", str(out)]
    libraries = ["-nostartfiles", "-lc", "-lm", "-lgcc"] if cc else _zig_link_flags(core)
    link = ["-Wl,--gc-sections", "-Wl,--entry=cf_reset", *libraries, "-O2", "-o", str(out)]
    return [*compiler, *_core_flags(core, cc), *objects, *link]


def _zig_link_flags(core: Core) -> list[str]:
    """zig compiles its support library for the code model that reaches 2 GiB, whatever -mcmodel says.

    On 64 bits that does not reach 0x8000_0000; as position-independent code it runs everywhere.
    """
    return ["-fPIC"] if core.arch == "riscv" and core.bits == 64 else []


def _compile(compiler: list[str], flags: list[str], sources: Sequence[Path], folder: Path) -> list[str]:
    """Compile each source on its own, several at a time: zig given all at once takes them one by one."""
    objects = [str(folder / f"{index}_{source.stem}.o") for index, source in enumerate(sources)]

    def one(pair: tuple[Path, str]) -> None:
        _run([*compiler, *flags, "-c", str(pair[0]), "-o", pair[1]], pair[0].name)

    with ThreadPoolExecutor(_WORKERS) as pool:
        list(pool.map(one, zip(sources, objects, strict=True)))
    return objects


def _link(command: list[str], board: Board, stack_bytes: int, folder: Path) -> None:
    script = folder / "link.ld"
    command = [*command, *(["-T", str(script)] if "ld.lld" in command else [f"-Wl,-T,{script}"])]
    script.write_text(linker_script(board, stack_bytes), encoding="utf-8")
    try:
        _run(command, "linking")
    except ChipfitError as error:
        # A memory so overfull that it runs into the next one. Only the sizes are of interest then, and to get them the
        # memories are moved apart.
        if "overlap" not in error.message:
            raise
        apart = _moved_apart(board)
        script.write_text(linker_script(apart, stack_bytes), encoding="utf-8")
        _run(command, "linking")
        check_fit(Elf.load(folder / "program.elf"), apart)
        raise


def _moved_apart(board: Board) -> Board:
    memories = tuple(replace(memory, origin=index * _SPAN) for index, memory in enumerate(board.memories, start=1))
    return replace(board, memories=memories)


def _run(command: list[str], what: str) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", errors="replace", check=False)
    except OSError as problem:
        raise ChipfitError(
            "T001", f"cannot start {command[0]}: {problem.strerror or problem}", "chipfit's own compiler needs no --cc"
        ) from None
    if done.returncode:
        text = re.sub(r"\n{3,}", "\n\n", (done.stderr + done.stdout).strip())
        if "No module named ziglang" in text:
            raise ChipfitError("T001", "the Python package ziglang is missing", "pip install ziglang")
        raise ChipfitError("T002", f"{what}: the compiler failed\n{text[:8000]}")
