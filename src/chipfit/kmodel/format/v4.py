"""kmodel version 4: the container, read and written."""

from __future__ import annotations

import struct
from dataclasses import dataclass, replace

import numpy as np

from chipfit.errors import ChipfitError
from chipfit.kmodel.format.codec import DAMAGED, Cursor, Memory, MemoryRange, read_fields, write_fields
from chipfit.kmodel.format.layout import KPU_BYTES
from chipfit.kmodel.format.nodes import NODES, KpuConv2D, Node, Shape
from chipfit.kmodel.format.registers import ACTIVATION_BYTES, REGISTER_BYTES, Activation, BatchNorm, Registers

IDENTIFIER = b"LDMK"
VERSION = 4
TARGET_K210 = 1
SECTION = 256
"""The tables of a KPU layer lie at multiples of it in the file."""

_HEADER_BYTES = 40
_KPU_HEAD_BYTES = 24 + REGISTER_BYTES
_NO_SKIPS = {"bwsx_base_addr": 0, "active_addr": 0, "para_start_addr": 0}
"""In a file these registers say how many bytes to skip before a table: a matter of the writer."""


@dataclass(frozen=True, eq=False)
class KmodelV4:
    """What a file of version 4 holds. ``main_bytes``: working memory that the runtime allocates.

    ``trailing``: what follows the last node and belongs to no one. ``batch_norm_alignment``: of the first table of a
    KPU layer; the others have :data:`SECTION`. One release of the compiler took 8.
    """

    inputs: tuple[MemoryRange, ...]
    input_shapes: tuple[Shape, ...]
    outputs: tuple[MemoryRange, ...]
    constants: bytes
    main_bytes: int
    nodes: tuple[Node, ...]
    target: int = TARGET_K210
    flags: int = 0
    trailing: bytes = b""
    batch_norm_alignment: int = SECTION

    @property
    def memories(self) -> dict[Memory, int]:
        """Bytes of each memory that a range may name."""
        return {Memory.CONST: len(self.constants), Memory.MAIN: self.main_bytes, Memory.KPU: KPU_BYTES}


def read_v4(data: bytes) -> KmodelV4:
    """Parse a file. Raises ChipfitError F003 where it is damaged."""
    head = Cursor(data, 8, len(data), "the header")
    flags, target, constant_bytes, main_bytes, node_count, n_in, n_out, _ = head.numbers("8I")
    _fits(data, head, 32 * n_in + 16 * n_out + constant_bytes + 8 * node_count)
    inputs = tuple(head.range() for _ in range(n_in))
    shapes = tuple(head.numbers("4i") for _ in range(n_in))
    outputs = tuple(head.range() for _ in range(n_out))
    constants = head.take(constant_bytes)
    headers = [head.numbers("2I") for _ in range(node_count)]
    nodes: list[Node] = []
    at, alignment = head.at, SECTION
    for index, (opcode, size) in enumerate(headers):
        node = _read_node(data, index, opcode, at, size, index == node_count - 1)
        if isinstance(node, KpuConv2D):
            if (at + _KPU_HEAD_BYTES + node.registers.bwsx_base_addr) % SECTION:
                alignment = 8
            node = replace(node, registers=replace(node.registers, **_NO_SKIPS))
        nodes.append(node)
        at += size
    trailing = data[min(at, len(data)) :]
    return KmodelV4(inputs, shapes, outputs, constants, main_bytes, tuple(nodes), target, flags, trailing, alignment)


def _fits(data: bytes, head: Cursor, wanted: int) -> None:
    """Before anything is read in numbers that a damaged header states."""
    if head.at + wanted > len(data):
        raise ChipfitError(
            "F003", f"the file ends after {len(data):,} bytes; its header states {head.at + wanted:,} at least", DAMAGED
        )


