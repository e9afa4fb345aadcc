"""A case of every opcode of version 4: a node, what lies in memory before it, and what a plain definition says."""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from chipfit.kmodel.format import nnil
from chipfit.kmodel.format import nodes as v4
from chipfit.kmodel.format.codec import DataType, MemoryRange
from chipfit.kmodel.format.layout import MapLayout
from chipfit.kmodel.format.nodes import BinaryOp, ReduceOp, ResizeMode, UnaryOp
from kmodel.files import Array, Rng, activation, batch_norm, kpu, main, registers

BYTE, FLOAT = DataType.UINT8, DataType.FLOAT32
OUT = 60_000
"""Where results go in main memory."""


@dataclass
class Case:
    """``memory``: arrays by the place where they lie; ``expected``: None where the test has a definition of its own."""

    name: str
    node: v4.Node
    memory: list[tuple[MemoryRange, Array]]
    expected: Array | None


def floats(rng: Rng, *shape: int) -> Array:
    return rng.normal(size=shape).astype(np.float32)


def codes(rng: Rng, *shape: int) -> Array:
    return rng.integers(0, 256, shape).astype(np.uint8)


def at(start: int, x: Array) -> MemoryRange:
    return main(start, x.shape, BYTE if x.dtype == np.uint8 else FLOAT)


def all_cases(rng: Rng) -> Iterator[Case]:
    for make in (_binaries, _moves, _convolutions, _floats, _integers, _kpu):
        yield from make(rng)


def all_nodes(rng: Rng) -> list[v4.Node]:
    return [case.node for case in all_cases(rng)]


def unary_case(name: str, x: Array, y: Array, node: Callable[[MemoryRange, MemoryRange], v4.Node]) -> Case:
    """A node with one input and one output."""
    place = at(0, x)
    return Case(name, node(place, at(OUT, y)), [(place, x)], y)


# ------------------------------------------------------------------------------------------------ two operands


def _binaries(rng: Rng) -> Iterator[Case]:
    plain: dict[BinaryOp, Callable[[Any, Any], Any]] = {
        BinaryOp.ADD: lambda a, b: a + b,
        BinaryOp.SUB: lambda a, b: a - b,
        BinaryOp.MUL: lambda a, b: a * b,
        BinaryOp.DIV: lambda a, b: a / b,
        BinaryOp.MIN: min,
        BinaryOp.MAX: max,
    }
    for op, function in plain.items():
        a, b = floats(rng, 1, 3, 4, 5), floats(rng, 1, 3, 1, 1)
        y = np.empty(a.shape, np.float32)
        for index in np.ndindex(*a.shape):
            y[index] = min(max(function(a[index], b[0, index[1], 0, 0]), np.float32(-0.5)), np.float32(0.75))
        node = v4.Binary(at(0, a), at(1000, b), at(OUT, y), op, (1, 3, 4, 5), (1, 3, 1, 1), (1, 3, 4, 5), -0.5, 0.75)
        yield Case(f"binary {op.name}", node, [(at(0, a), a), (at(1000, b), b)], y)
        yield _quantized_binary(rng, op)


def _quantized_binary(rng: Rng, op: BinaryOp) -> Case:
    a, b = codes(rng, 1, 2, 3, 4), codes(rng, 1, 2, 3, 4)
    numbers = {"a_offset": -3, "a_mul": 90, "a_shift": 3, "b_offset": -128, "b_mul": 70, "b_shift": 2}
    out = {"output_offset": 30, "output_mul": 200, "output_shift": 12 if op is BinaryOp.MUL else 8}

    def rescaled(value: int, mul: int, shift: int) -> int:
        return (value * mul + (1 << shift - 1)) >> shift

    def divided(x: int, y: int) -> int:
        half = int(y / 2)  # as in C: towards zero
        return int((x + half) / y) if y else -1

    functions: dict[BinaryOp, Callable[[int, int], int]] = {
        BinaryOp.ADD: lambda x, y: x + y,
        BinaryOp.SUB: lambda x, y: x - y,
        BinaryOp.MUL: lambda x, y: x * y,
        BinaryOp.DIV: divided,
        BinaryOp.MIN: min,
        BinaryOp.MAX: max,
    }
    y = np.empty(a.shape, np.uint8)
    for index in np.ndindex(*a.shape):
        left = rescaled(int(a[index]) + numbers["a_offset"], numbers["a_mul"], numbers["a_shift"])
        right = rescaled(int(b[index]) + numbers["b_offset"], numbers["b_mul"], numbers["b_shift"])
        value = rescaled(functions[op](left, right), out["output_mul"], out["output_shift"]) + out["output_offset"]
        y[index] = min(max(value, 0), 255)
    shape = (1, 2, 3, 4)
    node = v4.QuantizedBinary(at(0, a), at(100, b), at(OUT, y), op, shape, shape, shape, **numbers, **out)
    return Case(f"quantized binary {op.name}", node, [(at(0, a), a), (at(100, b), b)], y)


