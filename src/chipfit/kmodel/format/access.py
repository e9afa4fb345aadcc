"""Which bytes a node reads and writes. All addresses are constants of the file, so this is known without a run."""

from __future__ import annotations

from dataclasses import fields
from typing import NamedTuple

from chipfit.kmodel.format import layers as v3
from chipfit.kmodel.format.codec import Memory, MemoryRange
from chipfit.kmodel.format.layers import MAIN_OUTPUT, Layer
from chipfit.kmodel.format.layout import LINE, MapLayout
from chipfit.kmodel.format.nodes import Concat, KpuConv2D, Node
from chipfit.kmodel.format.registers import Registers


class Span(NamedTuple):
    """Bytes of a memory."""

    memory: Memory
    start: int
    size: int

    @property
    def end(self) -> int:
        return self.start + self.size

    @staticmethod
    def of(place: MemoryRange) -> Span:
        return Span(place.memory, place.start, place.size)


class Access(NamedTuple):
    reads: tuple[Span, ...]
    writes: tuple[Span, ...]


def node_access(node: Node) -> Access:
    """Of a node of version 4."""
    if isinstance(node, KpuConv2D):
        reads, writes = _kpu(node.registers, node.batches)
        return Access(reads, (*writes, Span.of(node.main_output)) if node.main_output.size else writes)
    if isinstance(node, Concat):
        return Access(tuple(map(Span.of, node.inputs)), (Span.of(node.output),))
    places = {f.name: getattr(node, f.name) for f in fields(node)}
    spans = {name: Span.of(place) for name, place in places.items() if isinstance(place, MemoryRange)}
    return Access(tuple(s for name, s in spans.items() if name != "output"), (spans["output"],))


def _kpu(registers: Registers, batches: int = 1) -> Access:
    source, result = registers.source.size * batches, registers.result.size * batches
    return Access(
        (Span(Memory.KPU, registers.image_src_addr * LINE, source),),
        (Span(Memory.KPU, registers.image_dst_addr * LINE, result),),
    )


def main(start: int, size: int) -> Span:
    """Bytes of main memory."""
    return Span(Memory.MAIN, start, size)


def product(shape: tuple[int, ...]) -> int:
    result = 1
    for extent in shape:
        result *= extent
    return result


def layer_access(layer: Layer) -> Access:
    """Of a layer of version 3."""
    match layer:
        case v3.K210Conv():
            reads, writes = _kpu(layer.registers)
            size = product(layer_shape(layer.registers))
            return Access(reads, (*writes, main(layer.output, size)) if layer.flags & MAIN_OUTPUT else writes)
        case v3.K210Upload():
            width, height, channels = layer.shape
            size = MapLayout(channels, height, width).size
            return Access(
                (main(layer.input, product(layer.shape)),), (Span(Memory.KPU, layer.output_line * LINE, size),)
            )
        case v3.K210AddPadding():
            size = MapLayout(layer.channels, 4, 4).size
            return Access((main(layer.input, layer.channels),), (Span(Memory.KPU, layer.output_line * LINE, size),))
        case v3.Concat() | v3.QuantizedConcat():
            places = layer.places.reshape(-1, 2).tolist()
            total = sum(size for _, size in places)
            return Access(tuple(main(*place) for place in places), (main(layer.output, total),))
        case v3.Add():
            size = 4 * layer.count
            return Access((main(layer.input_a, size), main(layer.input_b, size)), (main(layer.output, size),))
        case v3.QuantizedAdd():
            size = layer.count
            return Access((main(layer.input_a, size), main(layer.input_b, size)), (main(layer.output, size),))
        case _:
            taken, given = _sizes(layer)
            return Access((main(layer.input, taken),), (main(layer.output, given),))


def _sizes(layer: Layer) -> tuple[int, int]:
    """Bytes read and written of a layer with one input and one output in main memory."""
    match layer:
        case v3.GlobalAveragePool2D():
            return 4 * layer.kernel_size * layer.channels, 4 * layer.channels
        case v3.QuantizedMaxPool2D():
            return product(layer.shape), product(layer.out_shape)
        case v3.AveragePool2D():
            return 4 * product(layer.shape), 4 * product(layer.out_shape)
        case v3.Quantize():
            return 4 * layer.count, layer.count
        case v3.Dequantize():
            return layer.count, 4 * layer.count
        case v3.Requantize():
            return layer.count, layer.count
        case v3.L2Normalization() | v3.Softmax() | v3.Logistic():
            return 4 * layer.channels, 4 * layer.channels
        case v3.FullyConnected():
            return 4 * layer.in_channels, 4 * layer.out_channels
        case v3.TensorflowFlatten():
            return 4 * product(layer.shape), 4 * product(layer.shape)
        case v3.ResizeNearestNeighbor():
            return 4 * product(layer.shape), 4 * layer.out_w * layer.out_h * layer.shape[2]
        case v3.QuantizedResizeNearestNeighbor():
            return product(layer.shape), layer.out_w * layer.out_h * layer.shape[2]
        case v3.ChannelwiseDequantize():
            return layer.channels * layer.channel_size, 4 * layer.channels * layer.channel_size
        case v3.K210RemovePadding():
            return 16 * layer.channels, layer.channels
        case _:
            raise TypeError(type(layer).__name__)


def layer_shape(registers: Registers) -> tuple[int, int, int]:
    """(channels, height, width) of a KPU layer's result."""
    return registers.o_ch_num, registers.o_col_high, registers.o_row_wid
