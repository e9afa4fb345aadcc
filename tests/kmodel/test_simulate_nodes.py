"""Every opcode of version 4 against a plain definition of it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from chipfit.kmodel.format import nodes as v4
from chipfit.kmodel.format.check_nodes import Unsound, check_node
from chipfit.kmodel.format.codec import DataType, Memory
from chipfit.kmodel.format.layout import KPU_BYTES
from chipfit.kmodel.format.nnil import problem
from chipfit.kmodel.simulate.memory import Memories
from chipfit.kmodel.simulate.program import run_node
from kmodel.files import main
from kmodel.nodes import Case, all_cases

CASES = list(all_cases(np.random.default_rng(11)))
SIZES = {Memory.CONST: 0, Memory.MAIN: 1 << 17, Memory.KPU: KPU_BYTES}


def test_there_is_a_case_for_every_opcode() -> None:
    assert {type(case.node) for case in CASES} == set(v4.NODES.values())


@pytest.mark.parametrize("case", [c for c in CASES if c.expected is not None], ids=lambda c: c.name)
def test_node(case: Case) -> None:
    check_node(case.node)
    memories = Memories(SIZES)
    for place, values in case.memory:
        memories.write(place, values)
    run_node(case.node, memories)
    assert not isinstance(case.node, v4.KpuConv2D)
    assert case.expected is not None
    found = memories.read(case.node.output)
    assert found.dtype == case.expected.dtype
    assert found.tobytes() == np.ascontiguousarray(case.expected).tobytes()


@pytest.mark.parametrize("case", CASES, ids=lambda c: c.name)
def test_sizes_are_checked(case: Case) -> None:
    """An output that is one element larger than the shape says is refused, in every opcode."""
    node = case.node
    name = "main_output" if isinstance(node, v4.KpuConv2D) else "output"
    place = getattr(node, name)
    changes = {name: place._replace(size=place.size + place.dtype.numpy.itemsize)}
    with pytest.raises(Unsound):
        check_node(replace(node, **changes))


@pytest.mark.parametrize(
    "code", [b"", b"\x03", b"\xa0", b"\x40\xa0", b"\x03\x01" * 70 + b"\xa0", b"\x06\0\0", b"\xff\xa0", b"\x03\x2a\xa0"]
)
def test_programs_that_are_wrong(code: bytes) -> None:
    assert problem(code) is not None
    with pytest.raises(Unsound, match="program"):
        check_node(v4.NnilUnaryMethod(main(0, (3,)), main(64, (3,)), code))


def test_bilinear_bytes_are_cut_off() -> None:
    memories = Memories(SIZES)
    x, out = main(0, (1, 1, 1, 2), DataType.UINT8), main(64, (1, 1, 1, 4), DataType.UINT8)
    memories.write(x, np.array([10, 13], np.uint8))
    run_node(v4.ResizeImage(x, out, (1, 1, 1, 2), 1, 4, v4.ResizeMode.BILINEAR, False), memories)
    assert memories.read(out).tolist() == [10, 11, 13, 13]
