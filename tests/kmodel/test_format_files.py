"""The containers: what is read is written back as it was, and what cannot be read is named."""

from __future__ import annotations

import struct
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from chipfit.errors import ChipfitError
from chipfit.kmodel.format import nodes as v4
from chipfit.kmodel.format.codec import DataType, Memory, MemoryRange
from chipfit.kmodel.format.read import is_kmodel, read_kmodel, write_kmodel
from chipfit.kmodel.format.v3 import read_v3, write_v3
from chipfit.kmodel.format.v4 import KmodelV4, read_v4, write_v4
from chipfit.kmodel.format.validate import validate
from kmodel.files import main, real_files, real_kmodels, tiny_v3, tiny_v4
from kmodel.nodes import all_nodes


def same_but_reserved(data: bytes, written: bytes, model: object) -> bool:
    """Equal but for the header's last word, the reserved word of KPU nodes and the top bits of their batch norm."""
    if not isinstance(model, KmodelV4):
        return data == written or _differences(data, written) <= _top_bits(data, written)
    reserved = set(range(36, 40)) | _top_bits(data, written)
    at = len(written) - len(model.trailing)
    assert at >= 40
    headers = 40 + 32 * len(model.inputs) + 16 * len(model.outputs) + len(model.constants)
    start = headers + 8 * len(model.nodes)
    for index, node in enumerate(model.nodes):
        if isinstance(node, v4.KpuConv2D):
            reserved |= set(range(start + 20, start + 24))
        start += struct.unpack_from("<I", written, headers + 8 * index + 4)[0]
    return len(data) == len(written) and _differences(data, written) <= reserved


def _differences(data: bytes, written: bytes) -> set[int]:
    a, b = np.frombuffer(data, np.uint8), np.frombuffer(written, np.uint8)
    return set(np.flatnonzero(a != b).tolist()) if len(a) == len(b) else {-1}


def _top_bits(data: bytes, written: bytes) -> set[int]:
    """Last bytes of words of 64 bits whose lower half is the same, and whose upper half is written as 0."""
    return {i for i in _differences(data, written) if i % 8 == 7 and data[i] & 15 == written[i]}


@real_files
@pytest.mark.parametrize("path", real_kmodels(3, 4), ids=lambda p: p.stem)
def test_real_files_are_written_as_they_were_read(path: Path) -> None:
    data = path.read_bytes()
    model = read_kmodel(data)
    assert model.trailing == b""
    assert same_but_reserved(data, write_kmodel(model), model)
    assert validate(model) == ()


@pytest.mark.parametrize("make", [tiny_v3, tiny_v4])
def test_own_files_come_back(make: object) -> None:
    model = make()  # pyright: ignore[reportCallIssue, reportUnknownVariableType]
    data = write_kmodel(model)
    assert write_kmodel(read_kmodel(data)) == data
    assert validate(read_kmodel(data)) == ()


def test_every_opcode_comes_back() -> None:
    """Each node at another place in the file, since the KPU's tables are aligned there."""
    model = replace(tiny_v4(), nodes=tuple(all_nodes(np.random.default_rng(3))))
    data = write_v4(model)
    read = read_v4(data)
    assert {type(node) for node in read.nodes} == set(v4.NODES.values())
    assert write_v4(read) == data
    for node, again in zip(model.nodes, read.nodes, strict=True):
        assert type(node) is type(again)
        for name in ("input", "output", "shape", "weights", "bias", "registers", "code", "value"):
            if hasattr(node, name):
                assert np.array_equal(np.asarray(getattr(node, name)), np.asarray(getattr(again, name))), name


def test_tables_lie_at_multiples_of_256() -> None:
    data = write_v4(tiny_v4())
    body = 40 + 32 + 16 + 1024 + 8 * 4
    words = struct.unpack_from("<12Q", data, body + 24)
    batch_norm = body + 120 + (words[4] >> 32)
    activation = batch_norm + 8 * 4 + (words[7] >> 32)
    weights = activation + 144 + (words[5] >> 32)
    assert [place % 256 for place in (batch_norm, activation, weights)] == [0, 0, 0]


def test_another_alignment_is_kept() -> None:
    model = replace(tiny_v4(), batch_norm_alignment=8)
    data = write_v4(model)
    assert read_v4(data).batch_norm_alignment == 8
    assert write_v4(read_v4(data)) == data


def test_what_follows_the_last_node_is_kept() -> None:
    for read, write, model in ((read_v4, write_v4, tiny_v4()), (read_v3, write_v3, tiny_v3())):
        data = write(model)  # pyright: ignore[reportArgumentType]
        padded = data + bytes(-len(data) % 8) + b"foreign!"
        assert read(padded).trailing == b"foreign!"
        assert write(read(padded)) == padded  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("make", [tiny_v3, tiny_v4])
def test_cut_off_anywhere(make: object) -> None:
    data = write_kmodel(make())  # pyright: ignore[reportCallIssue, reportUnknownArgumentType]
    for length in range(20, len(data) - 1):
        with pytest.raises(ChipfitError) as error:
            read_kmodel(data[:length])
        assert error.value.code == "F003"


