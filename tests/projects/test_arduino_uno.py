"""An arduino project for the Uno, with Arduino's own core for AVRs, on simavr's own command: where all of it is
installed (Debian: gcc-avr avr-libc arduino-core-avr simavr)."""

from __future__ import annotations

import re
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from chipfit.project import write_project
from chipfit.quantize import Preprocessing
from projects.small import pictures

CORE = Path("/usr/share/arduino/hardware/arduino/avr")
FILES = ["HardwareSerial.cpp", "HardwareSerial0.cpp", "Print.cpp", "abi.cpp", "main.cpp", "hooks.c", "wiring.c"]
TOOLS = ("avr-gcc", "avr-g++", "simavr")
# as the core's platform.txt and boards.txt have them
CHIP = ("-mmcu=atmega328p", "-DF_CPU=16000000L", "-DARDUINO=10819", "-DARDUINO_AVR_UNO", "-DARDUINO_ARCH_AVR")
FLAGS = ("-Os", "-ffunction-sections", "-fdata-sections")
# a naked function returns by its assembly, which gcc 5 does not know
STRICT = ("-Wall", "-Wextra", "-Wconversion", "-Werror", "-Wno-return-type")
C, CPP = ("avr-gcc", "-std=gnu11"), ("avr-g++", "-std=gnu++11", "-fno-exceptions", "-fno-threadsafe-statics")

pytestmark = pytest.mark.skipif(
    not CORE.is_dir() or not all(map(shutil.which, TOOLS)), reason="Arduino's core for AVRs or simavr is not installed"
)


def first_lines(program: Path, until: str) -> list[str]:
    """What a program prints over the serial port, up to the first line with these words."""
    found: list[str] = []
    command = ["simavr", "-m", "atmega328p", "-f", "16000000", str(program)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            # colors, and dots for the characters at the end of a line
            found.append(re.sub(r"\x1b\[\d*m", "", line).rstrip().removesuffix(".."))
            if until in line:
                break
        process.kill()
    return found


def test_a_sketch_with_the_real_core(tmp_path: Path) -> None:
    labels = [f"c{i}" for i in range(9)]
    how = Preprocessing(scale=1 / 127.5, mean=(1.0,))
    write_project(
        pictures(), "arduino-uno", "arduino", tmp_path / "p", preprocessing=how, labels=labels, count=2, name="net"
    )
    src, out = tmp_path / "p" / "src", tmp_path / "out"
    out.mkdir()
    shutil.copy(next((tmp_path / "p" / "examples").rglob("*.ino")), out / "sketch.cpp")
    includes = [f"-I{folder}" for folder in (CORE / "cores" / "arduino", CORE / "variants" / "standard", src)]
    own = [out / "sketch.cpp", *sorted((src / "net").glob("*.c"))]

    def compiled(source: Path) -> str:
        driver, target = CPP if source.suffix == ".cpp" else C, out / f"{source.name}.o"
        warnings = STRICT if source.parent.name == "net" else ("-w",)
        command = [*driver, *CHIP, *FLAGS, *warnings, *includes, "-c", str(source), "-o", str(target)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return str(target)

    with ThreadPoolExecutor(2) as pool:
        objects = list(pool.map(compiled, [*own, *(CORE / "cores" / "arduino" / name for name in FILES)]))
    program = out / "sketch.elf"
    subprocess.run(["avr-gcc", CHIP[0], "-Os", "-Wl,--gc-sections", *objects, "-lm", "-o", str(program)], check=True)
    lines = first_lines(program, "test inputs")
    assert [line.split(" ")[:3] for line in lines[:2]] == [["input", "0:", "class"], ["input", "1:", "class"]]
    assert all(line.endswith(" us: ok") for line in lines[:2])
    assert lines[2:] == ["chipfit net: 2 test inputs, 0 differ"]
