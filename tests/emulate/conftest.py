"""Programs compiled once a session."""

from __future__ import annotations

from pathlib import Path

import pytest

from chipfit.emulate import build_elf
from chipfit.targets import load_board
from emulate.samples import PROGRAMS, Build


@pytest.fixture(scope="session")
def build(tmp_path_factory: pytest.TempPathFactory) -> Build:
    """Compile programs/NAME.c for a board; the same program is compiled once."""
    folder = tmp_path_factory.mktemp("elf")
    done: dict[str, Path] = {}

    def compile_program(name: str, board: str, *defines: str) -> Path:
        key = f"{name}-{board}-{'-'.join(defines)}"
        if key not in done:
            out = folder / f"{len(done)}.elf"
            build_elf([PROGRAMS / f"{name}.c"], [], load_board(board), out, defines=defines)
            done[key] = out
        return done[key]

    return compile_program
