"""Nodes of nncase's target ``cpu``: images are (n, h, w, c). The K210's runtime has them, its compiler does not use
them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

from chipfit.graph import Array
from chipfit.kmodel.format.codec import F32, I32, Range, array, one_of
from chipfit.kmodel.format.enums import PadField, ReduceOp, ShapeField


def _weights(known: Mapping[str, Any]) -> int:
    return known["out_channels"] * known["shape"][3] * known["filter_h"] * known["filter_w"]


def _depthwise_weights(known: Mapping[str, Any]) -> int:
    return known["shape"][3] * known["filter_h"] * known["filter_w"]


@dataclass(frozen=True, eq=False)
class CpuConv2D:
    """Float; weights (out, h, w, in)."""

    opcode: ClassVar[int] = 0x1001
    input: Range
    output: Range
    shape: ShapeField
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
class CpuDepthwiseConv2D:
    """Float; weights (channels, h, w)."""

    opcode: ClassVar[int] = 0x1002
    input: Range
    output: Range
    shape: ShapeField
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
    weights: Annotated[Array, array("<f4", _depthwise_weights)]
    bias: Annotated[Array, array("<f4", lambda known: known["shape"][3])]


@dataclass(frozen=True, eq=False)
class CpuReduceWindow2D:
    """Float pooling: taps outside the image do not count."""

    opcode: ClassVar[int] = 0x1003
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
class CpuQuantizedConv2D:
    """8 bits; weights (out, h, w, in)."""

    opcode: ClassVar[int] = 0x1004
    input: Range
    output: Range
    shape: ShapeField
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
    weights: Annotated[Array, array("u1", _weights)]
    bias: Annotated[Array, array("<i4", lambda known: known["out_channels"])]


@dataclass(frozen=True, eq=False)
class CpuQuantizedDepthwiseConv2D:
    """8 bits; weights (channels, h, w)."""

    opcode: ClassVar[int] = 0x1005
    input: Range
    output: Range
    shape: ShapeField
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
    weights: Annotated[Array, array("u1", _depthwise_weights)]
    bias: Annotated[Array, array("<i4", lambda known: known["shape"][3])]


CpuConvolution = CpuConv2D | CpuDepthwiseConv2D | CpuQuantizedConv2D | CpuQuantizedDepthwiseConv2D
CpuWindow = CpuConvolution | CpuReduceWindow2D


def out_channels(node: CpuWindow) -> int:
    """A depthwise layer and a pooling give as many as they take."""
    return node.out_channels if isinstance(node, CpuConv2D | CpuQuantizedConv2D) else node.shape[3]
