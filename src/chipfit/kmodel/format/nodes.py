"""The nodes of a kmodel of version 4: one dataclass for each opcode, its fields in the order of the file.

Shapes are (n, c, h, w). A pad is (before, after). Element counts of weights follow from the fields before them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

from chipfit.graph import Array
from chipfit.kmodel.format.codec import (
    F32,
    FLAG,
    FOUR_BYTES,
    I32,
    NOWHERE,
    REST,
    U32,
    MemoryRange,
    Range,
    array,
    integers,
    one_of,
    ranges,
)
from chipfit.kmodel.format.enums import (
    NO_MAX,
    NO_MIN,
    BinaryOp,
    PadField,
    ReduceOp,
    ResizeMode,
    Shape,
    ShapeField,
    UnaryOp,
)
from chipfit.kmodel.format.nodes_nhwc import (
    CpuConv2D,
    CpuDepthwiseConv2D,
    CpuQuantizedConv2D,
    CpuQuantizedDepthwiseConv2D,
    CpuReduceWindow2D,
)
from chipfit.kmodel.format.registers import Activation, BatchNorm, Registers


def _weights(known: Mapping[str, Any]) -> int:
    """Elements of the weights (out, in / groups, h, w) of a convolution."""
    return known["out_channels"] * _share(known["shape"][1], known["groups"]) * known["filter_h"] * known["filter_w"]


def _transposed_weights(known: Mapping[str, Any]) -> int:
    channels = known["out_shape"][1] * _share(known["shape"][1], known["groups"])
    return channels * known["filter_h"] * known["filter_w"]


def _share(channels: int, groups: int) -> int:
    return channels // groups if groups > 0 else -1


@dataclass(frozen=True, eq=False)
class Binary:
    """output = clamp(a op b), float32; an extent of 1 stands for any."""

    opcode: ClassVar[int] = 0x00
    input_a: Range
    input_b: Range
    output: Range
    op: Annotated[BinaryOp, one_of(BinaryOp)]
    shape_a: ShapeField
    shape_b: ShapeField
    out_shape: ShapeField
    act_min: F32 = NO_MIN
    act_max: F32 = NO_MAX


@dataclass(frozen=True, eq=False)
class Concat:
    """For each of ``outer_size``: ``inner_size * dims[i]`` bytes of each input."""

    opcode: ClassVar[int] = 0x01
    output: Range
    inner_size: U32
    outer_size: U32
    count: U32
    inputs: Annotated[tuple[MemoryRange, ...], ranges("count")]
    dims: Annotated[Array, array("<i4", lambda known: known["count"])]


@dataclass(frozen=True, eq=False)
class Conv2D:
    """Float convolution; weights (out, in / groups, h, w)."""

    opcode: ClassVar[int] = 0x02
    input: Range
    output: Range
    shape: ShapeField
    groups: I32
    out_channels: I32
    pad_h: PadField
    pad_w: PadField
    filter_h: I32
    filter_w: I32
    stride_h: I32
    stride_w: I32
    dilation_h: I32
    dilation_w: I32
    act_min: F32
    act_max: F32
    weights: Annotated[Array, array("<f4", _weights)]
    bias: Annotated[Array, array("<f4", lambda known: known["out_channels"])]


@dataclass(frozen=True, eq=False)
class Dequantize:
    """output = (input - zero_point) * (1 / scale): ``scale`` is codes per unit, the inverse of a step."""

    opcode: ClassVar[int] = 0x03
    input: Range
    output: Range
    zero_point: I32
    scale: F32


@dataclass(frozen=True, eq=False)
class MatMul:
    """output = clamp(a @ b + bias): (a_rows, a_cols) by (a_cols, b_cols), float32."""

    opcode: ClassVar[int] = 0x04
    input_a: Range
    input_b: Range
    output: Range
    a_rows: I32
    a_cols: I32
    b_cols: I32
    act_min: F32
    act_max: F32
    bias: Annotated[Array, array("<f4", lambda known: known["b_cols"])]


@dataclass(frozen=True, eq=False)
class Pad:
    """Pads by a constant; negative pads crop. ``pads``: before and after, for each axis; ``value``: in the input's
    type, filled up to 4 bytes."""

    opcode: ClassVar[int] = 0x05
    input: Range
    output: Range
    shape: ShapeField
    pads: Annotated[tuple[int, ...], integers(8)]
    value_type: U32
    value: Annotated[bytes, FOUR_BYTES]

    @property
    def out_shape(self) -> Shape:
        n, c, h, w = (s + self.pads[2 * i] + self.pads[2 * i + 1] for i, s in enumerate(self.shape))
        return n, c, h, w


@dataclass(frozen=True, eq=False)
class Quantize:
    """output = clamp(round(input * scale + zero_point), 0, 255), half away from zero."""

    opcode: ClassVar[int] = 0x06
    input: Range
    output: Range
    zero_point: I32
    scale: F32


@dataclass(frozen=True, eq=False)
class Reduce:
    """Over the axes that ``out_shape`` has as 1, float32."""

    opcode: ClassVar[int] = 0x07
    input: Range
    output: Range
    op: Annotated[ReduceOp, one_of(ReduceOp)]
    shape: ShapeField
    out_shape: ShapeField
    init: F32


@dataclass(frozen=True, eq=False)
class ReduceWindow2D:
    """Float pooling: taps outside the image do not count."""

    opcode: ClassVar[int] = 0x08
    input: Range
    output: Range
    op: Annotated[ReduceOp, one_of(ReduceOp)]
    shape: ShapeField
    pad_h: PadField
    pad_w: PadField
    filter_h: I32
    filter_w: I32
    stride_h: I32
    stride_w: I32
    dilation_h: I32
    dilation_w: I32
    init: F32
    act_min: F32
    act_max: F32


@dataclass(frozen=True, eq=False)
class MemoryCopy:
    opcode: ClassVar[int] = 0x09
    input: Range
    output: Range


@dataclass(frozen=True, eq=False)
class ResizeImage:
    opcode: ClassVar[int] = 0x0A
    input: Range
    output: Range
    shape: ShapeField
    out_h: I32
    out_w: I32
    mode: Annotated[ResizeMode, one_of(ResizeMode)]
    align_corners: Annotated[bool, FLAG]


@dataclass(frozen=True, eq=False)
class Softmax:
    """Over ``inner`` elements, ``outer`` times, float32."""

    opcode: ClassVar[int] = 0x0B
    input: Range
    output: Range
    inner: I32
    outer: I32
    beta: F32


@dataclass(frozen=True, eq=False)
class Transpose:
    """The output's axis i is the input's axis ``perm[i]``."""

    opcode: ClassVar[int] = 0x0C
    input: Range
    output: Range
    shape: ShapeField
    perm: ShapeField


@dataclass(frozen=True, eq=False)
class StridedSlice:
    """``input[begin:end:strides]`` for each axis; the masks are there, but no kernel looks at them."""

    opcode: ClassVar[int] = 0x0D
    input: Range
    output: Range
    shape: ShapeField
    begin: ShapeField
    end: ShapeField
    strides: ShapeField
    begin_mask: I32 = 0
    end_mask: I32 = 0
    ellipsis_mask: I32 = 0
    new_axis_mask: I32 = 0
    shrink_axis_mask: I32 = 0

    @property
    def indices(self) -> list[range]:
        """What is kept of each axis."""
        return [range(b, e, s) for b, e, s in zip(self.begin, self.end, self.strides, strict=True)]


@dataclass(frozen=True, eq=False)
class Unary:
    opcode: ClassVar[int] = 0x0E
    input: Range
    output: Range
    op: Annotated[UnaryOp, one_of(UnaryOp)]


@dataclass(frozen=True, eq=False)
class QuantizedConv2D:
    """Convolution of 8 bits: offsets are the negated zero points; taps outside the image do not count."""

    opcode: ClassVar[int] = 0x0F
    input: Range
    output: Range
    shape: ShapeField
    groups: I32
    out_channels: I32
    pad_h: PadField
    pad_w: PadField
    filter_h: I32
    filter_w: I32
    stride_h: I32
    stride_w: I32
    dilation_h: I32
    dilation_w: I32
    input_offset: I32
    filter_offset: I32
    output_mul: I32
    output_shift: I32
    output_offset: I32
    bias: Annotated[Array, array("<i4", lambda known: known["out_channels"])]
    weights: Annotated[Array, array("u1", _weights)]


@dataclass(frozen=True, eq=False)
class QuantizedMatMul:
    opcode: ClassVar[int] = 0x10
    input_a: Range
    input_b: Range
    output: Range
    a_rows: I32
    a_cols: I32
    b_cols: I32
    a_offset: I32
    b_offset: I32
    output_mul: I32
    output_shift: I32
    output_offset: I32
    bias: Annotated[Array, array("<i4", lambda known: known["b_cols"])]


@dataclass(frozen=True, eq=False)
class QuantizedBinary:
    opcode: ClassVar[int] = 0x11
    input_a: Range
    input_b: Range
    output: Range
    op: Annotated[BinaryOp, one_of(BinaryOp)]
    shape_a: ShapeField
    shape_b: ShapeField
    out_shape: ShapeField
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
class TableLookup1D:
    """output = table[input]; ``table``: 256 bytes."""

    opcode: ClassVar[int] = 0x12
    input: Range
    table: Range
    output: Range


@dataclass(frozen=True, eq=False)
class Conv2DTranspose:
    """Float; weights (out, in / groups, h, w). The runtime reads the bias and does not add it."""

    opcode: ClassVar[int] = 0x13
    input: Range
    output: Range
    shape: ShapeField
    out_shape: ShapeField
    groups: I32
    pad_h: PadField
    pad_w: PadField
    filter_h: I32
    filter_w: I32
    stride_h: I32
    stride_w: I32
    dilation_h: I32
    dilation_w: I32
    act_min: F32
    act_max: F32
    weights: Annotated[Array, array("<f4", _transposed_weights)]
    bias: Annotated[Array, array("<f4", lambda known: known["out_shape"][1])]


@dataclass(frozen=True, eq=False)
class NnilUnaryMethod:
    """A small program for a stack machine, run on every element."""

    opcode: ClassVar[int] = 0x14
    input: Range
    output: Range
    code: Annotated[bytes, REST]


@dataclass(frozen=True, eq=False)
class KpuUpload:
    """From plain order in main memory to the layout of the KPU's memory."""

    opcode: ClassVar[int] = 0x2001
    input: Range
    output: Range
    shape: ShapeField


