"""Binary structures as dataclasses: annotations say how each field lies in the file; one reader, one writer."""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from enum import IntEnum
from functools import cache
from typing import Annotated, Any, NamedTuple, TypeVar, get_type_hints

import numpy as np

from chipfit.errors import ChipfitError
from chipfit.graph import Array

DAMAGED = "the file is damaged or cut off: build or download it again"


class Memory(IntEnum):
    """Where a range of bytes lies."""

    CONST = 0
    MAIN = 1
    KPU = 2


class DataType(IntEnum):
    FLOAT32 = 0
    UINT8 = 1

    @property
    def numpy(self) -> np.dtype[Any]:
        return np.dtype("<f4") if self is DataType.FLOAT32 else np.dtype(np.uint8)


class MemoryRange(NamedTuple):
    """``start`` and ``size`` in bytes; in the memory of the KPU ``size`` is that of the layout there."""

    memory: Memory
    dtype: DataType
    start: int
    size: int

    @property
    def end(self) -> int:
        return self.start + self.size


NOWHERE = MemoryRange(Memory.CONST, DataType.FLOAT32, 0, 0)
"""What stands for no range."""


class Cursor:
    """Reads a part of a file from ``at`` to ``end``, and no byte behind it. ``where``: its name in errors."""

    def __init__(self, data: bytes, at: int, end: int, where: str) -> None:
        self.data, self.at, self.end, self.where = data, at, end, where

    def take(self, count: int) -> bytes:
        """The next bytes. Raises ChipfitError F003 where there are not as many."""
        if count < 0 or self.at + count > self.end:
            raise ChipfitError(
                "F003", f"{self.where} needs {count:,} bytes at {self.at:,}, but ends at {self.end:,}", DAMAGED
            )
        self.at += count
        return self.data[self.at - count : self.at]

    def numbers(self, form: str) -> tuple[Any, ...]:
        return struct.unpack(f"<{form}", self.take(struct.calcsize(f"<{form}")))

    def range(self) -> MemoryRange:
        memory, dtype, start, size = self.numbers("4I")
        if memory > Memory.KPU or dtype > DataType.UINT8:
            raise ChipfitError(
                "F003", f"{self.where} names memory {memory}, data type {dtype}, which do not exist", DAMAGED
            )
        return MemoryRange(Memory(memory), DataType(dtype), start, size)


@dataclass(frozen=True)
class Codec:
    """How a field is read (the fields before it are given by name) and written."""

    read: Callable[[Cursor, Mapping[str, Any]], Any]
    write: Callable[[Any], bytes]


def _numbers(form: str) -> Codec:
    return Codec(lambda c, _: c.numbers(form)[0], lambda v: struct.pack(f"<{form}", v))


I32 = Annotated[int, _numbers("i")]
U32 = Annotated[int, _numbers("I")]
F32 = Annotated[float, _numbers("f")]
Range = Annotated[MemoryRange, Codec(lambda c, _: c.range(), lambda v: struct.pack("<4I", *v))]

FLAG = Codec(lambda c, _: bool(c.numbers("B3x")[0]), lambda v: struct.pack("<B3x", v))
"""A byte that is 0 or 1, and three without a meaning."""
FOUR_BYTES = Codec(lambda c, _: c.take(4), bytes)
REST = Codec(lambda c, _: c.take(c.end - c.at), bytes)
"""All that is left."""


def integers(count: int) -> Codec:
    """A tuple of int32."""
    return Codec(lambda c, _: c.numbers(f"{count}i"), lambda v: struct.pack(f"<{count}i", *v))


def ranges(count: str) -> Codec:
    """As many ranges as the field ``count`` says."""

    def read(cursor: Cursor, known: Mapping[str, Any]) -> tuple[MemoryRange, ...]:
        part = Cursor(cursor.take(16 * known[count]), 0, 16 * known[count], cursor.where)
        return tuple(part.range() for _ in range(known[count]))

    return Codec(read, lambda v: b"".join(struct.pack("<4I", *one) for one in v))


def one_of(kind: type[IntEnum]) -> Codec:
    """A member of an enumeration, as uint32."""

    def read(cursor: Cursor, _: Mapping[str, Any]) -> IntEnum:
        value = cursor.numbers("I")[0]
        if value not in kind._value2member_map_:
            raise ChipfitError("F003", f"{cursor.where} has {kind.__name__} {value}, which does not exist", DAMAGED)
        return kind(value)

    return Codec(read, lambda v: struct.pack("<I", v))


def array(dtype: str, count: Callable[[Mapping[str, Any]], int]) -> Codec:
    """A one-dimensional array of as many elements as the fields before it say."""

    def read(cursor: Cursor, known: Mapping[str, Any]) -> Array:
        return np.frombuffer(cursor.take(count(known) * np.dtype(dtype).itemsize), dtype)

    return Codec(read, lambda v: np.ascontiguousarray(v, dtype).tobytes())


T = TypeVar("T")


@cache
def _codecs(kind: type[Any]) -> dict[str, Codec]:
    hints = get_type_hints(kind, include_extras=True)
    return {one.name: next(m for m in hints[one.name].__metadata__ if isinstance(m, Codec)) for one in fields(kind)}


def read_fields(kind: type[T], cursor: Cursor) -> T:
    """A dataclass whose fields are annotated with codecs. Raises ChipfitError F003 for what cannot be."""
    known: dict[str, Any] = {}
    for name, codec in _codecs(kind).items():
        known[name] = codec.read(cursor, known)
    return kind(**known)


def write_fields(value: Any) -> bytes:
    return b"".join(codec.write(getattr(value, name)) for name, codec in _codecs(type(value)).items())
