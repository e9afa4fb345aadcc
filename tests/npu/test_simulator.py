"""Single operations of the simulator, and what it refuses."""

from __future__ import annotations

import struct
from collections.abc import Callable
from fractions import Fraction
from math import floor

import numpy as np
import pytest

from chipfit.errors import ChipfitError
from chipfit.ethosu import ACCELERATORS, Rounding, parse_payload, require
from chipfit.ethosu.commands import Operation
from chipfit.ethosu.scaling import reciprocal, scaled
from npu.assembler import U55_128, Stream, pool

OUT = 512


def memory(seed: int = 0) -> np.ndarray[tuple[int], np.dtype[np.uint8]]:
    return np.random.default_rng(seed).integers(0, 256, 1024).astype(np.uint8)


def half_away(x: Fraction) -> int:
    return floor(x + Fraction(1, 2)) if x >= 0 else -floor(-x + Fraction(1, 2))


def test_scaling_against_fractions() -> None:
    rng = np.random.default_rng(0)
    acc, m = rng.integers(-(1 << 24), 1 << 24, 500), rng.integers(1 << 30, 1 << 31, 500)
    shift = rng.integers(32, 45, 500)
    natural, double = scaled(acc, m, shift, Rounding.NATURAL), scaled(acc, m, shift, Rounding.DOUBLE)
    for a, k, s, once, twice in zip(*(x.tolist() for x in (acc, m, shift, natural, double)), strict=True):
        assert once == floor(Fraction(a * k, 1 << s) + Fraction(1, 2))
        upper = floor(Fraction(a * k, 1 << 31) + Fraction(1, 2))
        assert twice == half_away(Fraction(upper, 1 << (s - 31)))


def test_division_by_the_number_of_taps() -> None:
    """Sums of int8 divided by numbers of taps: halves away from zero, as in TensorFlow Lite."""
    for count in (1, 2, 3, 4, 6, 7, 9, 12, 16, 25, 49, 64):
        sums = np.arange(-128 * count, 127 * count + 1)
        m, shift = reciprocal(np.array(count))
        found = scaled(sums, m, shift, Rounding.NATURAL)
        np.testing.assert_array_equal(found, [half_away(Fraction(int(s), count)) for s in sums])


def test_a_pool_of_1x1_copies() -> None:
    work = memory()
    pool((2, 3, 5)).op(Operation.POOL, 1).run(work)
    np.testing.assert_array_equal(work[OUT : OUT + 30], work[:30])


def test_padded_average_counts_what_is_there() -> None:
    work = memory(1)
    x = work[:25].view(np.int8).reshape(5, 5).astype(int)
    pool((5, 5, 1), kernel=3, stride=2, padding=1).op(Operation.POOL, 1).run(work)
    found = work[OUT : OUT + 9].view(np.int8).reshape(3, 3)
    for row in range(3):
        for column in range(3):
            part = x[max(2 * row - 1, 0) : 2 * row + 2, max(2 * column - 1, 0) : 2 * column + 2]
            assert found[row, column] == half_away(Fraction(int(part.sum()), part.size))


def test_maximum_ignores_padding() -> None:
    work = memory(2)
    work[:16] |= 0x80  # all negative
    x = work[:16].view(np.int8).reshape(4, 4)
    pool((4, 4, 1), kernel=3, padding=1).op(Operation.POOL, 0).run(work)
    expected = [[x[max(r - 1, 0) : r + 2, max(c - 1, 0) : c + 2].max() for c in range(4)] for r in range(4)]
    np.testing.assert_array_equal(work[OUT : OUT + 16].view(np.int8).reshape(4, 4), expected)


def test_four_tiles() -> None:
    """Rows and columns beyond the first tile lie elsewhere, with a height of their own on the right."""
    work = memory(3)
    stream = pool((5, 4, 3)).set(IFM_WIDTH0_M1=2, IFM_HEIGHT0_M1=3, IFM_HEIGHT1_M1=1)
    stream.set(IFM_BASE0=0, IFM_BASE1=100, IFM_BASE2=200, IFM_BASE3=300).op(Operation.POOL, 1).run(work)
    for y in range(5):
        for x in range(4):
            if x < 3:
                base, row, column = (0, y, x) if y < 4 else (200, y - 4, x)
            else:
                base, row, column = (100, y, 0) if y < 2 else (300, y - 2, 0)
            at = base + 12 * row + 3 * column
            np.testing.assert_array_equal(work[OUT + 12 * y + 3 * x :][:3], work[at : at + 3])


