"""Words of weights in fewer bytes: palettes of up to 16 weights, and bits for those that are not 0. Exact.

What is stored stands in runtime/include/cf_unpack.h, how it is read in runtime/kernels/cf_unpack_*.h. The words are
those of a kernel's constants (:class:`chipfit.ops.Coded`), of one or of several that are made one after the other.
Which form takes the fewest bytes is found by trying all.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np

from chipfit.graph import Array
from chipfit.ops import Arg, Call, Coded, Const, Function, Scratch

PALETTE = 16
"""Most weights of a palette."""

_NEARLY = 24
"""Most different weights for which a palette is tried: words that hold others than its own are stored as they are."""

_MOST = 65534
"""The greatest count of a part, even: codes of an odd number of words end with half a unit."""

_HEAD = 3
"""Words of the head."""

_STATE = 16
"""Bytes of ``cf_unpack_state`` in front of its pairs."""

_LANES, _SAME = 1, 2


@dataclass(frozen=True, eq=False)
class Packed:
    """``data``: all that is stored. ``begin``: the call before all others; ``make``: the one that makes the words of
    the next constant."""

    form: str
    data: Array
    begin: Call
    make: Call


def pack(constants: Sequence[Const]) -> Packed | None:
    """The form with the fewest bytes for constants that have marked words; None where there is none for them."""
    blocks = [_Block.of(const.data, const.coded) for const in constants if const.coded is not None]
    kinds = {block.coded.form for block in blocks}
    if len(kinds) != 1:
        return None
    used = np.concatenate([block.used() for block in blocks])
    if not used.size:
        return None
    chosen = _chosen(used)
    if kinds == {"scaled"}:
        return None if chosen is None else _scaled(blocks, chosen)
    zeros = float(np.mean(used == 0))
    if chosen is not None and _bits(chosen) <= 1 + 8 * (1 - zeros):
        return _palette(blocks, chosen)
    return _zeros(blocks, zeros)


# ---------------------------------------------------------------------------------------------- words and weights


@dataclass(frozen=True, eq=False)
class _Block:
    """Words of a constant, and the weights in each: (words, 4), or (words, 2) where they are scaled; 0 in others."""

    words: Array
    coded: Coded
    weights: Array

    @staticmethod
    def of(data: Array, coded: Coded) -> _Block:
        raw = np.ascontiguousarray(data).reshape(-1).view(np.uint8)
        words = np.pad(raw, (0, -raw.size % 4), "edge").view("<u4")  # the last one again fills up a word
        return _Block(words, coded, np.where(coded.where[:, None], _weights(words, coded), 0))

    def used(self) -> Array:
        """All of its weights."""
        return self.weights[self.coded.where].reshape(-1)


def _weights(words: Array, coded: Coded) -> Array:
    if coded.form == "bytes":
        return words.view(np.int8).reshape(-1, 4).astype(np.int64)
    halves = words.view("<i2").reshape(-1, 2).astype(np.int64)
    if coded.form == "scaled":
        assert coded.factors is not None
        return halves // np.maximum(coded.factors, 1)[:, None]
    low = (halves & 255 ^ 128) - 128
    return np.stack([low, (halves - low) >> 8], axis=2).reshape(-1, 4)


@dataclass(frozen=True, eq=False)
class _Parts:
    """A block as parts: ``table`` as it is stored, ``runs`` of words of weights, ``literals``: all other words."""

    table: tuple[int, ...]
    runs: list[Array]
    literals: Array


def _parts(block: _Block, where: Array) -> _Parts:
    """``where``: the words that are made; the others are literals."""
    edges = np.flatnonzero(np.diff(where.astype(np.int8), prepend=0, append=0))
    pairs: list[tuple[int, int]] = []
    runs: list[Array] = []
    at = 0
    for first, end in zip(edges[0::2].tolist(), edges[1::2].tolist(), strict=True):
        for literals, coded in _counts(first - at, end - first):
            pairs.append((literals, coded))
            if coded:
                runs.append(block.weights[first : first + coded])
                first += coded
        at = end
    pairs += _counts(len(where) - at, 0)
    table: list[int] = []
    for pair, same in groupby(pairs):
        count = len(list(same))
        while count:
            table += [min(count, _MOST), *pair]
            count -= min(count, _MOST)
    return _Parts((*table, 0, 0, 0), runs, block.words[~where])


def _counts(literals: int, coded: int) -> Iterator[tuple[int, int]]:
    """So many words in counts that fit their fields."""
    while literals > _MOST:
        yield _MOST, 0
        literals -= _MOST
    while coded > _MOST:
        yield literals, _MOST
        literals, coded = 0, coded - _MOST
    if literals or coded:
        yield literals, coded


def _packed(
    form: str,
    function: str,
    blocks: Sequence[_Block],
    parts: Sequence[_Parts],
    codes: Sequence[Array],
    *,
    palette: Array | None = None,
    bits: int = 0,
    more: Sequence[Array] | None = None,
    body: Sequence[Arg] = (),
) -> Packed | None:
    """Everything in one array. ``more``: None for the form that needs pairs. None if it is too long for its head."""
    tables = [part.table for part in parts]
    is_same = len(set(tables)) == 1
    sections = [
        _bytes([np.zeros(0, np.int8) if palette is None else palette.astype(np.int8)]),
        _bytes([np.array(table, "<u2") for table in (tables[:1] if is_same else tables)]),
        _bytes([part.literals for part in parts]),
        _bytes(codes),
        _bytes(more or []),
    ]
    at = _HEAD + np.cumsum([section.size // 4 for section in sections])
    begins = [*at[:3].tolist(), int(at[2] if more is None else at[3])]
    if max(begins) > 0xFFFF:
        return None
    flags = _LANES * (blocks[0].coded.form == "lanes") | _SAME * is_same
    head = np.array([*begins, bits, flags], "<u2").view(np.uint8)
    data = np.concatenate([head, *sections]).view("<u4").astype(np.uint32)
    state = Scratch(_STATE + ((2 << 2 * bits) if more is None else 0), "unpack")
    words = Scratch(4 * max(len(block.words) for block in blocks), "weights")
    stored = Const("packed", data, "weights")
    make = Call([stored, state, words, *body], function=function)
    return Packed(form, data, Call([stored, state], function="cf_unpack_begin"), make)


def _bytes(arrays: Sequence[Array]) -> Array:
    """The bytes of arrays, filled up to whole words."""
    joined = np.concatenate(
        [np.zeros(0, np.uint8), *(np.ascontiguousarray(a).reshape(-1).view(np.uint8) for a in arrays)]
    )
    return np.pad(joined, (0, -joined.size % 4))


# ---------------------------------------------------------------------------------------------- forms


def _chosen(used: Array) -> Array | None:
    """The weights of the palette in order, the most frequent ones; None where there are far more."""
    values, counts = np.unique(used, return_counts=True)
    if len(values) > _NEARLY:
        return None
    return np.sort(values[np.argsort(-counts, kind="stable")[:PALETTE]])


def _bits(chosen: Array) -> int:
    """Of an index."""
    return max(1, (len(chosen) - 1).bit_length())


def _made_of(chosen: Array, block: _Block) -> Array:
    """The words of weights that the palette has."""
    return block.coded.where & np.isin(block.weights, chosen).all(axis=1)


def _palette(blocks: Sequence[_Block], chosen: Array) -> Packed | None:
    bits = _bits(chosen)
    parts = [_parts(block, _made_of(chosen, block)) for block in blocks]
    indices = np.searchsorted(chosen, _by_two_words(parts)).astype(np.uint64)
    units = (indices << (np.arange(8, dtype=np.uint64) * np.uint64(bits))).sum(axis=1).astype("<u8")
    table = np.pad(chosen, (0, (1 << bits) - len(chosen)), "edge")
    return _packed(
        f"palette of {len(chosen)}",
        "cf_unpack_palette",
        blocks,
        parts,
        [units.view(np.uint8).reshape(-1, 8)[:, :bits]],
        palette=table,
        bits=bits,
        body=[Function(f"cf_unpack_{bits}")],
    )


def _by_two_words(parts: Sequence[_Parts]) -> Array:
    """The weights of all runs, (n, 8): what codes are made of. An odd run ends with one word again."""
    runs = (run if len(run) % 2 == 0 else np.concatenate([run, run[-1:]]) for part in parts for run in part.runs)
    return np.concatenate([np.zeros((0, 4), np.int64), *runs]).reshape(-1, 8)


def _scaled(blocks: Sequence[_Block], chosen: Array) -> Packed | None:
    """Each run of words has one factor."""
    wheres = [_made_of(chosen, block) for block in blocks]
    parts = [_parts(block, where) for block, where in zip(blocks, wheres, strict=True)]
    indices = np.searchsorted(chosen, np.concatenate([b.weights[w] for b, w in zip(blocks, wheres, strict=True)]))
    factors: list[Array] = []
    for block, where in zip(blocks, wheres, strict=True):
        assert block.coded.factors is not None
        first_words = np.diff(where.astype(np.int8), prepend=0) == 1
        factors.append((block.coded.factors[first_words] - 1).astype("u1"))
    return _packed(
        f"palette of {len(chosen)}",
        "cf_unpack_scaled",
        blocks,
        parts,
        [(indices[:, 0] | indices[:, 1] << 4).astype("u1")],
        palette=chosen,
        more=factors,
    )


def _zeros(blocks: Sequence[_Block], share: float) -> Packed | None:
    parts = [_parts(block, block.coded.where) for block in blocks]
    mask = np.packbits(_by_two_words(parts) != 0, axis=1, bitorder="little")
    values = [run[run != 0].astype("i1") for part in parts for run in part.runs]
    return _packed(f"bits for {round(100 * share)} % zeros", "cf_unpack_zeros", blocks, parts, [mask], more=values)
