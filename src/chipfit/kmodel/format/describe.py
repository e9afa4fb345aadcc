"""What a node does, in words, and what it takes."""

from __future__ import annotations

from dataclasses import dataclass

from chipfit.kmodel.format import layers as v3
from chipfit.kmodel.format import nodes as v4
from chipfit.kmodel.format.access import Access, Span, layer_access, node_access
from chipfit.kmodel.format.codec import Memory
from chipfit.kmodel.format.layout import LINE
from chipfit.kmodel.format.registers import ACTIVATION_BYTES, POOLS, Registers
from chipfit.kmodel.format.v3 import KmodelV3
from chipfit.kmodel.format.v4 import KmodelV4
from chipfit.kmodel.format.validate import macs_of
from chipfit.kmodel.format.window import out_shape


@dataclass(frozen=True)
class RegisterValue:
    """A field of the KPU's registers."""

    name: str
    value: int


@dataclass(frozen=True)
class NodeInfo:
    """One node. ``unit``: ``KPU`` or ``CPU``; ``reads`` and ``writes``: places in words; bytes of the file.

    ``loads``: how often the KPU loads weights; None, and no ``registers``: no layer of the KPU.
    """

    op: str
    unit: str
    what: str
    reads: str
    writes: str
    macs: int
    weight_bytes: int
    table_bytes: int
    loads: int | None
    registers: tuple[RegisterValue, ...]


def describe(model: KmodelV3 | KmodelV4) -> tuple[NodeInfo, ...]:
    """All nodes in order."""
    if isinstance(model, KmodelV4):
        return tuple(_info(node, node_access(node)) for node in model.nodes)
    return tuple(_info(layer, layer_access(layer)) for layer in model.layers)


def _info(part: v4.Node | v3.Layer, access: Access) -> NodeInfo:
    kpu = part if isinstance(part, v4.KpuConv2D | v3.K210Conv) else None
    weights = [getattr(part, name) for name in ("weights", "bias", "table") if hasattr(part, name)]
    return NodeInfo(
        op=type(part).__name__,
        unit="KPU" if kpu else "CPU",
        what=_what(part),
        reads=", ".join(map(place, access.reads)),
        writes=", ".join(map(place, access.writes)),
        macs=macs_of(part),
        weight_bytes=sum(array.nbytes for array in weights if hasattr(array, "nbytes")),
        table_bytes=8 * kpu.registers.o_ch_num + ACTIVATION_BYTES if kpu else 0,
        loads=kpu.registers.load_time if kpu else None,
        registers=tuple(RegisterValue(*pair) for pair in vars(kpu.registers).items()) if kpu else (),
    )


def place(span: Span) -> str:
    """A range of bytes in words; of the KPU in lines of 64 bytes."""
    if span.memory is Memory.KPU:
        return f"kpu {span.start // LINE}+{span.size // LINE}"
    return f"{span.memory.name.lower()} {span.start}+{span.size}"


def _size(width: int, height: int, channels: int | None = None) -> str:
    return f"{width}x{height}" + ("" if channels is None else f"x{channels}")


def kpu_words(registers: Registers, batches: int = 1) -> str:
    """``conv 3x3, 24 -> 32 channels, 40x30, then max pool 2x2``."""
    side = _size(registers.kernel, registers.kernel)
    image = _size(registers.i_row_wid, registers.i_col_high)
    if registers.depth_wise_layer:
        text = f"depthwise {side}, {registers.o_ch_num} channels, {image}"
    else:
        text = f"conv {side}, {registers.i_ch_num} -> {registers.o_ch_num} channels, {image}"
    pool = POOLS[registers.pool_type]
    if pool.kind == "pick":
        text += f", every {pool.stride}{'nd' if pool.stride == 2 else 'th'} pixel"
        text += f" from column {pool.pick}" if pool.pick else ""
    elif pool.kind != "none":
        text += f", then {pool.kind} pool {_size(pool.side, pool.side)}"
        text += "" if pool.stride == pool.side else f" stride {pool.stride}"
    return text if batches == 1 else f"{text}, {batches} images"


def _nchw(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape))