# ------------------------------------------------------------------------------------------------ moves


def _moves(rng: Rng) -> Iterator[Case]:
    parts = [floats(rng, 2, extent, 3) for extent in (1, 4, 2)]
    places = [at(index * 1000, part) for index, part in enumerate(parts)]
    y = np.concatenate(parts, 1)
    node = v4.Concat(at(OUT, y), 12, 2, 3, tuple(places), np.array([1, 4, 2], "<i4"))
    yield Case("concat", node, list(zip(places, parts, strict=True)), y)

    x = codes(rng, 1, 2, 3, 4)
    yield unary_case("copy", x, x, v4.MemoryCopy)
    # a channel before, a row on both sides, and the first column gone
    y = np.full((1, 3, 5, 3), 7, np.uint8)
    y[:, 1:, 1:4] = x[:, :, :, 1:]
    pads = (0, 0, 1, 0, 1, 1, -1, 0)
    yield unary_case("pad", x, y, lambda a, b: v4.Pad(a, b, (1, 2, 3, 4), pads, 1, b"\7\0\0\0"))
    real = floats(rng, 1, 1, 2, 2)
    y = np.full((1, 1, 2, 3), -1.5, np.float32)
    y[..., :2] = real
    value = struct.pack("<f", -1.5)
    yield unary_case("pad float", real, y, lambda a, b: v4.Pad(a, b, (1, 1, 2, 2), (0, 0, 0, 0, 0, 0, 0, 1), 0, value))

    y = np.empty((4, 1, 3, 2), np.uint8)
    for n, c, h, w in np.ndindex(*x.shape):
        y[w, n, h, c] = x[n, c, h, w]
    yield unary_case("transpose", x, y, lambda a, b: v4.Transpose(a, b, (1, 2, 3, 4), (3, 0, 2, 1)))

    y = x[:, :, ::-2, 1:4:2]
    slices = ((0, 0, 2, 1), (1, 2, -1, 4), (1, 1, -2, 2))
    yield unary_case("strided slice", x, y, lambda a, b: v4.StridedSlice(a, b, (1, 2, 3, 4), *slices))

    y = x[:, :, [0, 0, 1, 1, 2]][:, :, :, [0, 0, 1, 1, 2, 2, 3, 3]]
    yield unary_case(
        "resize nearest", x, y, lambda a, b: v4.ResizeImage(a, b, (1, 2, 3, 4), 5, 8, ResizeMode.NEAREST, False)
    )
    for aligned in (False, True):
        yield _bilinear(rng, aligned)
    table = rng.permutation(256).astype(np.uint8)
    y = np.array([table[code] for code in x.ravel()], np.uint8)
    place, table_place = at(0, x), at(100, table)
    lookup = v4.TableLookup1D(place, table_place, at(OUT, y))
    yield Case("table", lookup, [(place, x), (table_place, table)], y)


