"""Show what a board prints, and notice if it says that its outputs differ."""

from __future__ import annotations

import re
import subprocess
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from queue import Empty, Queue
from typing import Any

from chipfit.errors import ChipfitError
from chipfit.flashing.commands import RECIPES
from chipfit.flashing.ports import Port
from chipfit.flashing.tools import as_typed, is_there
from chipfit.report.data import envelope

BAUD = 115200
"""Bits per second of the projects that ``chipfit project`` writes."""

DIFFERENT = re.compile(r"\bdiffers from the reference\b|\b[1-9]\d* differ\b")
"""What the programs of chipfit's projects print if an output is not that of the reference."""

_TICK = 0.1
"""Seconds after which an end is noticed."""


@dataclass(frozen=True)
class MonitorReport:
    """``lines``: how many were shown. ``found``: whether the text was seen that was waited for; None: none was named.
    ``difference``: the first line that says that an output differs; None: no line did. ``by``: what read the port."""

    port: str
    baud: int
    lines: int
    seconds: float
    found: bool | None
    difference: str | None
    by: str

    @property
    def passed(self) -> bool:
        return self.difference is None and self.found is not False

    def to_json(self) -> dict[str, Any]:
        return envelope("chipfit.monitor", self)


def monitor(
    port: Port,
    show: Callable[[str], None],
    *,
    baud: int = BAUD,
    until: str | None = None,
    seconds: float | None = None,
    say: Callable[[str], None] | None = None,
) -> MonitorReport:
    """Hand each line that a board prints to ``show``.

    Ends at KeyboardInterrupt (Ctrl-C); at a line that holds ``until``; after so many ``seconds``; or when the board is
    gone. ``say`` is told a command that is run in place of pyserial, where that is missing.
    Raises ChipfitError D001 if the port cannot be opened, T001 if nothing is there that can read it.
    """
    started, count, difference, found = time.monotonic(), 0, None, until is None
    with _source(port, baud, say) as (by, lines):
        try:
            while seconds is None or time.monotonic() - started < seconds:
                try:
                    line = lines.get(timeout=_TICK)
                except Empty:
                    continue
                if line is None:
                    break
                show(line)
                count += 1
                if difference is None and DIFFERENT.search(line):
                    difference = line
                if until is not None and until in line:
                    found = True
                    break
        except KeyboardInterrupt:
            pass
    wanted = None if until is None else found
    return MonitorReport(port.device, baud, count, time.monotonic() - started, wanted, difference, by)


@contextmanager
def _source(port: Port, baud: int, say: Callable[[str], None] | None) -> Generator[tuple[str, Queue[str | None]]]:
    """What reads the port, and its lines; None is the last."""
    lines: Queue[str | None] = Queue()
    try:
        serial: Any = import_module("serial")
    except ImportError:
        with _by_command(port, baud, lines, say) as program:
            yield program, lines
        return
    try:
        device: Any = serial.Serial(port.device, baud, timeout=_TICK)
    except (OSError, ValueError) as error:
        hint = "is another program reading it? on Linux your user must be in the group 'dialout'"
        raise ChipfitError("D001", f"the serial port {port} cannot be opened: {error}", hint) from None
    done = threading.Event()
    reader = threading.Thread(target=_read_serial, args=(device, lines, done), daemon=True)
    reader.start()
    try:
        yield "pyserial", lines
    finally:
        done.set()
        reader.join()
        device.close()


def _read_serial(device: Any, lines: Queue[str | None], done: threading.Event) -> None:
    """Lines as they come; what has no end yet is shown when the board is gone."""
    begun = b""
    while not done.is_set():
        try:
            begun += device.read(max(1, device.in_waiting))
        except OSError:  # the board was unplugged, or restarted
            break
        *whole, begun = begun.split(b"\n")
        for line in whole:
            lines.put(_text(line))
    if begun:
        lines.put(_text(begun))
    lines.put(None)


@contextmanager
def _by_command(port: Port, baud: int, lines: Queue[str | None], say: Callable[[str], None] | None) -> Generator[str]:
    """By the first monitor of a framework that is installed."""
    template = next((r.monitor for r in RECIPES.values() if r.monitor and is_there(r.monitor[0])), None)
    if template is None:
        raise ChipfitError("T001", "serial ports are read with pyserial", "python -m pip install pyserial")
    words = [word.format(port=port.device, baud=baud) for word in template]
    if say:
        say(as_typed(words))
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stdin=subprocess.PIPE)

    def read() -> None:
        assert process.stdout is not None
        for line in process.stdout:
            lines.put(_text(line))
        lines.put(None)

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    try:
        yield words[0]
    finally:
        process.terminate()
        process.wait()
        reader.join()


def _text(line: bytes) -> str:
    return line.decode("utf-8", "replace").rstrip("\r\n")