def _convolution(node: v4.Conv2D | v4.QuantizedConv2D) -> str:
    text = f"conv {_size(node.filter_w, node.filter_h)}, {node.shape[1]} -> {node.out_channels} channels, "
    text += f"{_size(node.shape[3], node.shape[2])}, stride {node.stride_h}"
    text += f", {node.groups} groups" if node.groups > 1 else ""
    return text + (f", dilation {node.dilation_h}" if node.dilation_h > 1 else "")


def _what(part: v4.Node | v3.Layer) -> str:
    match part:
        case v4.KpuConv2D():
            return kpu_words(part.registers, part.batches)
        case v3.K210Conv():
            return kpu_words(part.registers)
        case v4.Binary() | v4.QuantizedBinary():
            return f"{part.op.name.lower()} {_nchw(part.shape_a)} and {_nchw(part.shape_b)}"
        case v4.Concat():
            return f"join {part.count} parts"
        case v4.Conv2D() | v4.QuantizedConv2D():
            return _convolution(part)
        case v4.Conv2DTranspose():
            return f"spread {_nchw(part.shape)} to {_nchw(part.out_shape)}"
        case v4.Dequantize() | v4.Quantize():
            return f"scale {part.scale:.6g}, zero point {part.zero_point}"
        case v3.Dequantize() | v3.Quantize():
            return f"{part.count} elements, step {part.scale:.6g}, bias {part.bias:.6g}"
        case v4.MatMul() | v4.QuantizedMatMul():
            return f"{part.a_rows}x{part.a_cols} by {part.a_cols}x{part.b_cols}"
        case v4.Pad():
            return f"{_nchw(part.shape)} to {_nchw(part.out_shape)}"
        case v4.Reduce():
            return f"{part.op.name.lower()} of {_nchw(part.shape)} to {_nchw(part.out_shape)}"
        case v4.CpuConv2D() | v4.CpuDepthwiseConv2D() | v4.CpuQuantizedConv2D() | v4.CpuQuantizedDepthwiseConv2D():
            window = _size(part.filter_w, part.filter_h)
            return f"conv {window}, {_nchw(part.shape)} to {_nchw(out_shape(part))}, channels last"
        case v4.CpuReduceWindow2D():
            window = _size(part.filter_w, part.filter_h)
            return f"{part.op.name.lower()} pool {window} of {_nchw(part.shape)}, channels last"
        case v4.ReduceWindow2D():
            window = _size(part.filter_w, part.filter_h)
            return f"{part.op.name.lower()} pool {window} stride {part.stride_h} of {_nchw(part.shape)}"
        case v4.ResizeImage():
            return f"{part.mode.name.lower()}, {_nchw(part.shape)} to {_size(part.out_w, part.out_h)}"
        case v4.Softmax():
            return f"{part.outer} x {part.inner}"
        case v4.Transpose():
            return f"{_nchw(part.shape)} by {_nchw(part.perm)}"
        case v4.StridedSlice():
            return f"{_nchw(part.shape)} to {_nchw(tuple(map(len, part.indices)))}"
        case v4.Unary():
            return part.op.name.lower()
        case v4.NnilUnaryMethod():
            return f"program of {len(part.code)} bytes"
        case v4.KpuUpload():
            return _nchw(part.shape)
        case v3.FullyConnected():
            return f"{part.in_channels} -> {part.out_channels}, {part.act.name.lower()}"
        case v3.QuantizedMaxPool2D() | v3.AveragePool2D():
            window = _size(part.kernel_w, part.kernel_h)
            return f"pool {window} stride {part.stride_w} of {_size(*part.shape)} to {_size(*part.out_shape)}"
        case v3.TensorflowFlatten() | v3.K210Upload():
            return _size(*part.shape)
        case v3.ResizeNearestNeighbor() | v3.QuantizedResizeNearestNeighbor():
            return f"{_size(*part.shape)} to {_size(part.out_w, part.out_h)}"
        case _:
            sizes = [getattr(part, name) for name in ("count", "channels") if hasattr(part, name)]
            return f"{sizes[0]} elements" if sizes else ""
