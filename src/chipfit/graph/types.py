"""What a tensor is: element type, shape, quantization. All of it immutable."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Shape = tuple[int, ...]


class DType(Enum):
    """Element type. The value is its name in text, JSON and messages."""

    INT8 = "int8"
    UINT8 = "uint8"
    INT16 = "int16"
    UINT16 = "uint16"
    INT32 = "int32"
    UINT32 = "uint32"
    INT64 = "int64"
    FLOAT16 = "float16"
    FLOAT32 = "float32"
    FLOAT64 = "float64"
    BOOL = "bool"

    @property
    def numpy(self) -> np.dtype[Any]:
        return np.dtype(self.value)

    @property
    def bytes(self) -> int:
        """Bytes of one element."""
        return self.numpy.itemsize

    @property
    def is_float(self) -> bool:
        return self.value.startswith("float")

    @property
    def c_type(self) -> str:
        """The C99 type that holds one element (float16 has none: its bits travel as uint16_t)."""
        return _C_TYPES.get(self, f"{self.value}_t")

    @property
    def range(self) -> tuple[int, int]:
        """Least and greatest integer of an integer type."""
        info = np.iinfo(self.numpy)
        return int(info.min), int(info.max)

    @staticmethod
    def of(array: Array) -> DType:
        return DType(array.dtype.name)


_C_TYPES = {
    DType.FLOAT16: "uint16_t",
    DType.FLOAT32: "float",
    DType.FLOAT64: "double",
    DType.BOOL: "uint8_t",
}


@dataclass(frozen=True)
class Quant:
    """Affine quantization: ``real = scale * (q - zero_point)``.

    Per tensor: one scale and one zero point, ``axis`` None. Per channel: one of each for every index
    along ``axis``. Scales are float32 values held as Python floats.
    """

    scale: tuple[float, ...]
    zero_point: tuple[int, ...]
    axis: int | None = None

    def __post_init__(self) -> None:
        if len(self.scale) != len(self.zero_point) or not self.scale:
            raise ValueError(f"{len(self.scale)} scales but {len(self.zero_point)} zero points")
        if self.axis is None and len(self.scale) != 1:
            raise ValueError(f"{len(self.scale)} scales without an axis")

    @staticmethod
    def per_tensor(scale: float, zero_point: int = 0) -> Quant:
        return Quant((float(np.float32(scale)),), (int(zero_point),))

    @property
    def s(self) -> float:
        """The scale of a per-tensor quantization."""
        if len(self.scale) != 1:
            raise ValueError("quantization is per channel")
        return self.scale[0]

    @property
    def zp(self) -> int:
        """The zero point of a per-tensor quantization."""
        if len(self.zero_point) != 1:
            raise ValueError("quantization is per channel")
        return self.zero_point[0]

    def scales(self, channels: int) -> tuple[float, ...]:
        """One scale per channel, whichever form the quantization has."""
        return self.scale * channels if len(self.scale) == 1 else self.scale


@dataclass(frozen=True)
class TensorType:
    """Shape, element type and quantization (None: none, as in float tensors and indices)."""

    shape: Shape
    dtype: DType
    quant: Quant | None = None

    @property
    def size(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        return self.size * self.dtype.bytes

    @property
    def q(self) -> Quant:
        """The quantization, where there must be one."""
        if self.quant is None:
            raise ValueError(f"{self} has no quantization")
        return self.quant

    def __str__(self) -> str:
        return f"{self.dtype.value}[{','.join(map(str, self.shape))}]"