def _read_node(data: bytes, index: int, opcode: int, at: int, size: int, is_last: bool) -> Node:
    where = f"node {index} (opcode 0x{opcode:x})"
    if opcode not in NODES:
        raise ChipfitError("F003", f"{where} does not exist in kmodel version 4", DAMAGED)
    kind = NODES[opcode]
    where = f"node {index} ({kind.__name__})"
    # what is aligned after the last node need not be there
    slack = 7 if is_last else 0
    if at + size - slack > len(data):
        raise ChipfitError(
            "F003",
            f"{where} needs {size:,} bytes at {at:,}, but the file ends after {len(data):,}: it is cut off",
            DAMAGED,
        )
    cursor = Cursor(data, at, min(at + size, len(data)), where)
    node = _read_kpu(cursor) if kind is KpuConv2D else read_fields(kind, cursor)
    if cursor.end - cursor.at > 7:
        raise ChipfitError("F003", f"{where} has {cursor.end - cursor.at:,} bytes more than it describes", DAMAGED)
    return node


def _read_kpu(cursor: Cursor) -> KpuConv2D:
    main_output = cursor.range()
    batches, _ = cursor.numbers("2i")
    registers = Registers.unpack(cursor.take(REGISTER_BYTES))
    cursor.take(registers.bwsx_base_addr)
    batch_norm = BatchNorm.unpack(cursor.take(8 * registers.o_ch_num))
    cursor.take(registers.active_addr)
    activation = Activation.unpack(cursor.take(ACTIVATION_BYTES))
    cursor.take(registers.para_start_addr)
    weights = np.frombuffer(cursor.take(registers.weight_count), np.uint8)
    return KpuConv2D(registers, batch_norm, activation, weights, main_output, batches)


def write_v4(model: KmodelV4) -> bytes:
    """The file. The same bytes as were read, words without a meaning apart, which are 0.

    Raises ChipfitError O002 for numbers that the KPU's registers and tables cannot hold.
    """
    start = _HEADER_BYTES + 32 * len(model.inputs) + 16 * len(model.outputs)
    start += len(model.constants) + 8 * len(model.nodes)
    bodies, headers = bytearray(), bytearray()
    for index, node in enumerate(model.nodes):
        at = start + len(bodies)
        body = _write_kpu(node, at, model.batch_norm_alignment) if isinstance(node, KpuConv2D) else write_fields(node)
        size = len(body) + -(at + len(body)) % 8
        # behind the last node compilers move on without writing
        bodies += body if index == len(model.nodes) - 1 else body.ljust(size, b"\0")
        headers += struct.pack("<2I", node.opcode, size)
    if model.trailing:
        bodies += bytes(-(start + len(bodies)) % 8)
    head = struct.pack(
        "<4s9I",
        *(IDENTIFIER, VERSION, model.flags, model.target, len(model.constants), model.main_bytes),
        *(len(model.nodes), len(model.inputs), len(model.outputs), 0),
    )
    ranges = b"".join(struct.pack("<4I", *one) for one in model.inputs)
    shapes = b"".join(struct.pack("<4i", *shape) for shape in model.input_shapes)
    outputs = b"".join(struct.pack("<4I", *one) for one in model.outputs)
    return b"".join((head, ranges, shapes, outputs, model.constants, headers, bodies, model.trailing))


def _write_kpu(node: KpuConv2D, at: int, first_alignment: int) -> bytes:
    """``at``: where the body lies in the file, on which its padding depends."""
    head = struct.pack("<4I2i", *node.main_output, node.batches, 0)
    weights = np.ascontiguousarray(node.weights, np.uint8).tobytes()
    sections = (
        ("bwsx_base_addr", first_alignment, node.batch_norm.pack()),
        ("active_addr", SECTION, node.activation.pack()),
        ("para_start_addr", SECTION, weights),
    )
    tables, skips = bytearray(), dict[str, int]()
    for register, alignment, section in sections:
        skips[register] = -(at + _KPU_HEAD_BYTES + len(tables)) % alignment
        tables += bytes(skips[register]) + section
    return head + replace(node.registers, **skips).pack() + bytes(tables)
