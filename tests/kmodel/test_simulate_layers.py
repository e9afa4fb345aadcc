"""Layers of version 3 on the CPU against plain definitions."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from chipfit.kmodel.format import layers as v3
from chipfit.kmodel.format.access import layer_access
from chipfit.kmodel.format.check_layers import check_layer
from chipfit.kmodel.format.check_nodes import Unsound
from chipfit.kmodel.format.codec import DataType, Memory, MemoryRange
from chipfit.kmodel.format.layout import KPU_BYTES, LINE, MapLayout
from chipfit.kmodel.simulate.layers import run_layer
from chipfit.kmodel.simulate.memory import Memories
from kmodel.files import Array, Rng
from kmodel.nodes import OUT, codes, floats, windows

SIZES = {Memory.CONST: 0, Memory.MAIN: 1 << 17, Memory.KPU: KPU_BYTES}
ZERO, ONE = np.float32(0), np.float32(1)


@dataclass
class Case:
    layer: v3.Layer
    memory: list[tuple[int, Array]]
    expected: Array


def in_order(values: list[Any]) -> np.float32:
    total = ZERO
    for value in values:
        total = np.float32(total + value)
    return total


def cases(rng: Rng) -> Iterator[Case]:
    a, b = floats(rng, 12), floats(rng, 12)
    yield Case(v3.Add(1, 0, 100, OUT, 12), [(0, a), (100, b)], np.array([x + y for x, y in zip(a, b, strict=True)]))
    yield from _quantized_adds(rng)
    x = floats(rng, 3, 20)
    means = [in_order(list(row)) / np.float32(20) for row in x]
    yield Case(v3.GlobalAveragePool2D(1, 0, OUT, 20, 3), [(0, x)], np.array(means, np.float32))
    yield from _pools(rng)
    x = np.array([0.0, 0.05, 0.15, -0.05, 90.0, -9.0], np.float32)
    expected = np.array([30, 31, 32, 30, 255, 0], np.uint8)  # (x + 3) / 0.1: halves away from zero
    yield Case(v3.Quantize(0, 0, OUT, 6, 0.1, -3.0), [(0, x)], expected)
    q = codes(rng, 4, 5)
    real = q.astype(np.float32) * np.float32(0.25) + np.float32(-7)
    yield Case(v3.Dequantize(1, 0, OUT, 20, 0.25, -7.0), [(0, q)], real)
    params = floats(rng, 4, 2)
    real = np.array([[code * s + bias for code in row] for row, (s, bias) in zip(q, params, strict=True)], np.float32)
    yield Case(v3.ChannelwiseDequantize(1, 0, OUT, 4, 5, params.ravel()), [(0, q)], real)
    table = rng.permutation(256).astype(np.uint8)
    yield Case(v3.Requantize(0, 0, OUT, 20, table), [(0, q)], np.array([table[code] for code in q.ravel()], np.uint8))
    yield from _vectors(rng)
    parts = [codes(rng, 3), codes(rng, 7)]
    for kind in (v3.Concat, v3.QuantizedConcat):
        layer = kind(1, OUT, 2, np.array([0, 3, 100, 7], "<u4"))
        yield Case(layer, [(0, parts[0]), (100, parts[1])], np.concatenate(parts))
    x = floats(rng, 2, 3, 4)  # (c, h, w)
    flat = np.array([x[c, h, w] for h in range(3) for w in range(4) for c in range(2)], np.float32)
    yield Case(v3.TensorflowFlatten(1, 0, OUT, (4, 3, 2)), [(0, x)], flat)
    kinds = (v3.ResizeNearestNeighbor, v3.QuantizedResizeNearestNeighbor)
    for x, kind in zip((floats(rng, 2, 3, 4), codes(rng, 2, 3, 4)), kinds, strict=True):
        y = np.array([[[x[c, r * 3 // 5, k * 4 // 6] for k in range(6)] for r in range(5)] for c in range(2)], x.dtype)
        yield Case(kind(1, 0, OUT, (4, 3, 2), 6, 5, 0), [(0, x)], y)
    q = codes(rng, 5, 16)
    yield Case(v3.K210RemovePadding(1, 0, OUT, 5), [(0, q)], np.array([row[0] for row in q], np.uint8))


def _quantized_adds(rng: Rng) -> Iterator[Case]:
    a, b = codes(rng, 30), codes(rng, 30)
    for shift_b in (6, 7):
        y: list[int] = []
        for p, q in zip(a.tolist(), b.tolist(), strict=True):
            left, right = (p - 100) * 50, (q - 130) * 70
            total = (left + right) >> 6 if shift_b == 6 else (left >> 6) + (right >> 7)
            doubled = total * 90 >> 6
            rounded = (doubled >> 1) + (0 if doubled % 2 == 0 else -1 if doubled < 0 else 1)
            y.append(min(max(rounded + 128, 0), 255))
        layer = v3.QuantizedAdd(0, 0, 100, OUT, 30, -100, 50, 6, -130, 70, shift_b, 128, 90, 7)
        yield Case(layer, [(0, a), (100, b)], np.array(y, np.uint8))


def _pools(rng: Rng) -> Iterator[Case]:
    """Of 7x6 pixels, 3x4 at a time, one column and no row of padding before; the last row of windows looks out."""
    rows, columns = windows(6, (0, 1), 4, 3, 1), windows(7, (1, 1), 3, 2, 1)
    shapes = ((7, 6, 2), (len(columns), len(rows), 2))
    x, q = floats(rng, 2, 6, 7), codes(rng, 2, 6, 7)
    mean, most = np.empty((2, len(rows), len(columns)), np.float32), np.empty((2, len(rows), len(columns)), np.uint8)
    for c, row, column in np.ndindex(*mean.shape):
        inside = [(i, j) for _, i in rows[row] for _, j in columns[column]]
        mean[c, row, column] = max(in_order([x[c, i, j] for i, j in inside]) / np.float32(len(inside)), ZERO)
        most[c, row, column] = max(int(q[c, i, j]) for i, j in inside)
    yield Case(v3.QuantizedMaxPool2D(0, 0, OUT, *shapes, 3, 4, 2, 3, 1, 0), [(0, q)], most)
    yield Case(v3.AveragePool2D(1, 0, OUT, *shapes, 3, 4, 2, 3, 1, 0, v3.Act.RELU), [(0, x)], mean)


def _vectors(rng: Rng) -> Iterator[Case]:
    x = floats(rng, 9)
    scale = ONE / np.sqrt(in_order([v * v for v in x]))
    yield Case(v3.L2Normalization(1, 0, OUT, 9), [(0, x)], np.array([v * scale for v in x], np.float32))
    for shift in (0.0, -10.0):  # where all are negative, the largest does not become 1
        x = floats(rng, 9) + np.float32(shift)
        most = max(*x.tolist(), float(np.finfo(np.float32).tiny))
        e = [np.exp(v - np.float32(most)) for v in x]
        yield Case(v3.Softmax(1, 0, OUT, 9), [(0, x)], np.array([v / in_order(e) for v in e], np.float32))
    yield Case(v3.Logistic(1, 0, OUT, 9), [(0, x)], np.array([ONE / (ONE + np.exp(-v)) for v in x], np.float32))
    weights, bias = floats(rng, 4, 9), floats(rng, 4)
    for act in v3.Act:
        sums = [in_order([p * q for p, q in zip(x, row, strict=True)]) for row in weights]
        y = [total + start for total, start in zip(sums, bias, strict=True)]
        y = y if act is v3.Act.LINEAR else [min(max(v, ZERO), np.float32(6 if act is v3.Act.RELU6 else 1e9)) for v in y]
        layer = v3.FullyConnected(1, 0, OUT, 9, 4, act, weights.ravel(), bias)
        yield Case(layer, [(0, x)], np.array(y, np.float32))


CASES = list(cases(np.random.default_rng(21)))


def test_there_is_a_case_for_every_layer() -> None:
    of_the_kpu = {v3.K210Conv, v3.K210Upload, v3.K210AddPadding}
    assert {type(case.layer) for case in CASES} == set(v3.LAYERS.values()) - of_the_kpu


@pytest.mark.parametrize("case", CASES, ids=lambda c: type(c.layer).__name__)
def test_layer(case: Case) -> None:
    check_layer(case.layer)
    memories = Memories(SIZES)
    for start, values in case.memory:
        memories.put(Memory.MAIN, start, values)
    returned = run_layer(case.layer, memories)
    expected = np.ascontiguousarray(case.expected)
    assert returned.tobytes() == expected.tobytes()
    assert memories.take(OUT, expected.nbytes, DataType.UINT8).tobytes() == expected.tobytes()
    access = layer_access(case.layer)
    assert [(span.start, span.size) for span in access.writes] == [(OUT, expected.nbytes)]
    reads = [(start, values.nbytes) for start, values in case.memory]
    assert [(span.start, span.size) for span in access.reads] == reads


def test_padding_and_upload() -> None:
    rng = np.random.default_rng(0)
    memories = Memories(SIZES)
    x = codes(rng, 6)
    memories.put(Memory.MAIN, 0, x)
    run_layer(v3.K210AddPadding(0, 0, 5, 6), memories)
    raw = memories.read(MemoryRange(Memory.KPU, DataType.UINT8, 5 * LINE, 8 * LINE))
    expected = np.zeros(8 * LINE, np.uint8)
    for c in range(6):  # 4 channels to a line, 4 lines to a channel
        expected[c // 4 * 4 * LINE + c % 4 * 16] = x[c]
    assert np.array_equal(raw, expected)
    image = codes(rng, 3, 2, 5)
    memories.put(Memory.MAIN, 0, image)
    run_layer(v3.K210Upload(0, 0, 40, (5, 2, 3)), memories)
    assert np.array_equal(memories.read_map(40 * LINE, MapLayout(3, 2, 5)), image)


@pytest.mark.parametrize(
    "layer",
    [
        v3.Add(1, 0, 100, OUT, 0),
        v3.Quantize(0, 0, OUT, 6, 0.0, 1.0),
        v3.QuantizedAdd(0, 0, 100, OUT, 30, 0, 1, 63, 0, 1, 0, 0, 1, 0),
        v3.QuantizedMaxPool2D(0, 0, OUT, (7, 6, 2), (9, 3, 2), 3, 2, 2, 3, 1, 0),
        v3.QuantizedMaxPool2D(0, 0, OUT, (7, 6, 2), (4, 3, 3), 3, 2, 2, 3, 1, 0),
        v3.K210Upload(0, 0, 40, (5, 0, 3)),
    ],
    ids=lambda layer: type(layer).__name__,
)
def test_what_makes_no_sense(layer: v3.Layer) -> None:
    with pytest.raises(Unsound):
        check_layer(layer)
