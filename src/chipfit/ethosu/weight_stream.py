"""The compressed weights of Ethos-U, unpacked.

A stream is a row of slices, bits from the least of each byte on. A slice codes indices of weights as Golomb-Rice codes
(or plain ones), and, between them, how many zeros follow each. Unary parts come in chunks, first those of the weights,
then those of the zeros; the remainders of a chunk come one chunk later. An index below the size of the palette is an
entry of it, others count on from a stated offset; bit 0 of what comes out is the sign.

Facts: the decoder in Vela's source package (Apache-2.0), which ends the process at a damaged stream.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np

from chipfit.errors import ChipfitError
from chipfit.ethosu.registers import Int

_END, _NO_ZERO_RUNS = 7, 6
"""What stands in place of the divisor of zero runs."""

_PLAIN = 7
"""What stands in place of the weights' divisor where indices have a fixed number of bits."""

_CHUNK = 12
_MOST_INDEX = 512


class _Bits:
    """A stream, read bit by bit from its beginning."""

    def __init__(self, stream: bytes) -> None:
        self._padded, self._end, self.at = stream + bytes(32), 8 * len(stream), 0

    def take(self, count: int) -> int:
        """The next bits (at most 128), the first one the least. Raises ChipfitError A001 behind the end."""
        start, self.at = self.at, self.at + count
        if self.at > self._end:
            raise damaged(f"it ends inside of a slice, after {self._end // 8:,} bytes")
        byte = start >> 3
        return (int.from_bytes(self._padded[byte : byte + 17], "little") >> (start & 7)) & ((1 << count) - 1)

    def align(self) -> None:
        self.at = (self.at + 7) & ~7

    @property
    def left(self) -> int:
        """Whole bytes that are left."""
        return self._end // 8 - (self.at >> 3)


@dataclass(frozen=True)
class _Palette:
    """``values``: what the first indices stand for; ``offset``: what the others count from; ``bits``: of a value."""

    values: tuple[int, ...]
    offset: int
    bits: int

    @staticmethod
    def read(bits: _Bits) -> _Palette:
        offset, size, width = bits.take(5), bits.take(5), bits.take(3) + 2
        count = size + 1 if size else 0
        return _Palette(tuple(bits.take(width) for _ in range(count)), offset, width)

    @property
    def index_bits(self) -> int:
        """Bits of an index that is not compressed."""
        return (len(self.values) - 1).bit_length() if self.values else self.bits

    def weights(self, indices: list[int]) -> Int:
        found = np.array(indices, np.int64)
        if found.size and found.max() >= _MOST_INDEX:
            raise damaged(f"a weight has the index {found.max()}")
        table = np.arange(_MOST_INDEX) - len(self.values) + self.offset
        table[: len(self.values)] = self.values
        coded = table[found]
        return np.where(coded & 1, -(coded >> 1), coded >> 1)


@dataclass
class _Side:
    """Numbers of one kind, weights or zeros, while a slice is read.

    ``wanted``: how many there are; ``divisor``: bits of a remainder; ``seen``: how many have their unary part;
    ``carry``: ones of a unary part that goes on in the next chunk; ``waiting``: unary parts without remainders.
    """

    wanted: int
    divisor: int
    seen: int = 0
    carry: int = 0
    waiting: tuple[int, ...] = ()
    numbers: list[int] = field(default_factory=list[int])

    def add(self, parts: tuple[int, ...], rest: int) -> tuple[int, ...]:
        """Unary parts of a chunk, the first of which goes on from the last chunk; ``rest``: what goes on from here."""
        if not parts:
            self.carry += rest
            return ()
        first, self.carry = parts[0] + self.carry, rest
        self.seen += len(parts)
        return (first, *parts[1:])

    def finish(self, bits: _Bits) -> None:
        """The remainders of the parts that wait, as far as numbers are wanted."""
        parts = self.waiting[: self.wanted - len(self.numbers)]
        width, mask = self.divisor, (1 << self.divisor) - 1
        remainders = bits.take(width * len(parts))
        self.numbers += [(part << width) + (remainders >> (i * width) & mask) for i, part in enumerate(parts)]


