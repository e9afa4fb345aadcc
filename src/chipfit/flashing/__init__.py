"""A project onto its board, and what the board prints: with the tools of the user, by the project's framework."""

from chipfit.flashing.flash import FlashReport, flash
from chipfit.flashing.monitor import BAUD, MonitorReport, monitor
from chipfit.flashing.ports import AUTO, Port, choose_port, serial_ports

__all__ = ["AUTO", "BAUD", "FlashReport", "MonitorReport", "Port", "choose_port", "flash", "monitor", "serial_ports"]
