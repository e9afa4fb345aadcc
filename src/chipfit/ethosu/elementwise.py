"""The NPU's operations on elements of one or two feature maps."""

from __future__ import annotations

from enum import IntEnum

import numpy as np

from chipfit.errors import ChipfitError
from chipfit.ethosu.memory import Memory
from chipfit.ethosu.registers import Int, Registers, Rounding
from chipfit.ethosu.scaling import scaled, scaled_globally
from chipfit.fixedpoint import rounding_divide_by_pot


class Mode(IntEnum):
    MUL = 0
    ADD = 1
    SUB = 2
    MIN = 3
    MAX = 4
    LRELU = 5
    ABS = 6
    CLZ = 7
    SHR = 8
    SHL = 9


_UNARY = (Mode.LRELU, Mode.ABS, Mode.CLZ)


def elementwise(r: Registers, memory: Memory, parameter: int) -> Int:
    """ELEMENTWISE: (runs, height, width, channels), scaled."""
    if parameter not in frozenset(Mode):
        raise ChipfitError("A001", f"the operation {parameter} on elements is not modelled")
    mode = Mode(parameter)
    a = _first(r, memory)
    scale, rounding = r.scale("OFM_SCALE") if "OFM_SCALE" in r else (1, 0), r.rounding()
    if mode in _UNARY:
        return _unary(mode, a, scale if r.global_scale or mode == Mode.LRELU else (1, 0), rounding)
    b = np.broadcast_to(_second(r, memory), a.shape)
    if r.parameter("IFM2_BROADCAST") & 0x40:  # the operands change places
        a, b = b, a
    if mode == Mode.MUL:
        wide = r.feature_map("IFM").dtype.itemsize == 4
        return _wide_product(a * b, scale[1], rounding) if wide else scaled_globally(a * b, scale, rounding)
    if mode in (Mode.ADD, Mode.SUB):
        a, b = _operands(r, a, b)
        return scaled_globally(a + b if mode == Mode.ADD else a - b, scale, rounding)
    if mode in (Mode.MIN, Mode.MAX):
        return np.minimum(a, b) if mode == Mode.MIN else np.maximum(a, b)
    return _shifted(mode, a, b, rounding)


def _first(r: Registers, memory: Memory) -> Int:
    source = r.feature_map("IFM")
    zero = source.zero_point if source.dtype.itemsize < 4 else 0
    return memory.read(source, *r.ofm_shape) - zero


def _second(r: Registers, memory: Memory) -> Int:
    """The other operand: a scalar, or a map with as many dimensions of 1 as are broadcast."""
    bits = r.parameter("IFM2_BROADCAST")
    if bits & 0x80:
        is_signed = bool(r.parameter("IFM2_PRECISION") & 1)
        read = r.signed if is_signed else r.parameter
        return np.full((1, 1, 1, 1), read("IFM2_SCALAR") - read("IFM2_ZERO_POINT"), np.int64)
    source = r.feature_map("IFM2")
    zero = source.zero_point if source.dtype.itemsize < 4 else 0
    height, width, depth = (1 if bits >> axis & 1 else n for axis, n in enumerate(r.ofm_shape))
    return memory.read(source, height, width, depth) - zero


def _unary(mode: Mode, a: Int, scale: tuple[int, int], rounding: Rounding) -> Int:
    if mode == Mode.LRELU:
        return np.where(a >= 0, a, scaled_globally(a, scale, rounding))
    if mode == Mode.ABS:
        return scaled_globally(np.abs(a), scale, rounding)
    bits = np.frexp((a & 0xFFFFFFFF).astype(np.float64))[1]  # of the number's binary form: exact in float64
    return 32 - bits.astype(np.int64)


def _wide_product(product: Int, shift: int, rounding: Rounding) -> Int:
    """A product of 32-bit operands: the multiplier does not count, only the shift."""
    if shift == 0:
        return product
    if rounding == Rounding.NATURAL or shift <= 31:
        return (product + (1 << (shift - 1))) >> shift
    return rounding_divide_by_pot((product + (1 << 30)) >> 31, shift - 31)


def _operands(r: Registers, a: Int, b: Int) -> tuple[Int, Int]:
    """The operands of a sum on a common scale.

    Either both times 16 bits, or one is raised and scaled by 32 bits, and the other one raised by a bit less.
    """
    precision = r.parameter("IFM_PRECISION")
    size = r.feature_map("IFM").dtype.itemsize
    which = (precision >> 8) & 3
    m, shift = r.scale("OPA_SCALE")
    if which == 0:
        mask = 0xFFFF if size < 4 else 0xFFFFFFFF
        return a * (m & mask), b * (r.scale("OPB_SCALE")[0] & mask)
    if which == 3:
        raise ChipfitError("A001", f"IFM_PRECISION {precision:#06x} scales no operand that is known")
    raised = 20 if size == 1 else 15
    rounding = r.rounding("IFM")

    def by_scale(x: Int) -> Int:
        if rounding == Rounding.NATURAL:
            return scaled(x, m, shift, rounding)
        return rounding_divide_by_pot(((x << raised) * m + (1 << 30)) >> 31, max(shift + raised - 31, 0))

    if which == 1:
        return by_scale(a), b << (raised - 1)
    return a << (raised - 1), by_scale(b)


def _shifted(mode: Mode, a: Int, b: Int, rounding: Rounding) -> Int:
    if mode == Mode.SHR and rounding != Rounding.NATURAL:
        raise ChipfitError("A001", f"a shift to the right with rounding {int(rounding)} is not modelled")
    if (b < 0).any() or (b > 31).any():
        raise ChipfitError("A001", "a shift of less than 0 or more than 31 bits is not modelled")
    if mode == Mode.SHL:
        return a << b
    return np.where(b > 0, (a + (np.int64(1) << np.maximum(b - 1, 0))) >> b, a)
