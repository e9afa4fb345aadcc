"""An Ethos-U beside the emulated core: it executes command streams in the core's memory, by chipfit's simulator."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from chipfit.errors import ChipfitError
from chipfit.ethosu import ACCELERATORS, READ_ONLY, SCRATCH, SCRATCH_FAST, Simulator, parse_payload, require

WORDS = 8
"""Of a request: address and bytes of the payload, then of constants, working memory and fast working memory."""

ALIGNMENT = 16
"""Bytes: what Arm's driver asks of the stream and of each region (ethos-u-core-driver, src/ethosu_driver.c)."""


class Memory(Protocol):
    """The core's memory, with the checks of an access by the core."""

    def read(self, address: int, size: int) -> bytes: ...

    def write(self, address: int, data: bytes) -> None: ...


class EmulatedNpu:
    """Executes what a driver would be handed, with the checks that a driver makes."""

    def __init__(self, memory: Memory, accelerator: str) -> None:
        self._memory = memory
        self._accelerator = ACCELERATORS[accelerator]
        self._ready: dict[tuple[bytes, bytes], _Ready] = {}

    def invoke(self, words: Sequence[int]) -> None:
        """One request of :data:`WORDS` words. Every byte is read from and written to the core's memory.

        Raises ChipfitError A001 for a payload or addresses that a driver refuses, or a stream that cannot be executed;
        A002 for a stream of another accelerator.
        """
        stream, stream_bytes, *pairs = words
        bases, sizes = pairs[::2], pairs[1::2]
        for base in bases:
            _require_aligned("memory region", base)
        payload = self._memory.read(stream, stream_bytes)
        constants, scratch, fast = (self._memory.read(b, n) for b, n in zip(bases, sizes, strict=True))
        is_one = bases[SCRATCH] == bases[SCRATCH_FAST]
        key = (payload, constants)
        if key not in self._ready:
            self._ready[key] = _Ready(payload, constants, sizes, is_one=is_one)
        ready = self._ready[key]
        require(ready.simulator.payload.accelerator, self._accelerator)
        _require_aligned("command stream", stream + 4 * ready.simulator.payload.first)
        ready.scratch[:] = np.frombuffer(scratch, np.uint8)
        ready.fast[:] = np.frombuffer(fast, np.uint8)
        ready.simulator.run()
        self._memory.write(bases[SCRATCH_FAST], ready.fast.tobytes())
        self._memory.write(bases[SCRATCH], ready.scratch.tobytes())


class _Ready:
    """A simulator whose weights are decoded once, and the memories that it works in."""

    def __init__(self, payload: bytes, constants: bytes, sizes: Sequence[int], *, is_one: bool) -> None:
        self.scratch = np.zeros(sizes[SCRATCH], np.uint8)
        self.fast = self.scratch if is_one else np.zeros(sizes[SCRATCH_FAST], np.uint8)
        regions = {
            READ_ONLY: np.frombuffer(constants, np.uint8),
            SCRATCH: self.scratch,
            SCRATCH_FAST: self.fast,
        }
        self.simulator = Simulator(parse_payload(payload), regions)


def _require_aligned(what: str, address: int) -> None:
    if address % ALIGNMENT:
        text = f"a {what} at {address:#010x} is not aligned to {ALIGNMENT} bytes: the NPU's driver refuses it"
        raise ChipfitError("A001", text, "in generated code this is a bug of chipfit: please report it")
