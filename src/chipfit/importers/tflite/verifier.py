"""Bounds of a TensorFlow Lite flatbuffer. The Python runtime of flatbuffers checks none: this comes before it.

Offsets of tables, vectors and strings only point forward, so that no structure can contain itself; but many offsets can
point at one table, and a small file can describe an endless amount of work. Every visit counts against a budget.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from chipfit.errors import ChipfitError

#: several times what the largest models for microcontrollers have, and read in less than a second
MAX_TABLES = 10_000
MAX_ELEMENTS = 500_000
#: an operand costs as much as so many scales: the operator looks at its type
OPERAND = 5
#: a scalar that begins inside the file may end outside: so many zeros go behind the file
PADDING = 8

DAMAGED_HINT = "the file is truncated or was changed; download or convert it again"


@dataclass(frozen=True)
class Field:
    """A reference in a table: to one table, to a vector of tables, to a vector of scalars, or to a string."""

    kind: Literal["table", "tables", "scalars", "string"]
    of: str = ""
    """The table's name."""
    bytes: int = 1
    """Bytes of one scalar."""
    cost: int = 1
    """What one scalar takes of the budget."""


def _table(of: str) -> Field:
    return Field("table", of)


def _tables(of: str) -> Field:
    return Field("tables", of)


def _scalars(nbytes: int, cost: int = 1) -> Field:
    return Field("scalars", bytes=nbytes, cost=cost)


_STRING = Field("string")

#: The references that the importer follows, by table and slot (position in the schema's table); scalars need no entry
TABLES: Mapping[str, Mapping[int, Field]] = {
    "Model": {
        1: _tables("OperatorCode"),
        2: _tables("SubGraph"),
        4: _tables("Buffer"),
        6: _tables("Metadata"),
        7: _tables("SignatureDef"),
    },
    "OperatorCode": {1: _STRING},
    "SubGraph": {0: _tables("Tensor"), 1: _scalars(4), 2: _scalars(4), 3: _tables("Operator"), 4: _STRING},
    "Tensor": {0: _scalars(4), 3: _STRING, 4: _table("Quantization"), 6: _table("Sparsity"), 7: _scalars(4)},
    "Quantization": {2: _scalars(4), 3: _scalars(8)},
    "Sparsity": {},
    "Operator": {1: _scalars(4, OPERAND), 2: _scalars(4, OPERAND), 4: _table("Options")},
    "Buffer": {0: _scalars(1)},
    "Metadata": {0: _STRING},
    "SignatureDef": {0: _tables("TensorMap"), 1: _tables("TensorMap"), 2: _STRING},
    "TensorMap": {0: _STRING},
    # a union: the tables of all operators that have references; the slots of the others are scalars
    "Options": {},
    "ReshapeOptions": {0: _scalars(4)},
    "SqueezeOptions": {0: _scalars(4)},
    "VarHandleOptions": {0: _STRING, 1: _STRING},
    "FullyConnectedOptions": {5: _table("Options")},
}
OPTIONS_TYPE_SLOT = 3


@dataclass
class Verifier:
    """Walks the references of a file and raises ChipfitError F003 or F005 at the first that is wrong."""

    data: bytes
    option_tables: Mapping[int, str]
    """The union's type number -> its table, for those with references."""
    tables: int = 0
    elements: int = 0
    _path: list[str] = field(default_factory=list[str])

    def check(self) -> None:
        """Check everything that the importer will read."""
        self._table(self._offset(0), "Model")

    def _fail(self, what: str) -> ChipfitError:
        where = ".".join(self._path)
        return ChipfitError("F003", f"damaged model file: {what}{f' (in {where})' if where else ''}", DAMAGED_HINT)

    def _read(self, form: str, position: int) -> int:
        if position < 0 or position + struct.calcsize(form) > len(self.data):
            raise self._fail(f"byte {position} is outside the file of {len(self.data)} bytes")
        return int(struct.unpack_from(form, self.data, position)[0])

    def _offset(self, position: int) -> int:
        """Where the reference at ``position`` points."""
        distance = self._read("<I", position)
        if distance == 0 or position + distance + 4 > len(self.data):
            raise self._fail(f"the reference at byte {position} points outside the file of {len(self.data)} bytes")
        return position + distance

    def _table(self, position: int, name: str) -> None:
        self.tables += 1
        if self.tables > MAX_TABLES:
            raise ChipfitError(
                "F005",
                f"the model file describes more than {MAX_TABLES} tensors, operators and buffers",
                "it is damaged or not meant for a microcontroller",
            )
        self._path.append(name)
        vtable, vtable_bytes = self._vtable(position)
        slots: dict[int, Field] = dict(TABLES[name])
        if name == "Operator":
            slots[OPTIONS_TYPE_SLOT + 1] = self._options(position, vtable, vtable_bytes)
        for slot, reference in slots.items():
            offset = self._slot(vtable, vtable_bytes, slot)
            if offset:
                self._follow(position + offset, reference)
        self._path.pop()

    def _vtable(self, position: int) -> tuple[int, int]:
        """Position and bytes of a table's vtable, whose every field begins inside the file."""
        vtable = position - self._read("<i", position)
        vtable_bytes, table_bytes = self._read("<H", vtable), self._read("<H", vtable + 2)
        if vtable_bytes < 4 or vtable_bytes % 2 or vtable + vtable_bytes > len(self.data):
            raise self._fail(f"the vtable at byte {vtable} has {vtable_bytes} bytes")
        if table_bytes < 4 or position + table_bytes > len(self.data):
            raise self._fail(f"the table at byte {position} has {table_bytes} bytes")
        for entry in range(4, vtable_bytes, 2):
            if self._read("<H", vtable + entry) >= table_bytes:
                raise self._fail(f"a field of the table at byte {position} lies outside it")
        return vtable, vtable_bytes

    def _slot(self, vtable: int, vtable_bytes: int, slot: int) -> int:
        """Offset of a field in its table, 0 where it is absent."""
        entry = 4 + 2 * slot
        return self._read("<H", vtable + entry) if entry + 2 <= vtable_bytes else 0

    def _options(self, position: int, vtable: int, vtable_bytes: int) -> Field:
        offset = self._slot(vtable, vtable_bytes, OPTIONS_TYPE_SLOT)
        kind = self._read("<B", position + offset) if offset else 0
        return _table(self.option_tables.get(kind, "Options"))

    def _follow(self, position: int, reference: Field) -> None:
        target = self._offset(position)
        if reference.kind == "table":
            self._table(target, reference.of)
            return
        count = self._read("<I", target)
        size = 4 if reference.kind == "tables" else reference.bytes
        if target + 4 + count * size > len(self.data):
            raise self._fail(f"a vector of {count} elements at byte {target} reaches beyond the file's end")
        if reference.kind == "tables":
            for i in range(count):
                self._table(self._offset(target + 4 + 4 * i), reference.of)
        elif reference.kind == "string" or size > 1:
            self._count_elements(count * reference.cost)

    def _count_elements(self, count: int) -> None:
        self.elements += count
        if self.elements > MAX_ELEMENTS:
            raise ChipfitError(
                "F005",
                f"the model file describes more than {MAX_ELEMENTS} dimensions, indices and scales",
                "it is damaged or not meant for a microcontroller",
            )


def verified(data: bytes, options: Any) -> bytes:
    """The bytes, padded, once they are safe to be read through the schema's classes.

    ``options`` is the schema's union of operator options. Raises ChipfitError F003 or F005.
    """
    names = {getattr(options, name): name for name in TABLES if name.endswith("Options") and hasattr(options, name)}
    Verifier(data, names).check()
    return data + bytes(PADDING)
