"""What of all that chipfit uses is there on this computer, and how to get the rest."""

from __future__ import annotations

import platform
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from chipfit.report.info import Check, DoctorReport

_PACKAGES = (
    ("numpy", "arrays; the reference"),
    ("ai-edge-litert", "reads .tflite; compares float models"),
    ("capstone", "disassembly"),
    ("pyelftools", "symbols and sections of compiled programs"),
    ("typer", "the command line"),
    ("rich", "the command line"),
)
_OLDEST_PYTHON = (3, 10)


def examine(progress: Callable[[str], None] | None = None) -> DoctorReport:
    """Look at everything. ``progress`` is told what is looked at now."""
    checks: list[Callable[[], Check]] = [
        _python,
        *(lambda name=name, purpose=purpose: _package(name, purpose) for name, purpose in _PACKAGES),
        _zig,
        _unicorn,
        _counter,
        _tflite_micro,
        lambda: _program("arm-none-eabi-gcc", "compile for Arm with your own gcc: --cc", _arm_gcc_hint()),
        _qemu,
        lambda: _program("avr-gcc", "compile for AVR with your own gcc: --cc", _avr_gcc_hint()),
        _simavr,
    ]
    done: list[Check] = []
    for check in checks:
        if progress:
            progress(f"check {len(done) + 1} of {len(checks)}")
        done.append(check())
    return DoctorReport(tuple(done))


def _python() -> Check:
    wanted = ".".join(map(str, _OLDEST_PYTHON))
    found = f"{platform.python_version()}, {platform.system()} {platform.machine()}"
    return Check("python", "runs chipfit", True, sys.version_info >= _OLDEST_PYTHON, found, f"Python {wanted} or newer")


def _package(name: str, purpose: str, *, required: bool = True, install: str = "") -> Check:
    found = _version(name)
    return Check(name, purpose, required, found is not None, found, install or f"pip install {name}")


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _zig() -> Check:
    """The compiler counts as there if it compiles a file without content."""
    from chipfit.emulate.toolchain import zig_cc

    purpose = "the C compiler: chips and this computer"
    found = _version("ziglang")
    if found is None:
        return Check("zig", purpose, True, False, None, "pip install ziglang")
    with tempfile.TemporaryDirectory(prefix="chipfit-doctor-") as folder:
        source = Path(folder) / "empty.c"
        source.write_text("", encoding="utf-8")
        problem = _problem([*zig_cc(), "-c", str(source), "-o", str(source.with_suffix(".o"))])
    if problem:
        return Check("zig", purpose, True, False, f"{found}, which fails: {problem}", "pip install -U ziglang")
    return Check("zig", purpose, True, True, found, "")


def _unicorn() -> Check:
    purpose = "the emulator of the chips"
    found = _version("unicorn")
    try:
        import_module("unicorn")
    except ImportError as error:
        broken = None if found is None else f"{found}, which does not load: {error}"
        return Check("unicorn", purpose, True, False, broken, "pip install unicorn")
    return Check("unicorn", purpose, True, True, found, "")


def _counter() -> Check:
    from chipfit.emulate.counter import has_native_counter

    purpose = "counts instructions; without it runs are slower"
    there = has_native_counter()
    return Check("native counter", purpose, False, there, "built" if there else None, "needs the compiler and unicorn")


def _tflite_micro() -> Check:
    return _package(
        "tflite-micro",
        "what `chipfit verify` compares with",
        required=False,
        install="pip install tflite-micro (wheels for Linux on x86-64 only)",
    )


def _program(name: str, purpose: str, install: str) -> Check:
    path = shutil.which(name)
    if path is None:
        return Check(name, purpose, False, False, None, install)
    found = _program_version([path, "--version"])
    return Check(name, purpose, False, found is not None, found or f"{path} does not start", install)


def _arm_gcc_hint() -> str:
    if sys.platform == "darwin":
        return "brew install --cask gcc-arm-embedded"
    if sys.platform == "win32":
        return "winget install Arm.GnuArmEmbeddedToolchain"
    return "apt install gcc-arm-none-eabi"


def _qemu() -> Check:
    from chipfit.emulate.qemu import install_hint

    return _program("qemu-system-arm", "the emulator of cores with Helium; a second one for others", install_hint())


def _avr_gcc_hint() -> str:
    if sys.platform == "darwin":
        return "brew tap osx-cross/avr && brew install avr-gcc"
    return "winget install ZakKemble.avr-gcc" if sys.platform == "win32" else "apt install gcc-avr avr-libc"


def _simavr() -> Check:
    """Its headers count: what runs it is compiled on first use."""
    from chipfit.emulate.avr import install_hint, simavr_prefix

    prefix = simavr_prefix()
    return Check(
        "simavr",
        "the emulator of AVR chips (arduino-uno)",
        False,
        prefix is not None,
        None if prefix is None else f"in {prefix}",
        install_hint(),
    )


def _problem(command: list[str]) -> str | None:
    """Why a command failed, in one line; None if it did not."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=120, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    lines = (done.stderr or done.stdout).strip().splitlines()
    return None if done.returncode == 0 else (lines[-1] if lines else f"exit code {done.returncode}")


def _program_version(command: list[str]) -> str | None:
    """The first thing that looks like a version in what a program says of itself; None if it does not run."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    found = re.search(r"(?<![\w.:])\d+\.\d+(\.\d+)*(?!\w)", done.stdout)
    return None if done.returncode else (found.group() if found else "there")