@pytest.mark.parametrize("name", ["IFM", "IFM2", "OFM"])
@pytest.mark.parametrize("blocked", [False, True])
def test_tiles_by_definition(name: str, blocked: bool) -> None:
    """Every element of a map in four tiles lies where the definition says: right-hand tiles, which Vela does not make,
    read and written, in both layouts."""
    height, width, depth, width0, height0, height1 = 5, 6, 20, 4, 3, 2
    bases = (0, 700, 1400, 2100)

    def address(y: int, x: int, c: int) -> int:
        if x < width0:
            tile, row, column = (0, y, x) if y < height0 else (2, y - height0, x)
        else:
            tile, row, column = (1, y, x - width0) if y < height1 else (3, y - height1, x - width0)
        if blocked:
            return bases[tile] + 64 * row + 320 * (c // 16) + 16 * column + c % 16
        return bases[tile] + 80 * row + 20 * column + c

    work = np.random.default_rng(8).integers(0, 256, 8192).astype(np.uint8)
    before, plain, other = work.copy(), 4096, 6144
    shape = (height, width, depth)
    places = {"IFM": plain, "IFM2": other, "OFM": plain, name: 0}
    stream = Stream()
    for each in ("IFM", "OFM", *(["IFM2"] if name == "IFM2" else [])):
        stream.map(each, shape, places[each])
    stream.window().set(IFM2_BROADCAST=0)
    layout = {"WIDTH0_M1": width0 - 1, "HEIGHT0_M1": height0 - 1, "HEIGHT1_M1": height1 - 1}
    layout |= {f"BASE{i}": base for i, base in enumerate(bases)}
    layout |= {"STRIDE_Y": 64, "STRIDE_C": 320} if blocked else {"STRIDE_Y": 80, "STRIDE_X": 20}
    stream.set(**{f"{name}_{key}": value for key, value in layout.items()})
    precision = (1 | 0x8100 if name == "OFM" else 1) | blocked << 6
    stream.set(**{f"{name}_PRECISION": precision}).scale("OFM_SCALE", 1, 0)
    if name == "IFM2":  # the larger one of each element and the least there is
        work[other : other + height * width * depth] = 0x80
        stream.set(IFM_BASE0=other, OFM_BASE0=plain).op(Operation.ELEMENTWISE, 4)
    else:
        stream.op(Operation.POOL, 1)
    stream.run(work)
    for at, (y, x, c) in enumerate(np.ndindex(shape)):
        if name == "OFM":
            assert work[address(y, x, c)] == before[plain + at]
        else:
            assert work[plain + at] == before[address(y, x, c)]


def test_blocks_of_16_channels() -> None:
    """NHCWB16: the second block of channels lies a stride behind the first."""
    work = memory(4)
    stream = pool((2, 2, 20)).set(IFM_PRECISION=1 | 1 << 6, IFM_STRIDE_Y=32, IFM_STRIDE_C=64)
    stream.op(Operation.POOL, 1).run(work)
    for y in range(2):
        for x in range(2):
            for c in range(20):
                source = 32 * y + 64 * (c // 16) + 16 * x + c % 16
                assert work[OUT + 40 * y + 20 * x + c] == work[source]


def test_table() -> None:
    """A copy into the internal memory, and a lookup in what was copied: signed elements count from -128."""
    work = memory(5)
    start = ACCELERATORS["ethos-u55-128"].lut_start + 256
    stream = Stream().set(DMA0_SRC_REGION=1, DMA0_DST_REGION=0x100, DMA0_SRC=256, DMA0_DST=start, DMA0_LEN=256)
    stream.op(Operation.DMA_START).words += pool((2, 3, 5)).set(ACTIVATION=17).op(Operation.POOL, 1).words
    stream.run(work)
    table = work[256:512]
    np.testing.assert_array_equal(work[OUT : OUT + 30], table[work[:30].view(np.int8).astype(int) + 128])


def elementwise(mode: int, **registers: int) -> Stream:
    """Two maps of int8, at 0 and 64, to int32 at 512."""
    stream = Stream().map("IFM", (1, 4, 8), 0).map("IFM2", (1, 4, 8), 64).map("OFM", (1, 4, 8), OUT, "int32")
    stream.set(ACTIVATION=0, IFM2_BROADCAST=0).scale("OFM_SCALE", 1, 0).set(**registers)
    return stream.op(Operation.ELEMENTWISE, mode)


@pytest.mark.parametrize(
    ("mode", "function"),
    [
        (0, np.multiply),
        (3, np.minimum),
        (4, np.maximum),
    ],
)
def test_two_operands(mode: int, function: Callable[..., object]) -> None:
    work = memory(6)
    elementwise(mode, IFM_ZERO_POINT=3, IFM2_ZERO_POINT=-5).run(work)
    a, b = work[:32].view(np.int8).astype(np.int32) - 3, work[64:96].view(np.int8).astype(np.int32) + 5
    np.testing.assert_array_equal(work[OUT : OUT + 128].view(np.int32), function(a, b))


def test_operands_change_places() -> None:
    """SUB of a scalar: operand A is the second map where bit 6 is set."""
    work = memory(7)
    stream = elementwise(2, IFM2_BROADCAST=0x80 | 0x40, IFM2_SCALAR=100)
    before = stream.words[:-1]
    stream.words = before
    stream.scale("OPA_SCALE", 2, 0).scale("OPB_SCALE", 3, 0).op(Operation.ELEMENTWISE, 2).run(work)
    x = work[:32].view(np.int8).astype(np.int32)
    np.testing.assert_array_equal(work[OUT : OUT + 128].view(np.int32), 2 * 100 - 3 * x)


def test_count_of_leading_zeros() -> None:
    work = memory()
    numbers = np.array([0, 1, 2, 3, 255, 256, 65535, (1 << 31) - 1], np.int32)
    work[:32] = numbers.view(np.uint8)
    stream = Stream().map("IFM", (1, 1, 8), 0, "int32").map("OFM", (1, 1, 8), OUT, "int32").set(ACTIVATION=0)
    stream.op(Operation.ELEMENTWISE, 7).run(work)
    expected = [32 - int(n).bit_length() for n in numbers]
    np.testing.assert_array_equal(work[OUT : OUT + 32].view(np.int32), expected)


def test_magnitude() -> None:
    work = memory(9)
    stream = Stream().map("IFM", (1, 4, 8), 0).map("OFM", (1, 4, 8), OUT, "int32").set(ACTIVATION=0, IFM_ZERO_POINT=-7)
    stream.scale("OFM_SCALE", 3 << 29, 31).op(Operation.ELEMENTWISE, 6).run(work)
    x = work[:32].view(np.int8).astype(int) + 7
    expected = [floor(Fraction(abs(int(v)) * 3, 4) + Fraction(1, 2)) for v in x]
    np.testing.assert_array_equal(work[OUT : OUT + 128].view(np.int32), expected)


def test_leaky_slope() -> None:
    """Negative elements alone are scaled."""
    work = memory(10)
    stream = Stream().map("IFM", (1, 4, 8), 0).map("OFM", (1, 4, 8), OUT, "int32").set(ACTIVATION=0)
    stream.set(OFM_PRECISION=1 | 2 << 1 | 2 << 14).scale("OFM_SCALE", 1 << 29, 31).op(Operation.ELEMENTWISE, 5).run(
        work
    )
    x = work[:32].view(np.int8).astype(int)
    expected = [int(v) if v >= 0 else floor(Fraction(int(v), 4) + Fraction(1, 2)) for v in x]
    np.testing.assert_array_equal(work[OUT : OUT + 128].view(np.int32), expected)


def shifts(mode: int, precision: int) -> tuple[Stream, np.ndarray[tuple[int], np.dtype[np.uint8]]]:
    """32-bit elements and how far to shift each."""
    rng = np.random.default_rng(11)
    work = np.zeros(1024, np.uint8)
    work[:32] = rng.integers(-1000, 1000, 8).astype(np.int32).view(np.uint8)
    work[64:96] = np.arange(8, dtype=np.int32).view(np.uint8)
    stream = Stream().map("IFM", (1, 1, 8), 0, "int32").map("IFM2", (1, 1, 8), 64, "int32")
    stream.map("OFM", (1, 1, 8), OUT, "int32", PRECISION=1 | 2 << 1 | precision << 14).set(ACTIVATION=0)
    return stream.set(IFM2_BROADCAST=0).scale("OFM_SCALE", 1, 0).op(Operation.ELEMENTWISE, mode), work


def test_shifts() -> None:
    """To the right halves go up."""
    for mode in (8, 9):
        stream, work = shifts(mode, 2)
        stream.run(work)
        x = [int(v) for v in work[:32].view(np.int32)]
        expected = [v << n if mode == 9 else floor(Fraction(v, 1 << n) + Fraction(1, 2)) for n, v in enumerate(x)]
        np.testing.assert_array_equal(work[OUT : OUT + 32].view(np.int32), expected)


def raised(rounding: int) -> Stream:
    """A sum whose operand A is scaled by 32 bits, with a rounding of its own."""
    stream = Stream().map("IFM", (1, 1, 1), 0, PRECISION=1 | 1 << 8 | rounding << 14).map("IFM2", (1, 1, 1), 64)
    stream.map("OFM", (1, 1, 1), OUT).set(ACTIVATION=0, ACTIVATION_MIN=-128, ACTIVATION_MAX=127, IFM2_BROADCAST=0)
    return stream.scale("OPA_SCALE", 1 << 30, 31).scale("OFM_SCALE", 1 << 30, 50).op(Operation.ELEMENTWISE, 1)


def convolution(**registers: int) -> Stream:
    stream = Stream().map("IFM", (1, 1, 1), 0).window().map("OFM", (1, 1, 1), OUT)
    stream.set(WEIGHT_REGION=0, SCALE_REGION=0, WEIGHT_BASE=0, WEIGHT_LENGTH=16, SCALE_BASE=16, SCALE_LENGTH=10)
    return stream.set(OFM_BLK_DEPTH_M1=7, **registers).op(Operation.CONV)


WHOLE = (
    "another pool",
    "another operation",
    "a copy in 2D",
    "a copy from 2D",
    "a register never set",
    "an operand truncated",
    "a shift rounded twice",
    "small pieces of kernels",
)
"""Those that end with an operation of their own."""

REFUSED = {
    "an operand truncated": (lambda: raised(1), None, "IFM_PRECISION asks for rounding 1"),
    "a shift rounded twice": (lambda: shifts(8, 0)[0], None, "to the right with rounding 0"),
    "small pieces of kernels": (lambda: convolution(KERNEL_STRIDE=1 << 5), None, "pieces of 4x4"),
    "reversed columns": (lambda: pool((1, 2, 1)).set(IFM_STRIDE_X=-1), None, "reversed maps"),
    "a region of inputs": (lambda: pool((1, 1, 1)).set(IFM_REGION=3), None, "memory region 3"),
    "a region of outputs": (lambda: pool((1, 1, 1)).set(OFM_REGION=4), None, "memory region 4"),
    "elements of 64 bits": (lambda: pool((1, 1, 1)).set(IFM_PRECISION=1 | 3 << 2), None, "no element type"),
    "another layout": (lambda: pool((1, 1, 1)).set(IFM_PRECISION=1 | 2 << 6), None, "no element type or layout"),
    "another range": (lambda: pool((1, 1, 1)).set(ACTIVATION=1 << 12), None, "the range 1 of an activation"),
    "a copy from 2D": (
        lambda: (
            Stream()
            .set(DMA0_SRC_REGION=1 | 2 << 9, DMA0_DST_REGION=1, DMA0_SRC=0, DMA0_DST=0, DMA0_LEN=4)
            .op(Operation.DMA_START)
        ),
        None,
        "two or three dimensions",
    ),
    "an unknown word": (lambda: Stream().op(Operation.STOP), 0x3FF, "is no command"),
    "an unknown register": (lambda: Stream(), 0x0A0 | 1 << 14, "is no command"),
    "tanh of 8 bits": (lambda: pool((1, 1, 1)).set(ACTIVATION=3), None, "activation 3 of int8"),
    "an unknown curve": (lambda: pool((1, 1, 1)).set(ACTIVATION=5), None, "activation 5 of int8"),
    "truncation": (lambda: pool((1, 1, 1), kernel=2, padding=1).set(OFM_PRECISION=1 | 1 << 14), None, "rounding 1"),
    "reversed rows": (lambda: pool((2, 1, 1)).set(OFM_STRIDE_Y=-1), None, "reversed maps"),
    "outside of memory": (lambda: pool((2, 1, 1)).set(IFM_BASE0=1023), None, "ends at byte 1,025"),
    "another region": (lambda: pool((1, 1, 1)).set(IFM_REGION=5), None, "memory region 5"),
    "into constants": (lambda: pool((1, 1, 1)).set(OFM_REGION=0, OFM_BASE0=0), None, "a constant"),
    "another pool": (lambda: pool((1, 1, 1)).op(Operation.POOL, 3), None, "pooling 3"),
    "another operation": (lambda: pool((1, 1, 1)).op(Operation.ELEMENTWISE, 10), None, "operation 10"),
    "a table of int16": (
        lambda: (
            Stream()
            .map("IFM", (1, 1, 1), 0)
            .window()
            .map("OFM", (1, 1, 1), OUT, "int16")
            .set(ACTIVATION=16)
            .scale("OFM_SCALE", 1, 0)
        ),
        None,
        "tables for outputs of 16 bits",
    ),
    "a copy in 2D": (
        lambda: (
            Stream()
            .set(DMA0_SRC_REGION=1, DMA0_DST_REGION=1 | 1 << 9, DMA0_SRC=0, DMA0_DST=0, DMA0_LEN=4)
            .op(Operation.DMA_START)
        ),
        None,
        "two or three dimensions",
    ),
    "an input of no size": (lambda: pool((1, 1, 1)).set(IFM_PAD_TOP=9), None, "an input of"),
    "a register never set": (lambda: Stream().op(Operation.CONV), None, "which it never set"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name: str) -> None:
    """What is damaged or not modelled is named, before a byte of the output is written."""
    make, word, message = REFUSED[name]
    stream = make()
    if word is not None:
        stream.words.append(word)
    elif name not in WHOLE:
        stream.op(Operation.POOL, 1)
    work, constants = memory(), np.zeros(64, np.uint8)
    constants.flags.writeable = False
    with pytest.raises(ChipfitError, match=message) as caught:
        stream.run(work, constants)
    assert caught.value.code == "A001"


def test_a_stream_without_an_end() -> None:
    with pytest.raises(ChipfitError, match="without STOP"):
        pool((1, 1, 1)).op(Operation.POOL, 1).simulator(memory()).run()


def test_a_stream_for_another_accelerator() -> None:
    found = parse_payload(Stream().op(Operation.STOP).payload()).accelerator
    require(found, ACCELERATORS["ethos-u55-128"])
    with pytest.raises(ChipfitError, match=r"for ethos-u55-128, not for ethos-u65-256") as caught:
        require(found, ACCELERATORS["ethos-u65-256"])
    assert caught.value.code == "A002"


@pytest.mark.parametrize(
    ("payload", "code"),
    [
        (b"", "A001"),
        (b"COP1", "A001"),
        (b"COP2" + bytes(12), "A001"),
        (b"COP1" + struct.pack("<2I", 9, 0), "A001"),
        (b"COP1" + struct.pack("<4I", 1, *U55_128, 100 << 16 | 2), "A001"),
        (b"COP1" + struct.pack("<I", 1 << 16 | 2) + bytes(4), "A001"),
        (Stream().op(Operation.STOP).payload((0x00001809, U55_128[1])), "A002"),
        (Stream().op(Operation.STOP).payload((U55_128[0], 0x20066001)), "A002"),
    ],
)
def test_damaged_payloads(payload: bytes, code: str) -> None:
    with pytest.raises(ChipfitError) as caught:
        parse_payload(payload)
    assert caught.value.code == code
