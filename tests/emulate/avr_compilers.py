"""What programs for an AVR are compiled with, and what they need to run."""

from __future__ import annotations

import shutil

import pytest

from chipfit.codegen.project import runtime_folder
from chipfit.emulate.avr import simavr_prefix

INCLUDE = runtime_folder() / "include"

COMPILERS = [pytest.param(None, id="zig"), pytest.param("avr-gcc", id="avr-gcc")]

need_simavr = pytest.mark.skipif(simavr_prefix() is None, reason="simavr is not installed")


def require(cc: str | None) -> None:
    """Skip the test where that compiler is not installed."""
    if cc is not None and shutil.which(cc) is None:
        pytest.skip(f"{cc} is not installed")
