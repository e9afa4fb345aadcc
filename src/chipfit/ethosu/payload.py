"""The payload of an ``ethos-u`` operator: what its driver is told, and the command stream in it.

Little-endian words: ``COP1``, then driver actions. An action's word is its number in bits 0..7 and a parameter in bits
16..31. Facts: Vela's ``driver_actions`` (Apache-2.0), and streams that it made.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from chipfit.errors import ChipfitError
from chipfit.ethosu.accelerators import Accelerator, accelerator_of

FORM = b"COP1"
LATER_FORM = b"COP2"

_CONFIG, _STREAM, _NOP = 1, 2, 5


@dataclass(frozen=True, eq=False)
class Payload:
    """``words``: the command stream, uint32; ``first``: where it begins in the payload, in words."""

    accelerator: Accelerator
    words: npt.NDArray[np.uint32]
    first: int


def parse_payload(data: bytes) -> Payload:
    """Read a payload. Raises ChipfitError A001 for what is none or damaged, A002 for an unknown accelerator."""
    if data[:4] == LATER_FORM:
        raise ChipfitError(
            "A001", "the payload has the form COP2, chipfit reads COP1", "compile with --cop-format COP1"
        )
    if data[:4] != FORM or len(data) % 4:
        raise _damaged(f"it begins with {data[:4]!r} and has {len(data)} bytes")
    words = np.frombuffer(data, "<u4")
    accelerator: Accelerator | None = None
    at = 1
    while at < len(words):
        word = int(words[at])
        action, high, parameter = word & 0xFF, (word >> 8) & 0xFF, word >> 16
        if action == _CONFIG and at + 2 < len(words):
            accelerator = accelerator_of(int(words[at + 1]), int(words[at + 2]))
            at += 3
        elif action == _NOP:
            at += 1
        elif action == _STREAM:
            count = parameter | high << 16
            if accelerator is None or at + 1 + count > len(words):
                raise _damaged(f"a stream of {count} words, {len(words) - at - 1} are left")
            return Payload(accelerator, words[at + 1 : at + 1 + count], at + 1)
        else:
            raise _damaged(f"driver action {action} at word {at}")
    raise _damaged("it holds no command stream")


def _damaged(what: str) -> ChipfitError:
    return ChipfitError("A001", f"damaged payload: {what}", "compile the model with Vela again")
