"""A layer of the KPU against its definition, pixel by pixel in Python's own integers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from chipfit.kmodel.format import nodes as v4
from chipfit.kmodel.format.codec import DataType
from chipfit.kmodel.format.layout import MapLayout
from chipfit.kmodel.format.registers import POOLS, Activation, BatchNorm, Registers, Segment
from chipfit.kmodel.simulate import kpu as kpu_module
from chipfit.kmodel.simulate.kpu import kpu_layer, pooled, round_v3, round_v4
from chipfit.kmodel.simulate.program import run_v4
from kmodel.files import Array, activation, batch_norm, kpu, main, registers, tiny_v4


def shifted(value: int, shift: int, version: int) -> int:
    """value / 2**shift in the rounding of a version."""
    if shift == 0:
        return value
    if version == 3:
        doubled = value >> (shift - 1)
        if doubled % 2 == 0:
            return doubled >> 1
        return (doubled >> 1) - 1 if doubled < 0 else (doubled >> 1) + 1
    whole, rest, half = value >> shift, value % (1 << shift), 1 << (shift - 1)
    sign = -1 if value < 0 else 1
    if rest == half:
        return whole + sign if whole % 2 else whole
    return whole + sign if rest > half else whole


def activated(t: int, table: Activation, version: int) -> int:
    chosen = None
    for segment in table.segments:
        if t > segment.x_start or (version == 3 and t == segment.x_start):
            chosen = segment
    if chosen is None:
        return 0
    return min(max(shifted((t - chosen.x_start) * chosen.mul, chosen.shift, version) + chosen.add, 0), 255)


def plain_layer(x: Array, r: Registers, norm: BatchNorm, table: Activation, weights: Array, version: int) -> Array:
    """Before pooling."""
    channels, height, width = x.shape
    k = r.kernel
    pad = k // 2
    y = np.zeros((r.o_ch_num, height, width), np.uint8)
    filters = weights.reshape(r.o_ch_num, -1, k, k)
    for o, row, column in np.ndindex(*y.shape):
        taken = [o] if r.depth_wise_layer else range(channels)
        products = pixels = sums = 0
        for index, c in enumerate(taken):
            for down in range(k):
                for right in range(k):
                    i, j = row + down - pad, column + right - pad
                    pixel = int(x[c, i, j]) if 0 <= i < height and 0 <= j < width else r.pad_value
                    weight = int(filters[o, index, down, right])
                    products += pixel * weight
                    pixels += pixel
                    sums += weight
        acc = products + (r.arg_x * pixels >> r.shr_x) + (r.arg_w * sums >> r.shr_w) + r.arg_add * len(taken)
        t = (acc * int(norm.mul[o]) >> int(norm.shift[o])) + int(norm.add[o])
        y[o, row, column] = activated(t, table, version)
    return y


def plain_pool(y: Array, pool_type: int) -> Array:
    pool = POOLS[pool_type]
    channels, height, width = y.shape
    out = np.zeros((channels, height // pool.stride, width // pool.stride), np.uint8)
    for c, row, column in np.ndindex(*out.shape):
        i, j = row * pool.stride, column * pool.stride
        if pool.kind in ("none", "pick"):
            out[c, row, column] = y[c, i, min(j + pool.pick, width - 1)]
            continue
        window = [
            int(y[c, min(i + a, height - 1), min(j + b, width - 1)])
            for a in range(pool.side)
            for b in range(pool.side)
            if pool.kind == "mean" or (i + a < height and j + b < width)
        ]
        out[c, row, column] = max(window) if pool.kind == "max" else sum(window) // len(window)
    return out


@pytest.mark.parametrize("version", [3, 4])
@pytest.mark.parametrize("depthwise", [False, True], ids=["full", "depthwise"])
@pytest.mark.parametrize("kernel", [1, 3])
@pytest.mark.parametrize("shape", [(3, 5, 6), (5, 4, 17), (2, 7, 33)], ids=str)
def test_layer(shape: tuple[int, int, int], kernel: int, depthwise: bool, version: int) -> None:
    rng = np.random.default_rng([*shape, kernel, depthwise, version])
    source = MapLayout(*shape)
    out = shape[0] if depthwise else 4
    r = registers(rng, source, out, kernel, 0, depthwise, version)
    x = rng.integers(0, 256, shape).astype(np.uint8)
    weights = rng.integers(0, 256, r.weight_count).astype(np.uint8)
    norm, table = batch_norm(rng, out), activation(rng, version)
    y = kpu_layer(x, r, norm, table, weights, version)
    assert np.array_equal(y, plain_layer(x, r, norm, table, weights, version))
    assert len(np.unique(y)) > 8


def test_bands_of_rows_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(9)
    for depthwise in (False, True):
        r = registers(rng, MapLayout(6, 11, 9), 6, 3, 0, depthwise)
        x = rng.integers(0, 256, (6, 11, 9)).astype(np.uint8)
        rest = (batch_norm(rng, 6), activation(rng), rng.integers(0, 256, r.weight_count).astype(np.uint8), 4)
        whole = kpu_layer(x, r, *rest)
        monkeypatch.setattr(kpu_module, "_BAND_BYTES", 2000)
        assert np.array_equal(kpu_layer(x, r, *rest), whole)
        monkeypatch.undo()


def test_many_channels_are_exact() -> None:
    """Sums above 2^24, which single precision could not hold."""
    rng = np.random.default_rng(2)
    r = registers(rng, MapLayout(300, 4, 4), 2, 3, 0)
    x = rng.integers(250, 256, (300, 4, 4)).astype(np.uint8)
    weights = rng.integers(250, 256, r.weight_count).astype(np.uint8)
    norm = BatchNorm(np.array([1, -1]), np.array([-160_000_000, 160_000_000]), np.array([0, 0]))
    table = Activation((*[Segment(-(1 << 35), 0, 0, 0)] * 15, Segment(-10_000_000, 1, 17, 3)))
    y = kpu_layer(x, r, norm, table, weights, 4)
    assert np.array_equal(y, plain_layer(x, r, norm, table, weights, 4))


@pytest.mark.parametrize("pool_type", sorted(POOLS))
@pytest.mark.parametrize("shape", [(2, 8, 12), (3, 9, 11), (1, 4, 4)], ids=str)
def test_pooling(pool_type: int, shape: tuple[int, int, int]) -> None:
    y = np.random.default_rng(pool_type).integers(0, 256, shape).astype(np.uint8)
    assert np.array_equal(pooled(y, pool_type), plain_pool(y, pool_type))


def test_the_roundings() -> None:
    """Halves: to the even number in version 4, where the sign decides which way; away from zero in version 3."""
    values = np.arange(-70, 70, dtype=np.int64)
    for shift in range(5):
        shifts = np.full(values.shape, shift, np.int64)
        assert round_v4(values, shifts).tolist() == [shifted(int(v), shift, 4) for v in values]
        assert round_v3(values, shifts).tolist() == [shifted(int(v), shift, 3) for v in values]
    assert round_v4(np.array([1, 3, 5]), np.array([1, 1, 1])).tolist() == [0, 2, 2]
    assert round_v3(np.array([1, 3, 5]), np.array([1, 1, 1])).tolist() == [1, 2, 3]


def test_large_shifts_leave_nothing() -> None:
    rng = np.random.default_rng(4)
    r = registers(rng, MapLayout(1, 4, 4), 1, 1, 0)
    table = Activation((*[Segment(-(1 << 35), 0, 0, 0)] * 15, Segment(-(1 << 34), 1000, 255, 9)))
    one = BatchNorm(np.array([1]), np.array([0]), np.array([0]))
    y = kpu_layer(np.full((1, 4, 4), 200, np.uint8), r, one, table, np.array([3], np.uint8), 4)
    assert (y == 9).all()


def test_overlapping_maps_show() -> None:
    """Maps lie where the file says: one that is put over another changes what is read there, as on the chip."""
    rng = np.random.default_rng(8)
    model = tiny_v4(rng)
    conv = model.nodes[0]
    assert isinstance(conv, v4.KpuConv2D)
    line = conv.registers.image_dst_addr
    small = (1, 4, 4, 4)
    layer = replace(registers(rng, MapLayout(4, 4, 4), 4, 1, 0), image_src_addr=line, image_dst_addr=40)
    weights = rng.integers(0, 256, 16).astype(np.uint8)
    second = replace(conv, registers=layer, batch_norm=batch_norm(rng, 4), weights=weights)
    x = rng.integers(0, 256, (1, 3, 8, 8)).astype(np.uint8)

    def results(upload_to: int) -> list[Array]:
        upload = v4.KpuUpload(main(64, small, DataType.UINT8), kpu(upload_to, small), small)
        found: list[Array] = []
        changed = replace(model, nodes=(conv, upload, second, *model.nodes[1:]))
        run_v4(changed, [x], lambda _, result: found.append(result))
        return found

    apart, elsewhere, over = results(100), results(200), results(line)
    assert np.array_equal(apart[2], elsewhere[2])
    assert np.array_equal(apart[0], over[0])
    assert not np.array_equal(apart[2], over[2])
