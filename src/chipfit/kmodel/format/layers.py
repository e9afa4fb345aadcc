"""The layers of a kmodel of version 3: one dataclass for each type, its fields in the order of the file.

Addresses are bytes in main memory, but those named ``line`` count lines of 64 bytes in the memory of the KPU. Each body
begins with ``flags``, whose bit 0 says that the layer's result is in main memory. A shape is (width, height, channels).
Real numbers of a code q are ``q * scale + bias``: ``scale`` is a step here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Annotated, Any, ClassVar

from chipfit.graph import Array
from chipfit.kmodel.format.codec import F32, I32, U32, array, integers, one_of
from chipfit.kmodel.format.registers import Activation, BatchNorm, Registers

MAIN_OUTPUT = 1
"""Bit of ``flags``."""

WidthHeightChannels = tuple[int, int, int]
ShapeField = Annotated[WidthHeightChannels, integers(3)]


class Act(IntEnum):
    LINEAR, RELU, RELU6 = range(3)


def _known(name: str, times: str | None = None, factor: int = 1) -> Any:
    def count(known: Mapping[str, Any]) -> int:
        return known[name] * (known[times] if times else 1) * factor

    return count


@dataclass(frozen=True, eq=False)
class Add:
    """Float."""

    type_id: ClassVar[int] = 1
    flags: U32
    input_a: U32
    input_b: U32
    output: U32
    count: U32


@dataclass(frozen=True, eq=False)
class QuantizedAdd:
    """output = clamp(((a + a_offset) * a_mul + (b + b_offset) * b_mul >> shift) * output_mul >> output_shift, rounded,
    + output_offset); where the shifts of a and b differ each is shifted before."""

    type_id: ClassVar[int] = 2
    flags: U32
    input_a: U32
    input_b: U32
    output: U32
    count: U32
    a_offset: I32
    a_mul: I32
    a_shift: I32
    b_offset: I32
    b_mul: I32
    b_shift: I32
    output_offset: I32
    output_mul: I32
    output_shift: I32


@dataclass(frozen=True, eq=False)
class GlobalAveragePool2D:
    """Float; ``kernel_size``: height * width."""

    type_id: ClassVar[int] = 5
    flags: U32
    input: U32
    output: U32
    kernel_size: U32
    channels: U32


@dataclass(frozen=True, eq=False)
class QuantizedMaxPool2D:
    type_id: ClassVar[int] = 8
    flags: U32
    input: U32
    output: U32
    shape: ShapeField
    out_shape: ShapeField
    kernel_w: U32
    kernel_h: U32
    stride_w: U32
    stride_h: U32
    pad_w: U32
    pad_h: U32


@dataclass(frozen=True, eq=False)
class AveragePool2D:
    """Float."""

    type_id: ClassVar[int] = 9
    flags: U32
    input: U32
    output: U32
    shape: ShapeField
    out_shape: ShapeField
    kernel_w: U32
    kernel_h: U32
    stride_w: U32
    stride_h: U32
    pad_w: U32
    pad_h: U32
    act: Annotated[Act, one_of(Act)]


@dataclass(frozen=True, eq=False)
class Quantize:
    type_id: ClassVar[int] = 11
    flags: U32
    input: U32
    output: U32
    count: U32
    scale: F32
    bias: F32


@dataclass(frozen=True, eq=False)
class Dequantize:
    type_id: ClassVar[int] = 12
    flags: U32
    input: U32
    output: U32
    count: U32
    scale: F32
    bias: F32


@dataclass(frozen=True, eq=False)
class Requantize:
    """output = table[input]."""

    type_id: ClassVar[int] = 13
    flags: U32
    input: U32
    output: U32
    count: U32
    table: Annotated[Array, array("u1", lambda _: 256)]


@dataclass(frozen=True, eq=False)
class L2Normalization:
    type_id: ClassVar[int] = 14
    flags: U32
    input: U32
    output: U32
    channels: U32


@dataclass(frozen=True, eq=False)
class Softmax:
    type_id: ClassVar[int] = 15
    flags: U32
    input: U32
    output: U32
    channels: U32


@dataclass(frozen=True, eq=False)
class Concat:
    """``places``: (start, size) in bytes of each input, one behind the other."""

    type_id: ClassVar[int] = 16
    flags: U32
    output: U32
    count: U32
    places: Annotated[Array, array("<u4", _known("count", factor=2))]


@dataclass(frozen=True, eq=False)
class QuantizedConcat:
    """As Concat."""

    type_id: ClassVar[int] = 17
    flags: U32
    output: U32
    count: U32
    places: Annotated[Array, array("<u4", _known("count", factor=2))]


@dataclass(frozen=True, eq=False)
class FullyConnected:
    """Float; weights (out_channels, in_channels)."""

    type_id: ClassVar[int] = 18
    flags: U32
    input: U32
    output: U32
    in_channels: U32
    out_channels: U32
    act: Annotated[Act, one_of(Act)]
    weights: Annotated[Array, array("<f4", _known("in_channels", "out_channels"))]
    bias: Annotated[Array, array("<f4", _known("out_channels"))]


@dataclass(frozen=True, eq=False)
class TensorflowFlatten:
    """Float, from (c, h, w) to (h, w, c)."""

    type_id: ClassVar[int] = 20
    flags: U32
    input: U32
    output: U32
    shape: ShapeField


@dataclass(frozen=True, eq=False)
class ResizeNearestNeighbor:
    """Float."""

    type_id: ClassVar[int] = 22
    flags: U32
    input: U32
    output: U32
    shape: ShapeField
    out_w: U32
    out_h: U32
    align_corners: U32


@dataclass(frozen=True, eq=False)
class QuantizedResizeNearestNeighbor:
    type_id: ClassVar[int] = 23
    flags: U32
    input: U32
    output: U32
    shape: ShapeField
    out_w: U32
    out_h: U32
    align_corners: U32


@dataclass(frozen=True, eq=False)
class ChannelwiseDequantize:
    """``params``: (scale, bias) of each channel."""

    type_id: ClassVar[int] = 24
    flags: U32
    input: U32
    output: U32
    channels: U32
    channel_size: U32
    params: Annotated[Array, array("<f4", _known("channels", factor=2))]


@dataclass(frozen=True, eq=False)
class Logistic:
    type_id: ClassVar[int] = 25
    flags: U32
    input: U32
    output: U32
    channels: U32


@dataclass(frozen=True, eq=False)
class K210Conv:
    """A layer of the KPU. ``output``: where in main memory the result goes, if ``flags`` says so."""

    type_id: ClassVar[int] = 10240
    flags: int
    output: int
    registers: Registers
    batch_norm: BatchNorm
    activation: Activation
    weights: Array
    """(``registers.weight_count``,) uint8, or uint16 in a file of 16-bit weights."""


@dataclass(frozen=True, eq=False)
class K210AddPadding:
    """Each of ``channels`` bytes becomes pixel (0, 0) of a map of 4 x 4, of which nothing else is written."""

    type_id: ClassVar[int] = 10241
    flags: U32
    input: U32
    output_line: U32
    channels: U32


@dataclass(frozen=True, eq=False)
class K210RemovePadding:
    """output[c] = input[16 * c]: pixel (0, 0) of maps of 4 x 4 in main memory."""

    type_id: ClassVar[int] = 10242
    flags: U32
    input: U32
    output: U32
    channels: U32


@dataclass(frozen=True, eq=False)
class K210Upload:
    """From plain order in main memory to the layout of the KPU's memory."""

    type_id: ClassVar[int] = 10243
    flags: U32
    input: U32
    output_line: U32
    shape: ShapeField


Layer = (
    Add
    | QuantizedAdd
    | GlobalAveragePool2D
    | QuantizedMaxPool2D
    | AveragePool2D
    | Quantize
    | Dequantize
    | Requantize
    | L2Normalization
    | Softmax
    | Concat
    | QuantizedConcat
    | FullyConnected
    | TensorflowFlatten
    | ResizeNearestNeighbor
    | QuantizedResizeNearestNeighbor
    | ChannelwiseDequantize
    | Logistic
    | K210Conv
    | K210AddPadding
    | K210RemovePadding
    | K210Upload
)

LAYERS: dict[int, type[Layer]] = {kind.type_id: kind for kind in Layer.__args__}
"""By type."""

NOT_IN_FIRMWARE = (3, 4, 6, 7, 10, 19, 21)
"""Types that the compiler knows and no firmware runs."""
