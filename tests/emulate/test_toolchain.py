"""Compiling: sizes, what does not fit, what does not compile, the library for this computer."""

from __future__ import annotations

import ctypes
import dataclasses
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from chipfit.emulate import Elf, HostLibrary, build_elf, build_host_library, run_elf
from chipfit.errors import ChipfitError
from chipfit.targets import Memory, load_board
from emulate.samples import EMULATED, PROGRAMS, STDIN, Build


def source(folder: Path, text: str, name: str = "main.c") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize("name", EMULATED)
def test_sizes_and_symbols(build: Build, name: str) -> None:
    elf = Elf.load(build("checksum", name))
    sizes = elf.sizes()
    assert sizes.data == 8  # seed, and what its alignment takes
    assert 1000 <= sizes.bss < 1100
    assert 500 < sizes.code < 16_000
    assert sizes.rodata < 8_000
    checksum = elf.symbol("checksum")
    assert checksum is not None
    assert checksum.size > 0
    assert elf.function_at(checksum.address) == "checksum"
    assert elf.function_at(checksum.address + checksum.size - 2) == "checksum"
    assert elf.function_at(load_board(name).ram.origin) is None


@pytest.mark.parametrize("name", ["arduino-nano-33-ble", "maix-bit"])
def test_does_not_fit(tmp_path: Path, name: str) -> None:
    """The figures are exact; on maix-bit the overfull flash runs into RAM."""
    board = load_board(name)
    big = board.flash.size
    main = source(
        tmp_path,
        f"""const unsigned char weights[{big}] = {{1, 2, 3}};
        unsigned char arena[{board.ram.size + 1}];
        int main(void) {{ volatile int i = 5; arena[i] = weights[i]; return arena[i]; }}""",
    )
    out = tmp_path / "big.elf"
    with pytest.raises(ChipfitError, match=f"does not fit {name}: flash .*; ram ") as caught:
        build_elf([main], [], board, out)
    assert caught.value.code == "M001"
    # stack, then the array rounded up to 8 bytes
    assert f"({board.ram.size + 4096 + 8:,} B needed, {4096 + 8:,} B too many)" in caught.value.message
    assert not out.exists()


def test_bad_c_is_reported(tmp_path: Path) -> None:
    main = source(tmp_path, "int main(void) { return undeclared; }")
    with pytest.raises(ChipfitError, match="undeclared") as caught:
        build_elf([main], [], load_board("esp32-c3"), tmp_path / "x.elf")
    assert caught.value.code == "T002"
    missing = source(tmp_path, "int gone(void); int main(void) { return gone(); }")
    with pytest.raises(ChipfitError, match="undefined symbol: gone"):
        build_elf([missing], [], load_board("esp32-c3"), tmp_path / "x.elf")
    with pytest.raises(ChipfitError, match="cannot start no-such-compiler") as caught:
        build_elf([main], [], load_board("esp32-c3"), tmp_path / "x.elf", cc="no-such-compiler")
    assert caught.value.code == "T001"


def test_second_ram(tmp_path: Path) -> None:
    """Variables can be sent to another memory by name."""
    board = load_board("arduino-nano-33-ble")
    board = dataclasses.replace(board, memories=(*board.memories, Memory("fast", "ram", 0x1000_0000, 8192)))
    main = source(
        tmp_path,
        """__attribute__((section(".fast"))) int value[4];
        int main(void) { volatile int i = 2; value[i] = 40; return value[i] + 2; }""",
    )
    elf = build_elf([main], [], board, tmp_path / "two.elf")
    symbol = elf.symbol("value")
    assert symbol is not None
    assert symbol.address == 0x1000_0000
    assert run_elf(elf.path, board, stdin=b"").exit_code == 42


def test_unaligned_load_is_one_instruction(tmp_path: Path) -> None:
    """memcpy of 4 bytes must not become a call: kernels read words with it."""
    main = source(
        tmp_path,
        """#include <string.h>
        #include <stdint.h>
        __attribute__((noinline)) uint32_t load(const void *p) { uint32_t x; memcpy(&x, p, 4); return x; }
        int main(void) { volatile uint32_t word[2] = {0, 1}; return (int)load((const char *)word + 1) & 1; }""",
    )
    elf = build_elf([main], [], load_board("arduino-nano-33-ble"), tmp_path / "load.elf")
    load = elf.symbol("load")
    assert load is not None
    assert load.size == 4  # ldr r0, [r0]; bx lr


HOST_C = """
#include <math.h>
#include <stdint.h>
int32_t counter = VALUE;
int32_t sum(const int8_t *x, int32_t n) { int32_t i, s = 0; for (i = 0; i < n; ++i) s += x[i]; return s + counter; }
float root(float x) { return sqrtf(x); }
"""


def test_host_library_and_rebuild(tmp_path: Path) -> None:
    """A library built again at the same path is the new one, while the old one stays usable."""
    values = np.array([1, -2, 100], np.int8)
    libraries: list[HostLibrary] = []
    for value in (1000, 2000):
        file = source(tmp_path, HOST_C.replace("VALUE", str(value)), "lib.c")
        libraries.append(HostLibrary(build_host_library([file], [], tmp_path / "lib")))
    assert [library.call("sum", values, 3) for library in libraries] == [1099, 2099]
    new = libraries[1]
    new.view("counter", np.int32, 1)[0] = 5
    assert new.call("sum", values, 3) == 104
    assert new.call("root", 6.25, returns=ctypes.c_float) == 2.5
    assert new.has("sum")
    assert not new.has("product")
    with pytest.raises(ChipfitError, match="no function product"):
        new.call("product")
    with pytest.raises(ValueError, match="C order"):
        new.call("sum", np.arange(6, dtype=np.int8)[::2], 3)


def test_sanitizer_stops_the_process(tmp_path: Path) -> None:
    """In a process of its own, for it ends there; the same call without sanitizer returns."""
    text = "#include <stdint.h>\nint32_t next(int32_t x) { return x + 1; }\n"
    file = source(tmp_path, text, "next.c")
    for sanitize in (False, True):
        library = build_host_library([file], [], tmp_path / f"next{sanitize}", sanitize=sanitize)
        code = f"import ctypes; print(ctypes.CDLL({str(library)!r}).next(2**31 - 1))"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
        assert (done.returncode != 0) == sanitize, done.stderr
        assert ("overflow" in done.stderr) == sanitize


def test_runs_in_qemu_too(build: Build, tmp_path: Path) -> None:
    """The same ELF on another emulator with a debugger's semihosting."""
    qemu = shutil.which("qemu-system-arm")
    if qemu is None:
        pytest.skip("qemu-system-arm is not installed")
    board = load_board("arduino-nano-33-ble")
    memories = (Memory("flash", "flash", 0, 1 << 20), Memory("ram", "ram", 0x2000_0000, 128 * 1024))
    board = dataclasses.replace(board, memories=memories)
    elf = build_elf([PROGRAMS / "checksum.c"], [], board, tmp_path / "qemu.elf")
    (tmp_path / "chipfit.in").write_bytes(STDIN)
    command = [qemu, "-M", "mps2-an386", "-semihosting", "-nographic", "-kernel", str(elf.path)]
    done = subprocess.run(command, cwd=tmp_path, timeout=60, capture_output=True, check=False)
    expected = run_elf(elf.path, board, stdin=STDIN)
    assert done.returncode == expected.exit_code
    assert (tmp_path / "chipfit.out").read_bytes() == expected.output