def decode(stream: bytes, wanted: int | None = None) -> Int:
    """The weights of a stream in its order, zero points taken off. Raises ChipfitError A001 for a damaged one.

    ``wanted``: how many are needed; slices behind them are not read. A slice may hold 32,768 weights in a few bytes.
    """
    bits = _Bits(stream)
    palette: _Palette | None = None
    slices: list[Int] = []
    had_zero_runs: bool | None = None
    found = 0
    while bits.left and (wanted is None or found < wanted):
        divisor = bits.take(3)
        if divisor == _END:
            bits.align()
            palette = None
            continue
        if not bits.left:
            break
        if divisor not in (0, 1, 2, 3, _NO_ZERO_RUNS):
            raise damaged(f"a slice has {divisor} as the divisor of its zero runs")
        count, weight_divisor = bits.take(15) + 1, bits.take(3)
        truncated, is_new = bool(bits.take(1)), bool(bits.take(1))
        runs = divisor != _NO_ZERO_RUNS
        if is_new:
            palette = _Palette.read(bits)
        elif palette is None or runs != had_zero_runs:
            raise damaged("a slice goes on with a palette that there is not")
        had_zero_runs = runs
        plain = weight_divisor == _PLAIN
        if weight_divisor == _PLAIN - 1:
            raise damaged(f"a slice has {weight_divisor} as the divisor of its weights")
        weights = _Side(count, palette.index_bits if plain else weight_divisor)
        zeros = _Side(count + is_new, divisor) if runs else None
        _read_slice(bits, weights, zeros, plain=plain, truncated=truncated)
        slices.append(_interleaved(palette.weights(weights.numbers), zeros.numbers if zeros else None, is_new))
        found += len(slices[-1])
    return np.concatenate(slices) if slices else np.zeros(0, np.int64)


def _read_slice(bits: _Bits, weights: _Side, zeros: _Side | None, *, plain: bool, truncated: bool) -> None:
    """Chunks until all numbers are there. The side that is ahead of the other one waits."""
    while True:
        ahead = weights.seen - zeros.seen if zeros else 0
        takes_weights = ahead < 8 and weights.seen < weights.wanted
        takes_zeros = zeros is not None and ahead >= 0 and zeros.seen < zeros.wanted
        unary = bits.take(_CHUNK) if takes_weights and not plain else 0
        new_zeros: tuple[int, ...] = ()
        if zeros and takes_zeros:
            length = _CHUNK if zeros.divisor < 3 else 8
            new_zeros = zeros.add(*_zero_parts(bits.take(length), length))
        new_weights: tuple[int, ...] = ()
        if takes_weights:
            symbols = 8 if plain and weights.divisor > 5 else _CHUNK
            second = bits.take((unary & ((1 << symbols) - 1)).bit_count())
            new_weights = weights.add(*_weight_parts(unary, second, symbols, truncated))
        weights.finish(bits)
        weights.waiting = new_weights
        if zeros:
            zeros.finish(bits)
            zeros.waiting = new_zeros
        if not takes_weights and not takes_zeros:
            return


@lru_cache(maxsize=1 << 16)
def _weight_parts(unary: int, second: int, symbols: int, truncated: bool) -> tuple[tuple[int, ...], int]:
    """The unary parts of a chunk: a bit for each symbol, and a second one where that is set; 2 goes on.

    Where ``truncated``, 2 is the most that there is. The second result: ones behind the last part.
    """
    parts: list[int] = []
    count = 0
    for i in range(symbols):
        code = 0
        if unary >> i & 1:
            code = 1 + (second & 1)
            second >>= 1
        count += code
        if code < 2 or truncated:
            parts.append(count)
            count = 0
    return tuple(parts), count


@lru_cache(maxsize=1 << 13)
def _zero_parts(unary: int, length: int) -> tuple[tuple[int, ...], int]:
    """The unary parts of a chunk of zero runs: ones, each run of them ended by a 0; and ones behind the last part."""
    *parts, rest = (len(ones) for ones in "".join(str(unary >> i & 1) for i in range(length)).split("0"))
    return tuple(parts), rest


def _interleaved(weights: Int, zeros: list[int] | None, leading: bool) -> Int:
    """Weights with as many zeros behind each, or, where ``leading``, also in front of the first."""
    if zeros is None:
        return weights
    runs = np.array(zeros, np.int64)
    first = int(runs[0]) if leading else 0
    behind = runs[1:] if leading else runs
    places = first + np.arange(len(weights)) + np.concatenate([[0], np.cumsum(behind)[:-1]])
    spread = np.zeros(first + len(weights) + int(behind.sum()), np.int64)
    spread[places] = weights
    return spread


def damaged(what: str) -> ChipfitError:
    return ChipfitError("A001", f"damaged weight stream: {what}", "compile the model with Vela again")