VERSIONS = {
    "v1": (struct.pack("<5I", 1, 1, 3, 9000, 120) + bytes(400), "version 1", "2002"),
    "v5": (b"LDMK" + struct.pack("<I", 5) + bytes(100), "nncase 1.x", "2002"),
    "v6": (b"LDMK" + struct.pack("<I", 6) + bytes(100), "nncase 2.x", "hangs"),
    "v99": (b"LDMK" + struct.pack("<I", 99) + bytes(100), "no compiler that is known", "2002"),
    "smodel": (struct.pack("<I", 0x2713) + bytes(100), "encrypted", ""),
}


@pytest.mark.parametrize("name", list(VERSIONS))
def test_other_versions_are_named(name: str) -> None:
    data, *words = VERSIONS[name]
    assert is_kmodel(data)
    with pytest.raises(ChipfitError) as error:
        read_kmodel(data)
    assert error.value.code == "F004"
    assert error.value.hint
    assert all(word in error.value.message for word in words)


@pytest.mark.parametrize("data", [b"", b"TFL3", b"PK\x03\x04" + bytes(60), b"\x08\x07\x12" + bytes(90), bytes(64)])
def test_other_files_are_no_kmodels(data: bytes) -> None:
    assert not is_kmodel(data)
    with pytest.raises(ChipfitError) as error:
        read_kmodel(data)
    assert error.value.code == "F002"


def broken(**changes: object) -> KmodelV4:
    return replace(tiny_v4(), **changes)  # pyright: ignore[reportArgumentType]


def with_node(index: int, **changes: object) -> KmodelV4:
    model = tiny_v4()
    nodes = list(model.nodes)
    nodes[index] = replace(nodes[index], **changes)  # pyright: ignore[reportArgumentType]
    return replace(model, nodes=tuple(nodes))


WRONG = {
    "main memory too small": (broken(main_bytes=340), "of which there are 340 bytes"),
    "output outside": (broken(outputs=(main(10**6, (4,)),)), "an output uses main memory"),
    "no nodes": (broken(nodes=()), "has no nodes"),
    "no outputs": (broken(outputs=()), "has no outputs"),
    "overlap": (with_node(1, output=main(32, (1, 4, 4, 4))), "they overlap"),
    "a shape that does not fit": (with_node(3, inner=5), "its shape takes 20"),
    "writes constants": (
        with_node(3, output=MemoryRange(Memory.CONST, DataType.FLOAT32, 0, 16)),
        "writes into the constants",
    ),
    "integers for floats": (with_node(3, input=main(320, (16,), DataType.UINT8)), "is uint8"),
    "registers": (with_node(0, registers=replace(tiny_v4().nodes[0].registers, load_time=2)), "load_time is 2, but 1"),  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType, reportUnknownArgumentType]
    "in place": (
        with_node(0, registers=replace(tiny_v4().nodes[0].registers, image_dst_addr=1)),  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType, reportUnknownArgumentType]
        "over its own input",
    ),
}


@pytest.mark.parametrize("name", list(WRONG))
def test_what_cannot_run(name: str) -> None:
    model, words = WRONG[name]
    with pytest.raises(ChipfitError) as error:
        validate(read_kmodel(write_v4(model)))
    assert error.value.code == "F003"
    assert error.value.hint
    assert words in error.value.message


def test_a_result_that_is_overwritten_before_it_is_read() -> None:
    """Softmax reads what the dense layer wrote; a copy in between takes half of it."""
    model = tiny_v4()
    copy = v4.MemoryCopy(main(64, (2,)), main(320, (2,)))
    with pytest.raises(ChipfitError, match=r"node 3 \(MemoryCopy\) has overwritten a part"):
        validate(replace(model, nodes=(*model.nodes[:3], copy, model.nodes[3])))


def test_bytes_that_nothing_has_written() -> None:
    model = tiny_v4()
    notes = validate(replace(model, nodes=(model.nodes[0], *model.nodes[2:])))
    assert notes == ("node 1 (MatMul) reads 256 bytes of main memory within 64..320 that nothing has written",)


def test_a_first_layer_that_the_firmware_does_not_take() -> None:
    model = tiny_v3()
    with pytest.raises(ChipfitError) as error:
        validate(replace(model, layers=model.layers[1:]))
    assert error.value.code == "O002"


def test_layers_that_no_firmware_runs() -> None:
    data = bytearray(write_v3(tiny_v3()))
    struct.pack_into("<I", data, 28 + 8, 10)
    with pytest.raises(ChipfitError) as error:
        read_kmodel(bytes(data))
    assert error.value.code == "O002"


def test_sections_of_version_3_stay_in_their_body() -> None:
    data = bytearray(write_v3(tiny_v3()))
    body = 28 + 8 + 8 * 4
    weights_at = struct.unpack_from("<I", data, body + 12)[0]
    struct.pack_into("<I", data, body + 16, weights_at)
    with pytest.raises(ChipfitError, match="over another part of it"):
        read_kmodel(bytes(data))
