"""A command stream in words: each operation with the registers that it uses, without executing it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from chipfit.ethosu.commands import Command, Operation, commands
from chipfit.ethosu.elementwise import Mode
from chipfit.ethosu.layers import Pool, input_size
from chipfit.ethosu.payload import Payload
from chipfit.ethosu.registers import FeatureMap, Map, Registers, Rounding

UNITS = (Operation.CONV, Operation.DEPTHWISE, Operation.POOL, Operation.ELEMENTWISE, Operation.DMA_START)
"""Operations that move or compute data."""

_ROUNDINGS: dict[int, str] = {
    Rounding.DOUBLE: "rounded twice",
    Rounding.NATURAL: "rounded once",
    Rounding.TRUNCATE: "truncated",
}
_UPSCALES = {1: "upscaled x2, nearest", 2: "upscaled x2, zeros between"}
_SIDES = ("top", "left", "bottom", "right")


@dataclass(frozen=True)
class Described:
    """One operation. ``at``: its word in the stream; ``kind``: its name; ``ofm``: what it writes; ``details``: window,
    scale, activation and weights, as far as it has them."""

    at: int
    kind: str
    ifm: str
    ifm2: str
    ofm: str
    details: tuple[str, ...]


def disassemble(payload: Payload) -> Iterator[Described]:
    """The operations of a stream that move or compute data, in order. Raises ChipfitError A001 for damaged words."""
    registers = Registers()
    for command in commands(payload.words):
        if command.operation is None:
            registers.set(command)
        elif command.operation in UNITS:
            yield describe(command, registers)


def kind_of(command: Command) -> str:
    """The name of an operation, with what it does of several: ``POOL MAX``."""
    assert command.operation is not None
    names = {Operation.POOL: Pool, Operation.ELEMENTWISE: Mode}.get(command.operation)
    if names is None:
        return command.operation.name.removesuffix("_START")
    known = command.parameter in frozenset(names)
    return f"{command.operation.name} {names(command.parameter).name if known else command.parameter}"


def describe(command: Command, r: Registers) -> Described:
    """An operation and the registers as they are when it starts."""
    if command.operation == Operation.DMA_START:
        return _copy(command, r)
    ofm = _map(r, "OFM", r.ofm_shape)
    if command.operation == Operation.ELEMENTWISE:
        ifm, ifm2, details = _map(r, "IFM", r.ofm_shape), _second(command, r), _scales_of_operands(command, r)
    else:
        shape = (*input_size(r), r.parameter("IFM_DEPTH_M1") + 1)
        ifm, ifm2, details = _map(r, "IFM", shape), "", _window(r)
    if command.operation in (Operation.CONV, Operation.DEPTHWISE):
        details += _streams(r)
    return Described(command.at, kind_of(command), ifm, ifm2, ofm, tuple(details + _output(r)))


def _map(r: Registers, name: Map, shape: tuple[int, int, int]) -> str:
    tensor = r.feature_map(name)
    layout = "NHCWB16" if tensor.blocked else "NHWC"
    return f"{_size(shape)} {tensor.dtype.name} {layout} at {_place(tensor, shape)}, zero point {tensor.zero_point}"


def _place(tensor: FeatureMap, shape: tuple[int, int, int]) -> str:
    """Region and address; with more than one tile the addresses of those in use."""
    tiles = [True, shape[1] > tensor.width0, shape[0] > tensor.height0, False]
    tiles[3] = tiles[1] and shape[0] > tensor.height1
    used = [f"{base:#x}" for base, is_used in zip(tensor.bases, tiles, strict=True) if is_used]
    return f"{tensor.region}:{'/'.join(used)}"


def _size(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape))


def _second(command: Command, r: Registers) -> str:
    if command.parameter in (Mode.LRELU, Mode.ABS, Mode.CLZ):
        return ""
    bits = r.parameter("IFM2_BROADCAST")
    order = ", operands change places" if bits & 0x40 else ""
    if bits & 0x80:
        return f"scalar {r.signed('IFM2_SCALAR')}, zero point {r.signed('IFM2_ZERO_POINT')}{order}"
    height, width, depth = (1 if bits >> axis & 1 else n for axis, n in enumerate(r.ofm_shape))
    return _map(r, "IFM2", (height, width, depth)) + order


def _scales_of_operands(command: Command, r: Registers) -> list[str]:
    if command.parameter not in (Mode.ADD, Mode.SUB):
        return []
    which = r.parameter("IFM_PRECISION") >> 8 & 3
    first = _scale(r, "OPA_SCALE")
    if which == 0:
        return [f"operands times {first} and {_scale(r, 'OPB_SCALE')}"]
    return [f"{'first' if which == 1 else 'second'} operand times {first}"]


def _scale(r: Registers, name: str) -> str:
    m, shift = r.scale(name)
    return f"{m} / 2^{shift}" if shift else str(m)


def _window(r: Registers) -> list[str]:
    kernel = r.kernel
    words = [f"kernel {kernel.height}x{kernel.width}"]
    if kernel.stride != (1, 1):
        words.append(f"stride {_size(kernel.stride)}")
    if kernel.dilation != (1, 1):
        words.append(f"dilation {_size(kernel.dilation)}")
    if any(r.padding):
        words.append("padding " + ", ".join(f"{side} {n}" for side, n in zip(_SIDES, r.padding, strict=True) if n))
    upscale = r.parameter("IFM_UPSCALE")
    if upscale:
        words.append(_UPSCALES.get(upscale, f"upscaling {upscale}"))
    return [", ".join(words)]


def _streams(r: Registers) -> list[str]:
    order = "part-kernel-first" if r.kernel.part else "depth-first"
    cores = ("", "1") if "PARALLEL_MODE" in r and r.parameter("PARALLEL_MODE") == 1 else ("",)
    sizes = " + ".join(f"{r.length(f'WEIGHT{core}_LENGTH'):,}" for core in cores)
    at = "/".join(f"{r.address(f'WEIGHT{core}_BASE'):#x}" for core in cores)
    block = r.parameter("OFM_BLK_DEPTH_M1") + 1
    return [f"weights {sizes} B at {r.parameter('WEIGHT_REGION') & 7}:{at}, {order}, blocks of {block} channels"]


def _output(r: Registers) -> list[str]:
    """Scale, rounding, activation and range of what is written."""
    rounding = _ROUNDINGS.get(r.parameter("OFM_PRECISION") >> 14, "unknown rounding")
    if r.global_scale:
        scale = f"times {_scale(r, 'OFM_SCALE')}" if "OFM_SCALE" in r else "no scale"
    else:
        scale = "a scale for each channel"
    function = r.parameter("ACTIVATION") & 31
    words = [f"{scale}, {rounding}"]
    if function:
        curve = {3: "tanh", 4: "logistic"}.get(function, f"activation {function}")
        words.append(f"lookup table {function - 16}" if function >= 16 else curve)
    if "ACTIVATION_MIN" in r and "ACTIVATION_MAX" in r:
        read = r.signed if r.feature_map("OFM").dtype.kind == "i" else r.parameter
        words.append(f"clamped to {read('ACTIVATION_MIN')}..{read('ACTIVATION_MAX')}")
    return words


def _copy(command: Command, r: Registers) -> Described:
    source, target = r.parameter("DMA0_SRC_REGION"), r.parameter("DMA0_DST_REGION")
    to = r.address("DMA0_DST")
    place = f"internal memory {to:#x}" if target & 0x100 else f"{target & 7}:{to:#x}"
    size = f"{r.address('DMA0_LEN'):,} B"
    return Described(command.at, "DMA", f"{size} at {source & 7}:{r.address('DMA0_SRC'):#x}", "", place, ())
