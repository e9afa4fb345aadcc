"""kmodel version 3: the container, read and written."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from chipfit.errors import ChipfitError
from chipfit.kmodel.format.codec import DAMAGED, Cursor, Memory, read_fields, write_fields
from chipfit.kmodel.format.layers import LAYERS, NOT_IN_FIRMWARE, K210Conv, Layer
from chipfit.kmodel.format.layout import KPU_BYTES
from chipfit.kmodel.format.registers import ACTIVATION_BYTES, REGISTER_BYTES, Activation, BatchNorm, Registers

VERSION = 3
EIGHT_BIT = 1
"""Bit of the header's flags: weights have 8 bits, not 16."""

_HEADER_BYTES = 28
_CONV_HEAD_BYTES = 24
_ALIGNMENTS = (8, 128, 128, 256)
"""In the file, of registers, weights, batch norm and activation."""


class Place(NamedTuple):
    """Bytes of main memory."""

    start: int
    size: int


@dataclass(frozen=True, eq=False)
class KmodelV3:
    """What a file of version 3 holds. ``main_bytes``: working memory that the runtime allocates.

    ``max_start_address``: a line of the KPU's memory, as the compiler noted it; the firmware does not use it.
    ``trailing``: what follows the last layer and belongs to no one.
    """

    outputs: tuple[Place, ...]
    main_bytes: int
    layers: tuple[Layer, ...]
    max_start_address: int = 0
    flags: int = EIGHT_BIT
    trailing: bytes = b""

    @property
    def memories(self) -> dict[Memory, int]:
        """Bytes of each memory."""
        return {Memory.CONST: 0, Memory.MAIN: self.main_bytes, Memory.KPU: KPU_BYTES}


def read_v3(data: bytes) -> KmodelV3:
    """Parse a file. Raises ChipfitError F003 where it is damaged, O002 for layers that the firmware cannot run."""
    head = Cursor(data, 4, len(data), "the header")
    flags, arch, layer_count, max_start, main_bytes, output_count = head.numbers("6I")
    if arch != 0:
        raise ChipfitError("F003", f"the file is for architecture {arch}, which does not exist (K210: 0)", DAMAGED)
    if head.at + 8 * (output_count + layer_count) > len(data):
        raise ChipfitError(
            "F003",
            f"the file ends after {len(data):,} bytes, before its tables of {output_count:,} outputs and "
            f"{layer_count:,} layers",
            DAMAGED,
        )
    outputs = tuple(Place(*head.numbers("2I")) for _ in range(output_count))
    headers = [head.numbers("2I") for _ in range(layer_count)]
    layers: list[Layer] = []
    at = head.at
    for index, (type_id, size) in enumerate(headers):
        is_last = index == layer_count - 1
        layers.append(_read_layer(data, index, type_id, at, size, is_last, bool(flags & EIGHT_BIT)))
        at += size
    return KmodelV3(outputs, main_bytes, tuple(layers), max_start, flags, data[min(at, len(data)) :])


def _read_layer(data: bytes, index: int, type_id: int, at: int, size: int, is_last: bool, eight_bit: bool) -> Layer:
    where = f"layer {index} (type {type_id})"
    if type_id in NOT_IN_FIRMWARE:
        raise ChipfitError("O002", f"{where} is in no firmware of the K210", "compile the model again")
    if type_id not in LAYERS:
        raise ChipfitError("F003", f"{where} does not exist in kmodel version 3", DAMAGED)
    kind = LAYERS[type_id]
    where = f"layer {index} ({kind.__name__})"
    # what is aligned after the last layer need not be there
    if at + size - (7 if is_last else 0) > len(data):
        raise ChipfitError(
            "F003",
            f"{where} needs {size:,} bytes at {at:,}, but the file ends after {len(data):,}: it is cut off",
            DAMAGED,
        )
    cursor = Cursor(data, at, min(at + size, len(data)), where)
    layer = _read_conv(cursor, eight_bit) if kind is K210Conv else read_fields(kind, cursor)
    if cursor.end - cursor.at > 7:
        raise ChipfitError("F003", f"{where} has {cursor.end - cursor.at:,} bytes more than it describes", DAMAGED)
    return layer


def _read_conv(cursor: Cursor, eight_bit: bool) -> K210Conv:
    flags, output, *offsets = cursor.numbers("6I")
    registers_at, weights_at, batch_norm_at, activation_at = offsets
    registers = Registers.unpack(_section(cursor, registers_at, REGISTER_BYTES, "registers"))
    dtype = np.dtype(np.uint8 if eight_bit else "<u2")
    weights = _section(cursor, weights_at, registers.weight_count * dtype.itemsize, "weights")
    batch_norm = _section(cursor, batch_norm_at, 8 * registers.o_ch_num, "batch norm")
    activation = _section(cursor, activation_at, ACTIVATION_BYTES, "activation")
    return K210Conv(
        flags,
        output,
        registers,
        BatchNorm.unpack(batch_norm),
        Activation.unpack(activation),
        np.frombuffer(weights, dtype),
    )


def _section(cursor: Cursor, at: int, size: int, what: str) -> bytes:
    """A part of the body that is named by its place in the file. The sections follow each other."""
    if not cursor.at <= at <= cursor.end - size:
        raise ChipfitError(
            "F003",
            f"{cursor.where} has its {what} at {at:,}..{at + size:,}, outside its body or over another part of it "
            f"({cursor.at:,}..{cursor.end:,} is left)",
            DAMAGED,
        )
    cursor.at = at
    return cursor.take(size)


def write_v3(model: KmodelV3) -> bytes:
    """The file. The same bytes as were read, words without a meaning apart, which are 0.

    Raises ChipfitError O002 for numbers that the KPU's registers and tables cannot hold.
    """
    start = _HEADER_BYTES + 8 * (len(model.outputs) + len(model.layers))
    bodies, headers = bytearray(), bytearray()
    for index, layer in enumerate(model.layers):
        at = start + len(bodies)
        body = _write_conv(layer, at) if isinstance(layer, K210Conv) else write_fields(layer)
        size = len(body) + -(at + len(body)) % 8
        # behind the last layer compilers move on without writing
        bodies += body if index == len(model.layers) - 1 else body.ljust(size, b"\0")
        headers += struct.pack("<2I", layer.type_id, size)
    if model.trailing:
        bodies += bytes(-(start + len(bodies)) % 8)
    head = struct.pack(
        "<7I",
        *(VERSION, model.flags, 0, len(model.layers), model.max_start_address, model.main_bytes, len(model.outputs)),
    )
    outputs = b"".join(struct.pack("<2I", *place) for place in model.outputs)
    return b"".join((head, outputs, headers, bodies, model.trailing))


def _write_conv(layer: K210Conv, at: int) -> bytes:
    """``at``: where the body lies in the file; its sections are named by their places there."""
    sections = (
        layer.registers.pack(),
        np.ascontiguousarray(layer.weights).tobytes(),
        layer.batch_norm.pack(),
        layer.activation.pack(),
    )
    body, offsets = bytearray(), list[int]()
    for section, alignment in zip(sections, _ALIGNMENTS, strict=True):
        body += bytes(-(at + _CONV_HEAD_BYTES + len(body)) % alignment)
        offsets.append(at + _CONV_HEAD_BYTES + len(body))
        body += section
    return struct.pack("<6I", layer.flags, layer.output, *offsets) + bytes(body)
