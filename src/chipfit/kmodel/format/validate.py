"""Whether a kmodel can run: every node sound, every byte within its memory, no result overwritten before it is read."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from chipfit.errors import ChipfitError
from chipfit.kmodel.format import layers as v3
from chipfit.kmodel.format import nodes as v4
from chipfit.kmodel.format.access import Access, Span, layer_access, main, node_access
from chipfit.kmodel.format.check_layers import check_layer
from chipfit.kmodel.format.check_nodes import Unsound, check_input, check_node
from chipfit.kmodel.format.codec import Memory
from chipfit.kmodel.format.flow import follow
from chipfit.kmodel.format.v3 import KmodelV3
from chipfit.kmodel.format.v4 import KmodelV4

MAIN_BYTES = 6 << 20
"""Main memory of the K210; a firmware leaves much less of it."""

_HINT = "the file is damaged, or its compiler is wrong: build it again"


def validate(model: KmodelV3 | KmodelV4) -> tuple[str, ...]:
    """What is suspicious in a model, such as bytes that are read and were never written.

    Raises ChipfitError F003 for what cannot run: contradictions, bytes outside a memory, results that overlap; O002 for
    first layers that the firmware does not take.
    """
    if isinstance(model, KmodelV4):
        if not model.nodes:
            raise ChipfitError("F003", "the model has no nodes", _HINT)
        for index, (place, shape) in enumerate(zip(model.inputs, model.input_shapes, strict=True)):
            _sound(f"input {index}", check_input, place, shape)
        inputs: list[Span] = [Span.of(place) for place in model.inputs]
        outputs: list[Span] = [Span.of(place) for place in model.outputs]
        for index, place in enumerate(model.outputs):
            if place.size % place.dtype.numpy.itemsize:
                raise ChipfitError("F003", f"output {index} has {place.size:,} bytes, which are no floats", _HINT)
        names, accesses = _accesses(model.nodes, "node", check_node, node_access)
    else:
        if not model.layers:
            raise ChipfitError("F003", "the model has no layers", _HINT)
        inputs, outputs = [_v3_input(model.layers[0])], [main(*place) for place in model.outputs]
        names, accesses = _accesses(model.layers, "layer", check_layer, layer_access)
    if not outputs:
        raise ChipfitError("F003", "the model has no outputs", _HINT)
    limits = model.memories
    _within(limits, "an input", inputs)
    _within(limits, "an output", outputs)
    for name, access in zip(names, accesses, strict=True):
        _within(limits, name, (*access.reads, *access.writes))
        _writable(name, access)
    findings = follow(names, accesses, inputs, outputs)
    for finding in findings:
        if finding.is_error:
            raise ChipfitError("F003", finding.text, _HINT)
    return tuple(finding.text for finding in findings)


def _accesses(
    parts: Sequence[Any], kind: str, check: Callable[[Any], None], access: Callable[[Any], Access]
) -> tuple[list[str], list[Access]]:
    names = [f"{kind} {index} ({type(part).__name__})" for index, part in enumerate(parts)]
    for name, part in zip(names, parts, strict=True):
        _sound(name, check, part)
    return names, [access(part) for part in parts]


def _sound(name: str, check: Callable[..., None], *parts: Any) -> None:
    try:
        check(*parts)
    except Unsound as error:
        raise ChipfitError("F003", f"{name}: {error}", _HINT) from None


def _v3_input(first: v3.Layer) -> Span:
    """Where the firmware puts the input."""
    if isinstance(first, v3.K210Conv | v3.FullyConnected):
        return layer_access(first).reads[0]
    raise ChipfitError(
        "O002",
        f"the first layer is {type(first).__name__}; the firmware takes K210Conv and FullyConnected there: MaixPy "
        "answers with error 2008",
        "let the model begin with a convolution",
    )


def _within(limits: dict[Memory, int], name: str, spans: Iterable[Span]) -> None:
    for span in spans:
        if span.size <= 0 or span.end > limits[span.memory]:
            raise ChipfitError(
                "F003",
                f"{name} uses {span.memory.name.lower()} memory {span.start:,}..{span.end:,}, of which there are "
                f"{limits[span.memory]:,} bytes",
                _HINT,
            )


def _writable(name: str, access: Access) -> None:
    if any(span.memory is Memory.CONST for span in access.writes):
        raise ChipfitError("F003", f"{name} writes into the constants", _HINT)
    for write in access.writes:
        for read in access.reads:
            meet = write.memory is read.memory and read.start < write.end and write.start < read.end
            # element by element in place is possible on the CPU; the KPU still needs the rows around
            in_place = write == read and write.memory is Memory.MAIN
            if meet and not in_place:
                memory = write.memory.name.lower()
                raise ChipfitError("F003", f"{name} writes over its own input in {memory} memory: they overlap", _HINT)


def count_work(model: KmodelV3 | KmodelV4) -> int:
    """About how many elementary steps a simulation takes: multiply-accumulates and bytes that are moved."""
    parts = model.nodes if isinstance(model, KmodelV4) else model.layers
    total = 0
    for part in parts:
        access = node_access(part) if isinstance(model, KmodelV4) else layer_access(part)  # pyright: ignore[reportArgumentType]
        total += sum(span.size for span in (*access.reads, *access.writes)) + macs_of(part)
    return total


def macs_of(part: v3.Layer | v4.Node) -> int:
    """Multiply-accumulates of a node or layer; of pooling: the elements that it looks at."""
    match part:
        case v4.KpuConv2D():
            return part.registers.macs * part.batches
        case v3.K210Conv():
            return part.registers.macs
        case v4.Conv2D() | v4.QuantizedConv2D():
            elements = part.output.size // part.output.dtype.numpy.itemsize
            return elements * (part.shape[1] // part.groups) * part.filter_h * part.filter_w
        case v4.Conv2DTranspose():
            taps = part.filter_h * part.filter_w
            return part.input.size // 4 * (part.out_shape[1] // part.groups) * taps
        case v4.CpuConv2D() | v4.CpuQuantizedConv2D():
            elements = part.output.size // part.output.dtype.numpy.itemsize
            return elements * part.shape[3] * part.filter_h * part.filter_w
        case v4.CpuDepthwiseConv2D() | v4.CpuQuantizedDepthwiseConv2D():
            return part.output.size // part.output.dtype.numpy.itemsize * part.filter_h * part.filter_w
        case v4.ReduceWindow2D() | v4.CpuReduceWindow2D():
            return part.output.size // 4 * part.filter_h * part.filter_w
        case v4.MatMul() | v4.QuantizedMatMul():
            return part.a_rows * part.a_cols * part.b_cols
        case v3.FullyConnected():
            return part.in_channels * part.out_channels
        case v3.QuantizedMaxPool2D() | v3.AveragePool2D():
            out_w, out_h, channels = part.out_shape
            return out_w * out_h * channels * part.kernel_w * part.kernel_h
        case _:
            return 0