def _bilinear(rng: Rng, aligned: bool) -> Case:
    """Between the four pixels around; multiples of 1/8 and 1/4, so that sums are exact."""
    x = (rng.integers(0, 64, (1, 2, 3, 5)) * 4).astype(np.float32)
    out_h, out_w = 5, 9
    step_h, step_w = (2 / 4, 4 / 8) if aligned else (np.float32(3) / 5, np.float32(5) / 9)
    y = np.empty((1, 2, out_h, out_w), np.float32)
    for c, row, column in np.ndindex(2, out_h, out_w):
        down, right = np.float32(row * np.float32(step_h)), np.float32(column * np.float32(step_w))
        top, left = math.floor(down), math.floor(right)
        bottom, rightmost = min(top + 1, 2), min(left + 1, 4)
        fy, fx = np.float32(down - top), np.float32(right - left)
        one = np.float32(1)
        y[0, c, row, column] = (
            x[0, c, top, left] * ((one - fy) * (one - fx))
            + x[0, c, bottom, left] * (fy * (one - fx))
            + x[0, c, top, rightmost] * ((one - fy) * fx)
            + x[0, c, bottom, rightmost] * (fy * fx)
        )
    return unary_case(
        f"resize bilinear{' aligned' if aligned else ''}",
        x,
        y,
        lambda a, b: v4.ResizeImage(a, b, (1, 2, 3, 5), out_h, out_w, ResizeMode.BILINEAR, aligned),
    )


# ------------------------------------------------------------------------------------------------ windows


