"""Damaged files of Vela: the file as any model, and its command stream, weights and sizes where they lie in it."""

from __future__ import annotations

import struct
from collections.abc import Iterator

import numpy as np

from importers.mutants import NASTY, mutants

HEAD = b"COP1"
"""With which a payload begins."""


def damaged_files(data: bytes, rng: np.random.Generator) -> Iterator[bytes]:
    """Endless mutants: every second one has a damaged stream, the others are damaged as any file."""
    whole = mutants(data, data, rng)
    start = data.index(HEAD)
    length = struct.unpack_from("<I", data, start - 4)[0]
    while True:
        yield next(whole)
        yield _damaged_stream(data, start, length, rng)


def _damaged_stream(data: bytes, start: int, length: int, rng: np.random.Generator) -> bytes:
    """One to five words of the payload changed: a parameter, all of it, or one over another."""
    mutant = bytearray(data)
    for _ in range(int(rng.choice([1, 1, 2, 5]))):
        at = start + 4 * int(rng.integers(length // 4))
        kind = rng.random()
        if kind < 0.5:
            mutant[at + 2 : at + 4] = int(rng.integers(1 << 16)).to_bytes(2, "little")
        elif kind < 0.8:
            mutant[at : at + 4] = int(rng.choice(NASTY)).to_bytes(4, "little")
        else:
            source = start + 4 * int(rng.integers(length // 4))
            mutant[at : at + 4] = mutant[source : source + 4]
    return bytes(mutant)
