"""Cores and boards as data: what a chip can execute, where its memories lie, how fast it runs."""

from chipfit.targets.board import Board, Core, Cycles, Memory, Npu, Power
from chipfit.targets.load import board_names, core_names, load_board, load_core, parse_size, parse_toml

__all__ = [
    "Board",
    "Core",
    "Cycles",
    "Memory",
    "Npu",
    "Power",
    "board_names",
    "core_names",
    "load_board",
    "load_core",
    "parse_size",
    "parse_toml",
]
