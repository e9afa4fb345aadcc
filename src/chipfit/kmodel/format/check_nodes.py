"""Whether a node is sound by itself: what it says of shapes fits the bytes that it reads and writes."""

from __future__ import annotations

from chipfit.kmodel.format import nnil
from chipfit.kmodel.format import nodes as v4
from chipfit.kmodel.format.access import product
from chipfit.kmodel.format.codec import DataType, Memory, MemoryRange
from chipfit.kmodel.format.layout import LINE, MapLayout
from chipfit.kmodel.format.nodes_nhwc import CpuWindow, out_channels
from chipfit.kmodel.format.registers import POOLS, Activation, Registers, layer_registers
from chipfit.kmodel.format.window import Axis, Window, out_shape, window_axes

MOST_TAPS = 1 << 17
"""Of a window: more than any image of the K210 has pixels."""
_MOST_PAD = 1 << 12
_MOST_SHIFT = 62
_FLOAT, _BYTE = DataType.FLOAT32, DataType.UINT8

# what the firmware sets, or what the file's writer is free to choose
_FREE = ("int_en", "send_data_out", "bwsx_base_addr", "active_addr", "para_start_addr")


class Unsound(Exception):  # noqa: N818
    """A node that contradicts itself; the text says how."""


def _need(good: bool, text: str) -> None:
    if not good:
        raise Unsound(text)


def _holds(name: str, place: MemoryRange, dtype: DataType | None, elements: int) -> None:
    """``place`` is in main memory or the constants and holds as many elements of the type."""
    _need(place.memory is not Memory.KPU, f"its {name} is in the KPU's memory")
    _need(dtype is None or place.dtype is dtype, f"its {name} is {place.dtype.name.lower()}")
    wanted = elements * place.dtype.numpy.itemsize
    _need(place.size == wanted, f"its {name} has {place.size:,} bytes, but its shape takes {wanted:,}")


def _positive(*shapes: tuple[int, ...]) -> None:
    for shape in shapes:
        _need(all(extent > 0 for extent in shape), f"shape {list(shape)} is empty")


