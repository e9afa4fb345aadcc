"""The registers at an operation, and what their bits mean. Facts: the register description in Vela's wheel."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Literal

import numpy as np
import numpy.typing as npt

from chipfit.errors import ChipfitError
from chipfit.ethosu.commands import Command

Map = Literal["IFM", "IFM2", "OFM"]


class Rounding(IntEnum):
    """``DOUBLE``: as TensorFlow Lite rounds twice; ``NATURAL``: once, halves upwards."""

    DOUBLE = 0
    TRUNCATE = 1
    NATURAL = 2


@dataclass(frozen=True)
class FeatureMap:
    """Where a tensor lies, and of what elements.

    ``blocked``: NHCWB16 (blocks of 16 channels), else NHWC. Up to four tiles: columns from ``width0`` on lie in the
    tiles 1 and 3, rows from ``height0`` (in the left tiles; ``height1`` in the right ones) on in the tiles 2 and 3.
    ``strides``: bytes to the next row, column and block of 16 channels.
    """

    name: str
    dtype: np.dtype[np.generic]
    zero_point: int
    blocked: bool
    region: int
    bases: tuple[int, int, int, int]
    width0: int
    height0: int
    height1: int
    strides: tuple[int, int, int]


@dataclass(frozen=True)
class KernelShape:
    """``height`` and ``width`` count taps, without what dilation adds. ``part``: weights lie part-kernel-first."""

    height: int
    width: int
    stride: tuple[int, int]
    dilation: tuple[int, int]
    part: bool

    @property
    def extent(self) -> tuple[int, int]:
        """Rows and columns of the input that it covers."""
        return (self.height - 1) * self.dilation[0] + 1, (self.width - 1) * self.dilation[1] + 1


_SMALL_PIECES = 1 << 5
"""The weights of a kernel lie in pieces of 4x4 taps; else of 8x8."""


class Registers:
    """What has been set so far."""

    def __init__(self) -> None:
        self._set: dict[str, tuple[int, int]] = {}

    def set(self, command: Command) -> None:
        self._set[command.register] = (command.parameter, command.data or 0)

    def __contains__(self, name: str) -> bool:
        return name in self._set

    def parameter(self, name: str) -> int:
        """The 16 bits of a register. Raises ChipfitError A001 where it was never set."""
        return self._get(name)[0]

    def signed(self, name: str) -> int:
        return (self.parameter(name) ^ 0x8000) - 0x8000

    def address(self, name: str) -> int:
        """40 bits: those above the word of data are in the parameter."""
        parameter, data = self._get(name)
        return data | (parameter & 0xFF) << 32

    def length(self, name: str) -> int:
        return self._get(name)[1]

    def stride(self, name: str) -> int:
        return (self._get(name)[1] ^ 0x80000000) - 0x80000000

    def scale(self, name: str) -> tuple[int, int]:
        """Multiplier and shift to the right."""
        parameter, data = self._get(name)
        return data, parameter & 63

    def _get(self, name: str) -> tuple[int, int]:
        if name not in self._set:
            raise ChipfitError("A001", f"the command stream uses the register {name}, which it never set")
        return self._set[name]

    # ------------------------------------------------------------------------------------------ groups of them

    def feature_map(self, name: Map) -> FeatureMap:
        precision = self.parameter(f"{name}_PRECISION")
        size = (precision >> (1 if name == "OFM" else 2)) & 3
        form = (precision >> 6) & 3
        if size == 3 or form > 1:
            raise ChipfitError("A001", f"{name}_PRECISION {precision:#06x} is no element type or layout")
        is_signed = bool(precision & 1)
        zero = f"{name}_ZERO_POINT"
        return FeatureMap(
            name=name,
            dtype=np.dtype(f"{'i' if is_signed else 'u'}{1 << size}"),
            zero_point=self.signed(zero) if is_signed else self.parameter(zero),
            blocked=form == 1,
            region=self.parameter(f"{name}_REGION") & 7,
            bases=(
                self.address(f"{name}_BASE0"),
                self.address(f"{name}_BASE1"),
                self.address(f"{name}_BASE2"),
                self.address(f"{name}_BASE3"),
            ),
            width0=self.parameter(f"{name}_WIDTH0_M1") + 1,
            height0=self.parameter(f"{name}_HEIGHT0_M1") + 1,
            height1=self.parameter(f"{name}_HEIGHT1_M1") + 1,
            strides=(
                self.stride(f"{name}_STRIDE_Y"),
                self.stride(f"{name}_STRIDE_X"),
                self.stride(f"{name}_STRIDE_C"),
            ),
        )

    @property
    def ofm_shape(self) -> tuple[int, int, int]:
        """Height, width and depth of the output."""
        return (
            self.parameter("OFM_HEIGHT_M1") + 1,
            self.parameter("OFM_WIDTH_M1") + 1,
            self.parameter("OFM_DEPTH_M1") + 1,
        )

    @property
    def kernel(self) -> KernelShape:
        bits = self.parameter("KERNEL_STRIDE")
        if bits & _SMALL_PIECES:
            raise ChipfitError("A001", f"KERNEL_STRIDE {bits:#06x}: kernels in pieces of 4x4 are not modelled")
        stride = (1 + ((bits >> 1) & 1) + 2 * ((bits >> 9) & 1), 1 + (bits & 1) + 2 * ((bits >> 6) & 1))
        dilation = (1 + ((bits >> 4) & 1), 1 + ((bits >> 3) & 1))
        return KernelShape(
            height=self.parameter("KERNEL_HEIGHT_M1") // dilation[0] + 1,
            width=self.parameter("KERNEL_WIDTH_M1") // dilation[1] + 1,
            stride=stride,
            dilation=dilation,
            part=bool(bits & 4),
        )

    @property
    def padding(self) -> tuple[int, int, int, int]:
        """Top, left, bottom, right."""
        return (
            self.parameter("IFM_PAD_TOP"),
            self.parameter("IFM_PAD_LEFT"),
            self.parameter("IFM_PAD_BOTTOM"),
            self.parameter("IFM_PAD_RIGHT"),
        )

    @property
    def global_scale(self) -> bool:
        """Whether OFM_SCALE is the scale of all channels, not the stream of scales."""
        return bool(self.parameter("OFM_PRECISION") & 0x100)

    def rounding(self, name: Literal["IFM", "OFM"] = "OFM") -> Rounding:
        bits = self.parameter(f"{name}_PRECISION") >> 14
        if bits not in (Rounding.DOUBLE, Rounding.NATURAL):
            raise ChipfitError("A001", f"{name}_PRECISION asks for rounding {bits}, which is not modelled")
        return Rounding(bits)


Int = npt.NDArray[np.int64]
"""Feature maps while they are computed: (runs, height, width, channels)."""
