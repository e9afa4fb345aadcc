"""Damaged models for the fuzz test: the file cut, bits flipped, offsets and lengths overwritten, pieces exchanged."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated

schema: Any = schema_py_generated

#: numbers that break things when they are taken for a length, an index, a dimension or an offset
NASTY = (0, 1, 2, 3, 4, 7, 8, 127, 128, 255, 256, 65535, 65536, 1 << 20, 1 << 30, (1 << 31) - 1, 1 << 31, (1 << 32) - 1)


def structure(data: bytes) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Positions of 32-bit words that are not inside of a buffer's elements: there a change does the most harm."""
    inside = np.zeros(len(data), np.bool_)
    model = schema.Model.GetRootAs(data)
    for i in range(model.BuffersLength()):
        raw = model.Buffers(i)
        # small buffers hold shapes and axes: these are worth a change
        if raw.DataLength() > 64:
            start = raw._tab.Vector(raw._tab.Offset(4))
            inside[start : start + raw.DataLength()] = True
    words = np.arange(0, len(data) - 3, 4)
    return words[~inside[words]]


def mutants(data: bytes, other: bytes, rng: np.random.Generator) -> Iterator[bytes]:
    """Endless mutants of ``data``; ``other`` lends pieces."""
    words = structure(data)
    kinds = [_cut, _flip, _overwrite, _overwrite, _overwrite, _nudge, _nudge, _copy, _splice]
    while True:
        mutant = bytearray(data)
        for _ in range(int(rng.choice([1, 1, 1, 2, 5]))):
            kinds[int(rng.integers(len(kinds)))](mutant, other, words[words < len(mutant) - 3], rng)
            if len(mutant) < 16:
                break
        yield bytes(mutant)


def _pick(words: np.ndarray[Any, Any], rng: np.random.Generator) -> int:
    return int(rng.choice(words)) if len(words) else 8


def _cut(mutant: bytearray, other: bytes, words: np.ndarray[Any, Any], rng: np.random.Generator) -> None:
    del mutant[int(rng.integers(len(mutant))) :]


def _flip(mutant: bytearray, other: bytes, words: np.ndarray[Any, Any], rng: np.random.Generator) -> None:
    for _ in range(int(rng.integers(1, 9))):
        position = min(_pick(words, rng) + int(rng.integers(4)), len(mutant) - 1)
        mutant[position] ^= 1 << int(rng.integers(8))


def _overwrite(mutant: bytearray, other: bytes, words: np.ndarray[Any, Any], rng: np.random.Generator) -> None:
    number = int(rng.choice(NASTY)) if rng.random() < 0.7 else int(rng.integers(1 << 32))
    position = _pick(words, rng)
    mutant[position : position + 4] = number.to_bytes(4, "little")


def _nudge(mutant: bytearray, other: bytes, words: np.ndarray[Any, Any], rng: np.random.Generator) -> None:
    """A number that is nearly right gets further than a wild one."""
    position = _pick(words, rng)
    number = int.from_bytes(mutant[position : position + 4], "little") + int(rng.choice([-8, -4, -1, 1, 4, 8]))
    mutant[position : position + 4] = (number % (1 << 32)).to_bytes(4, "little")


def _copy(mutant: bytearray, other: bytes, words: np.ndarray[Any, Any], rng: np.random.Generator) -> None:
    """One word of the structure over another."""
    source, target = _pick(words, rng), _pick(words, rng)
    mutant[target : target + 4] = mutant[source : source + 4]


def _splice(mutant: bytearray, other: bytes, words: np.ndarray[Any, Any], rng: np.random.Generator) -> None:
    source, target = int(rng.integers(len(other))), _pick(words, rng)
    piece = other[source : source + int(rng.integers(4, 64))]
    mutant[target : target + len(piece)] = piece