def check_node(node: v4.Node) -> None:
    """Raises Unsound."""
    match node:
        case v4.Binary() | v4.QuantizedBinary():
            _binary(node)
        case v4.Concat():
            _concat(node)
        case v4.Conv2D() | v4.QuantizedConv2D():
            _conv2d(node)
        case v4.Conv2DTranspose():
            _conv2d_transpose(node)
        case (
            v4.CpuConv2D()
            | v4.CpuDepthwiseConv2D()
            | v4.CpuReduceWindow2D()
            | v4.CpuQuantizedConv2D()
            | v4.CpuQuantizedDepthwiseConv2D()
        ):
            _nhwc(node)
        case v4.Quantize() | v4.Dequantize():
            taken, given = (_FLOAT, _BYTE) if isinstance(node, v4.Quantize) else (_BYTE, _FLOAT)
            elements = node.input.size // taken.numpy.itemsize
            _holds("input", node.input, taken, elements)
            _holds("output", node.output, given, elements)
            _need(node.scale != 0, "its scale is 0")
        case v4.MatMul() | v4.QuantizedMatMul():
            _matmul(node)
        case v4.Pad():
            _positive(node.shape, node.out_shape)
            _same_type(node)
            _moves(node, product(node.shape), product(node.out_shape))
        case v4.Reduce():
            _positive(node.shape)
            pairs = zip(node.shape, node.out_shape, strict=True)
            _need(all(out in (extent, 1) for extent, out in pairs), f"reduces {node.shape} to {node.out_shape}")
            _maps(node, _FLOAT, product(node.shape), _FLOAT, product(node.out_shape))
        case v4.ReduceWindow2D():
            _positive(node.shape)
            rows, columns = _window(node)
            out = product((*node.shape[:2], rows.positions, columns.positions))
            _maps(node, _FLOAT, product(node.shape), _FLOAT, out)
        case v4.MemoryCopy():
            _holds("input", node.input, None, node.input.size // node.input.dtype.numpy.itemsize)
            _holds("output", node.output, None, node.input.size // node.output.dtype.numpy.itemsize)
        case v4.ResizeImage():
            _positive(node.shape, (node.out_h, node.out_w))
            _same_type(node)
            _moves(node, product(node.shape), product((*node.shape[:2], node.out_h, node.out_w)))
        case v4.Softmax():
            _positive((node.outer, node.inner))
            _maps(node, _FLOAT, node.outer * node.inner, _FLOAT, node.outer * node.inner)
        case v4.Transpose():
            _positive(node.shape)
            _same_type(node)
            _need(sorted(node.perm) == [0, 1, 2, 3], f"{list(node.perm)} is no order of four axes")
            _moves(node, product(node.shape), product(node.shape))
        case v4.StridedSlice():
            _strided_slice(node)
        case v4.Unary():
            _elementwise(node)
        case v4.NnilUnaryMethod():
            _elementwise(node)
            wrong = nnil.problem(node.code)
            _need(wrong is None, f"its program is wrong: {wrong}")
        case v4.TableLookup1D():
            _holds("table", node.table, _BYTE, 256)
            _maps(node, _BYTE, node.input.size, _BYTE, node.input.size)
        case v4.KpuUpload():
            _positive(node.shape)
            _holds("input", node.input, _BYTE, product(node.shape))
            _in_kpu("output", node.output, MapLayout(*node.shape[1:]).size * node.shape[0])
        case v4.KpuConv2D():
            _need(node.batches > 0, f"it has {node.batches} images")
            check_kpu(node.registers, node.activation)
            if node.main_output.size:
                registers = node.registers
                pixels = registers.o_ch_num * registers.o_col_high * registers.o_row_wid
                _holds("output", node.main_output, _BYTE, pixels * node.batches)


def _in_kpu(name: str, place: MemoryRange, size: int) -> None:
    _need(place.memory is Memory.KPU, f"its {name} is not in the KPU's memory")
    _need(place.start % LINE == 0, f"its {name} begins at {place.start:,}, which is no multiple of {LINE}")
    _need(place.size == size, f"its {name} has {place.size:,} bytes, but its shape takes {size:,}")


def check_input(place: MemoryRange, shape: tuple[int, ...]) -> None:
    """Whether an input of the model fits its shape. Raises Unsound."""
    _positive(shape)
    if place.memory is Memory.KPU:
        _in_kpu("place", place, MapLayout(*shape[1:]).size * shape[0])
    else:
        _holds("place", place, None, product(shape))


def _maps(
    node: v4.Reduce | v4.ReduceWindow2D | v4.Softmax | v4.TableLookup1D | v4.Conv2D | v4.QuantizedConv2D,
    taken: DataType,
    inputs: int,
    given: DataType,
    outputs: int,
) -> None:
    _holds("input", node.input, taken, inputs)
    _holds("output", node.output, given, outputs)


def _moves(node: v4.Pad | v4.ResizeImage | v4.Transpose | v4.StridedSlice, inputs: int, outputs: int) -> None:
    _holds("input", node.input, None, inputs)
    _holds("output", node.output, None, outputs)


def _same_type(node: v4.Pad | v4.ResizeImage | v4.Transpose | v4.StridedSlice) -> None:
    _need(node.input.dtype is node.output.dtype, "its input and output have different types")


def _elementwise(node: v4.Unary | v4.NnilUnaryMethod) -> None:
    _holds("input", node.input, _FLOAT, node.input.size // 4)
    _holds("output", node.output, _FLOAT, node.input.size // 4)


def _binary(node: v4.Binary | v4.QuantizedBinary) -> None:
    _positive(node.shape_a, node.shape_b, node.out_shape)
    for shape in (node.shape_a, node.shape_b):
        fits = all(extent in (1, out) for extent, out in zip(shape, node.out_shape, strict=True))
        _need(fits, f"{list(shape)} does not broadcast to {list(node.out_shape)}")
    dtype = _FLOAT if isinstance(node, v4.Binary) else _BYTE
    _holds("first input", node.input_a, dtype, product(node.shape_a))
    _holds("second input", node.input_b, dtype, product(node.shape_b))
    _holds("output", node.output, dtype, product(node.out_shape))
    if isinstance(node, v4.QuantizedBinary):
        _shifts(node.a_shift, node.b_shift, node.output_shift)


def _shifts(*shifts: int) -> None:
    _need(all(shift <= _MOST_SHIFT for shift in shifts), f"a shift of {list(shifts)} is greater than {_MOST_SHIFT}")


def _concat(node: v4.Concat) -> None:
    dims = [int(d) for d in node.dims]
    _positive((node.inner_size, node.outer_size, node.count), tuple(dims))
    unit = node.inner_size * node.outer_size
    for place, extent in zip(node.inputs, dims, strict=True):
        _need(place.memory is not Memory.KPU, "an input is in the KPU's memory")
        _need(place.size == unit * extent, f"an input has {place.size:,} bytes, but its part takes {unit * extent:,}")
        _need(place.size % place.dtype.numpy.itemsize == 0, f"an input of {place.size:,} bytes holds no floats")
    _need(node.output.memory is not Memory.KPU, "its output is in the KPU's memory")
    total = unit * sum(dims)
    _need(node.output.size == total, f"its output has {node.output.size:,} bytes, but its parts have {total:,}")
    _need(total % node.output.dtype.numpy.itemsize == 0, f"an output of {total:,} bytes holds no floats")


def _window(node: Window) -> tuple[Axis, Axis]:
    axes = window_axes(node)
    for axis in axes:
        _positive((axis.taps, axis.stride, axis.dilation))
        _need(all(0 <= pad <= _MOST_PAD for pad in axis.pads), f"pads {list(axis.pads)} are out of range")
        _need(axis.positions > 0, f"a window of {axis.taps} does not fit {axis.size} pixels")
    taps = axes[0].taps * axes[1].taps
    _need(taps <= MOST_TAPS, f"a window of {taps:,} taps is larger than any image")
    return axes


def _groups(groups: int, channels: int, out_channels: int) -> None:
    _positive((groups, channels, out_channels))
    whole = channels % groups == 0 and out_channels % groups == 0
    _need(whole, f"{groups} groups do not divide {channels} and {out_channels} channels")


def _conv2d(node: v4.Conv2D | v4.QuantizedConv2D) -> None:
    _positive(node.shape)
    _groups(node.groups, node.shape[1], node.out_channels)
    rows, columns = _window(node)
    dtype = _FLOAT if isinstance(node, v4.Conv2D) else _BYTE
    out = product((node.shape[0], node.out_channels, rows.positions, columns.positions))
    _maps(node, dtype, product(node.shape), dtype, out)
    if isinstance(node, v4.QuantizedConv2D):
        _shifts(node.output_shift)


def _nhwc(node: CpuWindow) -> None:
    _positive(node.shape, (out_channels(node),))
    _window(node)
    is_byte = isinstance(node, v4.CpuQuantizedConv2D | v4.CpuQuantizedDepthwiseConv2D)
    dtype = _BYTE if is_byte else _FLOAT
    _holds("input", node.input, dtype, product(node.shape))
    _holds("output", node.output, dtype, product(out_shape(node)))
    if is_byte:
        _shifts(node.output_shift)


def _conv2d_transpose(node: v4.Conv2DTranspose) -> None:
    _positive(node.shape, node.out_shape)
    _groups(node.groups, node.shape[1], node.out_shape[1])
    rows, columns = _window(node)
    fits = (node.out_shape[0], rows.positions, columns.positions) == (node.shape[0], *node.shape[2:])
    _need(fits, f"{list(node.shape)} does not spread to {list(node.out_shape)}")
    _holds("input", node.input, _FLOAT, product(node.shape))
    _holds("output", node.output, _FLOAT, product(node.out_shape))


def _matmul(node: v4.MatMul | v4.QuantizedMatMul) -> None:
    _positive((node.a_rows, node.a_cols, node.b_cols))
    dtype = _FLOAT if isinstance(node, v4.MatMul) else _BYTE
    _holds("first input", node.input_a, dtype, node.a_rows * node.a_cols)
    _holds("second input", node.input_b, dtype, node.a_cols * node.b_cols)
    _holds("output", node.output, dtype, node.a_rows * node.b_cols)
    if isinstance(node, v4.QuantizedMatMul):
        _shifts(node.output_shift)


def _strided_slice(node: v4.StridedSlice) -> None:
    _positive(node.shape)
    _need(all(node.strides), "a stride is 0")
    kept = node.indices
    for indices, extent in zip(kept, node.shape, strict=True):
        _need(len(indices) > 0, "it keeps nothing")
        inside = min(indices[0], indices[-1]) >= 0 and max(indices[0], indices[-1]) < extent
        _need(inside, f"it takes {indices[0]}..{indices[-1]} of {extent}")
    _same_type(node)
    _moves(node, product(node.shape), product(tuple(map(len, kept))))


def check_kpu(registers: Registers, activation: Activation) -> None:
    """A layer of the KPU, of either version: registers that follow from others do. Raises Unsound."""
    _need(registers.kernel_type in (0, 1), f"kernel type {registers.kernel_type} does not exist")
    _need(registers.pool_type in POOLS, f"pool type {registers.pool_type} does not exist")
    if registers.depth_wise_layer:
        same = registers.i_ch_num == registers.o_ch_num
        _need(same, f"a depthwise layer of {registers.i_ch_num} channels gives {registers.o_ch_num}")
    stride = POOLS[registers.pool_type].stride
    height, width = registers.i_col_high // stride, registers.i_row_wid // stride
    _need(height > 0 and width > 0, f"pooling leaves nothing of {registers.i_row_wid} x {registers.i_col_high}")
    derived = layer_registers(
        source=registers.source,
        out_channels=registers.o_ch_num,
        kernel=registers.kernel,
        src_line=registers.image_src_addr,
        dst_line=registers.image_dst_addr,
        depthwise=bool(registers.depth_wise_layer),
        pool_type=registers.pool_type,
        pad_value=registers.pad_value,
        arg_x=registers.arg_x,
        arg_w=registers.arg_w,
        arg_add=registers.arg_add,
        shr_x=registers.shr_x,
        shr_w=registers.shr_w,
    )
    for name, value in vars(derived).items():
        stated = getattr(registers, name)
        _need(name in _FREE or stated == value, f"its register {name} is {stated}, but {value} follows from the others")
    starts = [segment.x_start for segment in activation.segments]
    _need(starts == sorted(starts), "the segments of its activation are not in ascending order")