def windows(size: int, pads: tuple[int, int], taps: int, stride: int, dilation: int) -> list[list[tuple[int, int]]]:
    """For each position the (tap, pixel) that lie inside."""
    result: list[list[tuple[int, int]]] = []
    for position in range((size + sum(pads) - ((taps - 1) * dilation + 1)) // stride + 1):
        pixels = [position * stride - pads[0] + tap * dilation for tap in range(taps)]
        result.append([(tap, pixel) for tap, pixel in enumerate(pixels) if 0 <= pixel < size])
    return result


def _convolutions(rng: Rng) -> Iterator[Case]:
    shape, groups, out = (2, 4, 6, 7), 2, 6
    window: dict[str, Any] = {
        "pad_h": (1, 2),
        "pad_w": (0, 1),
        "filter_h": 3,
        "filter_w": 2,
        "stride_h": 2,
        "stride_w": 1,
        "dilation_h": 1,
        "dilation_w": 2,
    }
    rows = windows(6, (1, 2), 3, 2, 1)
    columns = windows(7, (0, 1), 2, 1, 2)
    for is_float in (True, False):
        x = floats(rng, *shape) if is_float else codes(rng, *shape)
        weights = floats(rng, out, 2, 3, 2) if is_float else codes(rng, out, 2, 3, 2)
        bias = floats(rng, out) if is_float else rng.integers(-9000, 9000, out).astype("<i4")
        sums: Array = np.zeros((2, out, len(rows), len(columns)), np.float32 if is_float else np.int64)
        offsets = (0, 0) if is_float else (-100, -120)
        for n, o, row, column in np.ndindex(*sums.shape):
            total = bias[o] if is_float else int(bias[o])
            for c in range(2):
                for down, y in rows[row]:
                    for right, z in columns[column]:
                        pixel, weight = x[n, o // 3 * 2 + c, y, z], weights[o, c, down, right]
                        if is_float:
                            total = np.float32(total + pixel * weight)
                        else:
                            total += (int(pixel) + offsets[0]) * (int(weight) + offsets[1])
            sums[n, o, row, column] = total
        if is_float:
            y = np.clip(sums, np.float32(-1), np.float32(6))
            act: dict[str, Any] = {"act_min": -1.0, "act_max": 6.0}
            yield unary_case(
                "conv2d",
                x,
                y,
                lambda a, b, w=weights, s=bias, act=act: v4.Conv2D(
                    a, b, shape, groups, out, **window, **act, weights=w.ravel(), bias=s
                ),
            )
            continue
        y = np.clip(((sums * 77 + (1 << 13)) >> 14) + 90, 0, 255).astype(np.uint8)
        numbers: dict[str, Any] = {
            "input_offset": -100,
            "filter_offset": -120,
            "output_mul": 77,
            "output_shift": 14,
            "output_offset": 90,
        }
        yield unary_case(
            "quantized conv2d",
            x,
            y,
            lambda a, b, w=weights, s=bias, numbers=numbers: v4.QuantizedConv2D(
                a, b, shape, groups, out, **window, **numbers, bias=s, weights=w.ravel()
            ),
        )
    yield _transposed(rng)
    yield from _pools(rng)
    yield from _channels_last(rng)


def _channels_last(rng: Rng) -> Iterator[Case]:
    """The same on (n, h, w, c), where sums go over taps, then channels."""
    shape, out = (2, 6, 7, 3), 4
    window: dict[str, Any] = {
        "pad_h": (1, 2),
        "pad_w": (0, 1),
        "filter_h": 3,
        "filter_w": 2,
        "stride_h": 2,
        "stride_w": 1,
        "dilation_h": 1,
        "dilation_w": 2,
    }
    rows, columns = windows(6, (1, 2), 3, 2, 1), windows(7, (0, 1), 2, 1, 2)
    numbers = {"input_offset": -9, "filter_offset": -120, "output_mul": 77, "output_shift": 13, "output_offset": 60}
    for depthwise in (False, True):
        channels = 3 if depthwise else out
        weight_shape = (3, 3, 2, 1) if depthwise else (out, 3, 2, 3)
        for is_float in (True, False):
            x = floats(rng, *shape) if is_float else codes(rng, *shape)
            weights = floats(rng, *weight_shape) if is_float else codes(rng, *weight_shape)
            bias = floats(rng, channels) if is_float else rng.integers(-900, 900, channels).astype("<i4")
            y = np.empty((2, len(rows), len(columns), channels), np.float32 if is_float else np.uint8)
            for n, row, column, o in np.ndindex(*y.shape):
                total = bias[o] if is_float else int(bias[o])
                for down, i in rows[row]:
                    for right, j in columns[column]:
                        for index, c in enumerate([o] if depthwise else range(3)):
                            pixel, weight = x[n, i, j, c], weights[o, down, right, index]
                            if is_float:
                                total = np.float32(total + pixel * weight)
                            else:
                                total += (int(pixel) - 9) * (int(weight) - 120)
                if is_float:
                    y[n, row, column, o] = min(max(total, np.float32(-1)), np.float32(2))
                else:
                    y[n, row, column, o] = min(max(((total * 77 + (1 << 12)) >> 13) + 60, 0), 255)
            arrays: dict[str, Any] = {"weights": weights.ravel(), "bias": bias} | window
            arrays |= {"act_min": -1.0, "act_max": 2.0} if is_float else numbers
            arrays |= {} if depthwise else {"out_channels": out}
            kinds = {
                (False, True): v4.CpuConv2D,
                (True, True): v4.CpuDepthwiseConv2D,
                (False, False): v4.CpuQuantizedConv2D,
                (True, False): v4.CpuQuantizedDepthwiseConv2D,
            }
            kind: Any = kinds[depthwise, is_float]
            node = kind(input=at(0, x), output=at(OUT, y), shape=shape, **arrays)
            yield Case(kind.__name__, node, [(at(0, x), x)], y)
    x = floats(rng, *shape)
    y = np.empty((2, len(rows), len(columns), 3), np.float32)
    for n, row, column, c in np.ndindex(*y.shape):
        y[n, row, column, c] = max(x[n, i, j, c] for _, i in rows[row] for _, j in columns[column])
    limits: dict[str, Any] = {"init": v4.NO_MIN, "act_min": v4.NO_MIN, "act_max": v4.NO_MAX}
    node = v4.CpuReduceWindow2D(at(0, x), at(OUT, y), ReduceOp.MAX, shape, **window, **limits)
    yield Case("pool channels last", node, [(at(0, x), x)], y)


def _transposed(rng: Rng) -> Case:
    """Every pixel is spread over the output; the bias is not added."""
    x, weights = floats(rng, 1, 4, 3, 3), floats(rng, 6, 2, 3, 3)
    y = np.zeros((1, 6, 6, 6), np.float32)
    for group, c, row, column, o in np.ndindex(2, 2, 3, 3, 3):
        for down, right in np.ndindex(3, 3):
            to_row, to_column = row * 2 - 0 + down, column * 2 + right
            if to_row < 6 and to_column < 6:
                value = x[0, group * 2 + c, row, column] * weights[group * 3 + o, c, down, right]
                y[0, group * 3 + o, to_row, to_column] += value
    bias = floats(rng, 6)
    window = ((0, 1), (0, 1), 3, 3, 2, 2, 1, 1, v4.NO_MIN, v4.NO_MAX, weights.ravel(), bias)
    return unary_case(
        "conv2d transpose", x, y, lambda a, b: v4.Conv2DTranspose(a, b, (1, 4, 3, 3), (1, 6, 6, 6), 2, *window)
    )


def _pools(rng: Rng) -> Iterator[Case]:
    functions: dict[ReduceOp, Callable[[list[Any]], Any]] = {
        ReduceOp.MEAN: lambda taken: np.add.accumulate(np.array(taken, np.float32))[-1] / np.float32(len(taken)),
        ReduceOp.MIN: min,
        ReduceOp.MAX: max,
        ReduceOp.SUM: lambda taken: float(np.add.accumulate(np.array(taken, np.float32))[-1]),
    }
    inits = {ReduceOp.MEAN: 0.0, ReduceOp.MIN: v4.NO_MAX, ReduceOp.MAX: v4.NO_MIN, ReduceOp.SUM: 0.0}
    rows, columns = windows(5, (1, 1), 3, 2, 1), windows(6, (0, 1), 2, 2, 1)
    for op, function in functions.items():
        x = floats(rng, 1, 2, 5, 6)
        y = np.empty((1, 2, len(rows), len(columns)), np.float32)
        for c, row, column in np.ndindex(*y.shape[1:]):
            y[0, c, row, column] = function([x[0, c, a, b] for _, a in rows[row] for _, b in columns[column]])
        yield unary_case(
            f"pool {op.name}",
            x,
            y,
            lambda a, b, op=op: v4.ReduceWindow2D(
                a, b, op, (1, 2, 5, 6), (1, 1), (0, 1), 3, 2, 2, 2, 1, 1, inits[op], v4.NO_MIN, v4.NO_MAX
            ),
        )
        taken = [[x[0, c, h, w] for h in range(5) for w in range(6)] for c in range(2)]
        if op is ReduceOp.MEAN:
            scale = np.float32(2) / np.float32(60)
            reduced = np.array([functions[ReduceOp.SUM](one) for one in taken], np.float32) * scale
        else:
            reduced = np.array([function(one) for one in taken], np.float32)
        yield unary_case(
            f"reduce {op.name}",
            x,
            reduced,
            lambda a, b, op=op: v4.Reduce(a, b, op, (1, 2, 5, 6), (1, 2, 1, 1), inits[op]),
        )


# ------------------------------------------------------------------------------------------------ arithmetic


def _floats(rng: Rng) -> Iterator[Case]:
    x = codes(rng, 50)
    y = ((x.astype(np.int64) - 7).astype(np.float32)) * (np.float32(1) / np.float32(12.5))
    yield unary_case("dequantize", x, y, lambda a, b: v4.Dequantize(a, b, 7, 12.5))
    real = np.array([0.0, 0.1, 0.04, -0.04, 20.0, -9.0, 0.12], np.float32)
    expected = np.array([30, 33, 31, 29, 255, 0, 33], np.uint8)  # 0.1 is the half: 32.5
    yield unary_case("quantize", real, expected, lambda a, b: v4.Quantize(a, b, 30, 25.0))

    a, b, bias = floats(rng, 3, 8), floats(rng, 8, 5), floats(rng, 5)
    y = np.empty((3, 5), np.float32)
    for row, column in np.ndindex(3, 5):
        total = bias[column]
        for k in range(8):
            total = np.float32(total + a[row, k] * b[k, column])
        y[row, column] = min(max(total, np.float32(0)), np.float32(2))
    node = v4.MatMul(at(0, a), at(500, b), at(OUT, y), 3, 8, 5, 0.0, 2.0, bias)
    yield Case("matmul", node, [(at(0, a), a), (at(500, b), b)], y)

    x = floats(rng, 2, 6)
    y = np.empty_like(x)
    for row in range(2):
        e = [np.exp((value - x[row].max()) * np.float32(0.5)) for value in x[row]]
        total = np.float32(0)
        for value in e:
            total = np.float32(total + value)
        y[row] = [value / total for value in e]
    yield unary_case("softmax", x, y, lambda a, b: v4.Softmax(a, b, 6, 2, 0.5))

    positive = np.abs(floats(rng, 20)) + np.float32(0.1)
    plain: dict[UnaryOp, Callable[[float], float]] = {
        UnaryOp.ABS: abs,
        UnaryOp.CEIL: np.ceil,
        UnaryOp.COS: np.cos,
        UnaryOp.EXP: np.exp,
        UnaryOp.FLOOR: math.floor,
        UnaryOp.LOG: np.log,
        UnaryOp.NEG: lambda v: -v,
        UnaryOp.RSQRT: lambda v: np.float32(1) / np.sqrt(v),
        UnaryOp.SIN: np.sin,
        UnaryOp.SQUARE: lambda v: v * v,
    }
    for op, function in plain.items():
        x = positive if op in (UnaryOp.LOG, UnaryOp.RSQRT) else floats(rng, 20)
        y = np.array([function(value) for value in x], np.float32)
        yield unary_case(f"unary {op.name}", x, y, lambda a, b, op=op: v4.Unary(a, b, op))
        code = bytes([nnil.NOP, nnil.ARGUMENT, nnil.UNARY + op, nnil.RETURN])
        yield unary_case(f"nnil {op.name}", x, y, lambda a, b, code=code: v4.NnilUnaryMethod(a, b, code))

    # min(max((x - 2.5) * x, -1), 1) + 1, by way of all kinds of instructions; POP takes back what DUP made
    code = bytes([nnil.ARGUMENT, nnil.DUP, nnil.FLOAT, *struct.pack("<f", 2.5), nnil.BINARY + BinaryOp.SUB])
    code += bytes([nnil.BINARY + BinaryOp.MUL, nnil.DUP, nnil.POP, nnil.ONE, nnil.UNARY + UnaryOp.NEG, nnil.ONE])
    code += bytes([nnil.CLAMP, nnil.ZERO, nnil.ONE, nnil.BINARY + BinaryOp.MAX, nnil.BINARY + BinaryOp.ADD])
    code += bytes([nnil.RETURN, 0xEE])
    x = floats(rng, 40)
    one = np.float32(1)
    y = np.array([min(max(v * (v - np.float32(2.5)), -one), one) + one for v in x], np.float32)
    yield unary_case("nnil program", x, y, lambda a, b: v4.NnilUnaryMethod(a, b, code))


def _integers(rng: Rng) -> Iterator[Case]:
    a, b, bias = codes(rng, 3, 9), codes(rng, 9, 4), rng.integers(-4000, 4000, 4).astype("<i4")
    y = np.empty((3, 4), np.uint8)
    for row, column in np.ndindex(3, 4):
        total = int(bias[column])
        total += sum((int(a[row, k]) - 120) * (int(b[k, column]) - 131) for k in range(9))
        y[row, column] = min(max(((total * 60 + (1 << 13)) >> 14) + 128, 0), 255)
    node = v4.QuantizedMatMul(at(0, a), at(500, b), at(OUT, y), 3, 9, 4, -120, -131, 60, 14, 128, bias)
    yield Case("quantized matmul", node, [(at(0, a), a), (at(500, b), b)], y)


def _kpu(rng: Rng) -> Iterator[Case]:
    """Where these put their bytes, and what the KPU computes, have tests of their own."""
    x = codes(rng, 2, 3, 5, 6)
    yield Case("upload", v4.KpuUpload(at(0, x), kpu(3, x.shape), (2, 3, 5, 6)), [(at(0, x), x)], None)
    layer = registers(rng, MapLayout(3, 5, 6), 7, 3, 0)
    weights = codes(rng, layer.weight_count)
    place = main(OUT, (2, 7, 5, 6), BYTE)
    yield Case("kpu", v4.KpuConv2D(layer, batch_norm(rng, 7), activation(rng), weights, place, 2), [], None)