@dataclass(frozen=True, eq=False)
class KpuConv2D:
    """A layer of the KPU. ``main_output``: where the result also goes in plain order; NOWHERE: it stays in the KPU."""

    opcode: ClassVar[int] = 0x2002
    registers: Registers
    batch_norm: BatchNorm
    activation: Activation
    weights: Array
    """(``registers.weight_count``,) uint8."""
    main_output: MemoryRange = NOWHERE
    batches: int = 1


Node = (
    Binary
    | Concat
    | Conv2D
    | Dequantize
    | MatMul
    | Pad
    | Quantize
    | Reduce
    | ReduceWindow2D
    | MemoryCopy
    | ResizeImage
    | Softmax
    | Transpose
    | StridedSlice
    | Unary
    | QuantizedConv2D
    | QuantizedMatMul
    | QuantizedBinary
    | TableLookup1D
    | Conv2DTranspose
    | NnilUnaryMethod
    | CpuConv2D
    | CpuDepthwiseConv2D
    | CpuReduceWindow2D
    | CpuQuantizedConv2D
    | CpuQuantizedDepthwiseConv2D
    | KpuUpload
    | KpuConv2D
)

NODES: dict[int, type[Node]] = {kind.opcode: kind for kind in Node.__args__}
"""By opcode."""
