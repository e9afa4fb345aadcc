"""Which arguments of a kernel point into flash, on cores where that is a space of its own: read from its header."""

from __future__ import annotations

import re
from functools import cache
from importlib import resources

QUALIFIER = "CF_FLASH"
"""What stands behind the type of a constant there."""

FLASH_HEADER = "cf_flash.h"
"""Where the qualifier is defined."""

AVR_HEADER = "cf_avr.h"
"""The arithmetic of such a core, which generated code includes before any kernel."""

_COMMENT = re.compile(r"/\*.*?\*/", re.DOTALL)


@cache
def flash_arguments(kernel: str) -> frozenset[int]:
    """Positions of the parameters of a kernel's function that are declared ``const ... CF_FLASH *``."""
    header = resources.files("chipfit") / "runtime" / "kernels" / f"{kernel}.h"
    if not header.is_file():  # a loop: C text around other kernels
        return frozenset()
    text = _COMMENT.sub("", header.read_text(encoding="utf-8"))
    match = re.search(rf"\b{kernel}\(([^)]*)\)\s*{{", text)
    parameters = match[1].split(",") if match else []
    return frozenset(i for i, parameter in enumerate(parameters) if QUALIFIER in parameter)
