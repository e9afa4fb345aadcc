"""The serial ports of this computer. One is never taken unless it was named, or is the only one and was asked for."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from chipfit.errors import ChipfitError

AUTO = "auto"
"""What a user names to have the only port taken."""

_DEVICES = ("ttyACM*", "ttyUSB*", "cu.usb*")
"""Names of USB serial ports on Linux and macOS."""

_CHECK = (
    "plug the board in with a cable that carries data; on Linux your user must be in the group 'dialout'; "
    "some boards must be reset twice to show their port"
)


@dataclass(frozen=True)
class Port:
    """``device``: as tools name it; ``title``: what the board says of itself over USB, empty where that is unknown."""

    device: str
    title: str

    def __str__(self) -> str:
        return f"{self.device} ({self.title})" if self.title else self.device


def serial_ports() -> list[Port]:
    """The USB serial ports that are there, by name."""
    try:
        listing: Any = import_module("serial.tools.list_ports")
    except ImportError:
        return _ports_of(Path("/dev"), Path("/sys/class/tty"))
    found = (p for p in listing.comports() if p.vid is not None)
    return sorted((Port(p.device, p.product or p.description or "") for p in found), key=lambda port: port.device)


def _ports_of(devices: Path, classes: Path) -> list[Port]:
    """Without pyserial: by the names of devices; Linux tells what they are.

    Raises ChipfitError T001 on Windows, where devices are no files.
    """
    if sys.platform == "win32":
        raise ChipfitError("T001", "serial ports are found with pyserial", "python -m pip install pyserial")
    names = sorted(path for pattern in _DEVICES for path in devices.glob(pattern))
    return [Port(str(path), _product(classes / path.name / "device")) for path in names]


def _product(device: Path) -> str:
    """The product's name lies with the USB device, one or two folders above its interface."""
    for folder in (device / "..", device / ".." / ".."):
        try:
            return (folder / "product").read_text(encoding="utf-8", errors="replace").strip()
        except OSError:
            continue
    return ""


def choose_port(
    asked: str | None, confirm: Callable[[Port], bool] | None = None, ports: Sequence[Port] | None = None
) -> Port:
    """The port that the user means. ``confirm``: asks a person whether it is the only one there; None: nobody is there
    to be asked. ``ports``: those that are there; None: look.

    Raises ChipfitError D001 if the named one is not there; or if none was named: then all candidates are listed.
    """
    there = serial_ports() if ports is None else list(ports)
    if asked is not None and asked != AUTO:
        return _named(asked, there)
    if not there:
        raise ChipfitError("D001", "there is no serial port of a board", _CHECK)
    only = there[0] if len(there) == 1 else None
    if only is not None and (asked == AUTO or (confirm is not None and confirm(only))):
        return only
    said = "there are several serial ports" if only is None else "no serial port was named"
    auto = f", or --port {AUTO} for the only one" if only is not None else ""
    raise ChipfitError("D001", f"{said}: {_listed(there)}", f"--port {there[0].device} names one{auto}")


def _named(device: str, there: Sequence[Port]) -> Port:
    found = next((port for port in there if port.device == device), None)
    # a port may be called by another name than it is listed by, such as a link
    if found is None and device.startswith("/") and not Path(device).exists():
        hint = f"there is {_listed(there)}" if there else _CHECK
        raise ChipfitError("D001", f"there is no serial port '{device}'", hint)
    return found or Port(device, "")


def _listed(ports: Sequence[Port]) -> str:
    return ", ".join(map(str, ports))
