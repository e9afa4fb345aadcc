"""The programs of others that bring a project onto a board, and how to get each."""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Sequence
from dataclasses import dataclass

from chipfit.errors import ChipfitError


@dataclass(frozen=True)
class Tool:
    """``get``: a command or a sentence; ``page``: its own documentation says it in full."""

    program: str
    purpose: str
    get: str
    page: str


TOOLS = {
    tool.program: tool
    for tool in (
        Tool(
            "arduino-cli",
            "builds and uploads Arduino sketches",
            "install it as its page says",
            "https://docs.arduino.cc/arduino-cli/installation/",
        ),
        Tool(
            "pio",
            "builds and uploads PlatformIO projects",
            "python -m pip install platformio",
            "https://docs.platformio.org/en/latest/core/installation/",
        ),
        Tool(
            "idf.py",
            "builds and flashes ESP-IDF projects",
            "install ESP-IDF, then run its export script in this terminal",
            "https://docs.espressif.com/projects/esp-idf/en/stable/esp32c3/get-started/",
        ),
        Tool(
            "west",
            "builds and flashes Zephyr projects",
            "python -m pip install west, then make a Zephyr workspace",
            "https://docs.zephyrproject.org/latest/develop/getting_started/",
        ),
        Tool("cmake", "builds CMake projects", "python -m pip install cmake", "https://cmake.org/download/"),
        Tool(
            "picotool",
            "loads programs onto a Raspberry Pi Pico",
            "install it as its page says; or hold BOOTSEL, plug the board in and copy the .uf2 file to its drive",
            "https://github.com/raspberrypi/picotool",
        ),
        Tool(
            "openocd",
            "programs chips through a debug probe",
            "install the package 'openocd' of your system",
            "https://openocd.org/pages/getting-openocd.html",
        ),
        Tool(
            "pyocd",
            "programs Arm chips through a debug probe",
            "python -m pip install pyocd",
            "https://pyocd.io/docs/installing",
        ),
        Tool(
            "st-flash",
            "programs STM32 chips through an ST-LINK",
            "install the package 'stlink-tools' of your system",
            "https://github.com/stlink-org/stlink",
        ),
    )
}
"""By the name of the program."""


def is_there(program: str) -> bool:
    return shutil.which(program) is not None


def require(program: str) -> str:
    """The path of a program. Raises ChipfitError T001, which says how to get it."""
    path = shutil.which(program)
    if path is None:
        tool = TOOLS[program]
        raise ChipfitError("T001", f"{program}, which {tool.purpose}, is not installed", f"{tool.get}; {tool.page}")
    return path


def as_typed(words: Sequence[str]) -> str:
    """A command as it is typed into a shell."""
    return shlex.join(words)
