"""Shapes and types of results, which the file does not state: what made them tells."""

from __future__ import annotations

from collections.abc import Sequence

from chipfit.kmodel.format import layers as v3
from chipfit.kmodel.format import nodes as v4
from chipfit.kmodel.format.access import layer_access, layer_shape, product
from chipfit.kmodel.format.codec import DataType, MemoryRange
from chipfit.kmodel.format.v3 import KmodelV3
from chipfit.kmodel.format.v4 import KmodelV4
from chipfit.kmodel.format.window import out_shape, window_axes

Shape = tuple[int, ...]
_V3_BYTES = (
    v3.K210Conv,
    v3.QuantizedAdd,
    v3.QuantizedMaxPool2D,
    v3.Quantize,
    v3.Requantize,
    v3.QuantizedConcat,
    v3.QuantizedResizeNearestNeighbor,
    v3.K210RemovePadding,
)
"""Layers whose result is bytes in main memory."""


def output_shapes(model: KmodelV3 | KmodelV4) -> list[tuple[DataType, Shape]]:
    """Type and shape of each output: (n, c, h, w) of version 4, (c, h, w) of version 3. Where what made it does not
    tell the shape, all its elements are channels."""
    return _v4_outputs(model) if isinstance(model, KmodelV4) else _v3_outputs(model)


def _flat(elements: int, rank: int) -> Shape:
    return (*(1,) * (rank - 3), elements, 1, 1)


def _v4_outputs(model: KmodelV4) -> list[tuple[DataType, Shape]]:
    known: dict[tuple[int, int], Shape] = {}

    def shape_of(place: MemoryRange) -> Shape | None:
        shape = known.get((place.memory, place.start))
        elements = place.size // place.dtype.numpy.itemsize
        return shape if shape is not None and product(shape) == elements else None

    for place, shape in zip(model.inputs, model.input_shapes, strict=True):
        known[place.memory, place.start] = shape
    for node in model.nodes:
        place = node.main_output if isinstance(node, v4.KpuConv2D) else node.output
        shapes = [shape_of(one) for one in node.inputs] if isinstance(node, v4.Concat) else []
        before = shape_of(node.input) if hasattr(node, "input") else None  # pyright: ignore[reportAttributeAccessIssue]
        after = _v4_shape(node, before, shapes)
        if after is not None:
            known[place.memory, place.start] = after
        else:
            known.pop((place.memory, place.start), None)
    result: list[tuple[DataType, Shape]] = []
    for place in model.outputs:
        elements = place.size // place.dtype.numpy.itemsize
        shape = shape_of(place)
        # several images are pieces of one that a transposition has put together
        result.append((place.dtype, shape if shape and shape[0] == 1 else _flat(elements, 4)))
    return result


def _v4_shape(node: v4.Node, before: Shape | None, parts: Sequence[Shape | None]) -> Shape | None:
    """``before``: the shape of the input; ``parts``: of those of a concatenation. None: not known."""
    match node:
        case v4.KpuConv2D():
            return node.batches, *layer_shape(node.registers)
        case v4.Binary() | v4.QuantizedBinary() | v4.Reduce() | v4.Conv2DTranspose() | v4.Pad():
            return node.out_shape
        case v4.Conv2D() | v4.QuantizedConv2D():
            rows, columns = window_axes(node)
            return node.shape[0], node.out_channels, rows.positions, columns.positions
        case v4.CpuConv2D() | v4.CpuDepthwiseConv2D() | v4.CpuReduceWindow2D():
            return out_shape(node)
        case v4.CpuQuantizedConv2D() | v4.CpuQuantizedDepthwiseConv2D():
            return out_shape(node)
        case v4.ReduceWindow2D():
            rows, columns = window_axes(node)
            return *node.shape[:2], rows.positions, columns.positions
        case v4.MatMul() | v4.QuantizedMatMul():
            return node.a_rows, node.b_cols, 1, 1
        case v4.ResizeImage():
            return *node.shape[:2], node.out_h, node.out_w
        case v4.Transpose():
            return tuple(node.shape[axis] for axis in node.perm)
        case v4.StridedSlice():
            return tuple(map(len, node.indices))
        case v4.KpuUpload():
            return node.shape
        case v4.Concat():
            return _concatenated(node, parts)
        case _:
            return before


def _concatenated(node: v4.Concat, parts: Sequence[Shape | None]) -> Shape | None:
    shapes = [part for part in parts if part is not None]
    if len(shapes) != len(parts):
        return None
    first, size = shapes[0], node.output.dtype.numpy.itemsize
    dims = [int(extent) for extent in node.dims]
    for axis in range(len(first)):
        counts = (product(first[:axis]), product(first[axis + 1 :]) * size)
        if counts == (node.outer_size, node.inner_size) and [shape[axis] for shape in shapes] == dims:
            return *first[:axis], sum(dims), *first[axis + 1 :]
    return None


def _v3_outputs(model: KmodelV3) -> list[tuple[DataType, Shape]]:
    known: dict[int, tuple[DataType, Shape]] = {}
    for layer in model.layers:
        if isinstance(layer, v3.K210Upload | v3.K210AddPadding):
            continue
        dtype = DataType.UINT8 if isinstance(layer, _V3_BYTES) else DataType.FLOAT32
        elements = layer_access(layer).writes[-1].size // dtype.numpy.itemsize
        source = getattr(layer, "input", None)
        before = known.get(source) if isinstance(source, int) else None
        known[layer.output] = dtype, _v3_shape(layer, elements, before[1] if before else None)
    result: list[tuple[DataType, Shape]] = []
    for place in model.outputs:
        dtype, shape = known.get(place.start, (DataType.FLOAT32, ()))
        if product(shape) * dtype.numpy.itemsize != place.size:
            dtype = DataType.FLOAT32 if place.size % 4 == 0 else DataType.UINT8
            shape = _flat(place.size // dtype.numpy.itemsize, 3)
        result.append((dtype, shape))
    return result


def _v3_shape(layer: v3.Layer, elements: int, before: Shape | None) -> Shape:
    match layer:
        case v3.K210Conv():
            return layer_shape(layer.registers)
        case v3.QuantizedMaxPool2D() | v3.AveragePool2D():
            return layer.out_shape[::-1]
        case v3.ResizeNearestNeighbor() | v3.QuantizedResizeNearestNeighbor():
            return layer.shape[2], layer.out_h, layer.out_w
        case v3.TensorflowFlatten():
            return _flat(elements, 3)
        case _:
            return before if before is not None and product(before) == elements else _flat(elements, 3)
