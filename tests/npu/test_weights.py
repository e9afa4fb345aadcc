"""The stream of weights: unpacked as Vela's own decoder does, and every weight at its place."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import numpy as np
import pytest

from chipfit.errors import ChipfitError
from chipfit.ethosu.registers import Int, KernelShape
from chipfit.ethosu.weight_stream import decode
from chipfit.ethosu.weights import Order, stream_order

needs_vela = pytest.mark.skipif(find_spec("ethosu") is None, reason="the ethos-u-vela package is not installed")


def weights(rng: np.random.Generator, kind: int, count: int) -> Int:
    made = (
        rng.integers(-255, 256, count),
        np.round(rng.normal(0, 20, count)),
        np.where(rng.random(count) < 0.8, 0, rng.integers(-40, 40, count)),
        rng.choice([-3, 7, 90, 0], count),
        np.round(rng.normal(3, 2, count)),
        np.zeros(count),
    )[kind]
    return np.clip(made, -255, 255).astype(np.int64)


def encoded(values: Int) -> bytes:
    codec: Any = import_module("ethosu.mlw_codec")
    return bytes(codec.encode(values.tolist()))


@needs_vela
@pytest.mark.parametrize("kind", range(6))
def test_decoded_as_by_vela(kind: int) -> None:
    """Palettes, direct offsets, zero runs, plain indices, and streams of several slices."""
    rng = np.random.default_rng(kind)
    for count in (1, 11, 12, 13, 200, 5000, 40_000):
        values = weights(rng, kind, count)
        found = decode(encoded(values))
        np.testing.assert_array_equal(found[:count], values)
        assert not found[count:].any()


@needs_vela
def test_damaged_streams_are_errors() -> None:
    """Vela's decoder ends the process at most of them."""
    rng = np.random.default_rng(3)
    good, outcomes = encoded(weights(rng, 1, 700)), set[str]()
    for _ in range(2000):
        stream = bytearray(good[: rng.integers(1, len(good) + 1)])
        for at in rng.integers(0, len(stream), 3):
            stream[at] = rng.integers(0, 256)
        try:
            decode(bytes(stream))
            outcomes.add("decoded")
        except ChipfitError as error:
            outcomes.add(error.code)
    assert outcomes == {"decoded", "A001"}


def places(order: Order) -> Iterator[int]:
    """The order of a stream by loops, one for each level."""
    channels, height, width, inner = order.shape
    kernel, ofm = order.kernel, order.ublock
    step_y, step_x = 8 // kernel.dilation[0], 8 // kernel.dilation[1]
    block = 8 if order.depthwise else order.ifm_block
    for o_block in range(0, channels, order.block):
        for i_block in range(0, 1 if order.depthwise else inner, block):
            depth = min(block, inner - i_block) if kernel.part and not order.depthwise else block
            for sy in range(0, height, step_y):
                for sx in range(0, width, step_x):
                    rows, columns = min(step_y, height - sy), min(step_x, width - sx)
                    count = -(-rows * columns // order.taps_step) * order.taps_step
                    for outer in range(0, depth if kernel.part else 1, 8):
                        for o_ublock in range(0, min(order.block, channels - o_block), ofm):
                            for tap in range(count):
                                for i_ublock in range(0, 1 if kernel.part else depth, 8):
                                    for o in range(o_block + o_ublock, o_block + o_ublock + ofm):
                                        for lane in range(1 if order.depthwise else 8):
                                            i, y, x = i_block + outer + i_ublock + lane, tap // columns, tap % columns
                                            ok = o < channels and i < inner and y < rows
                                            yield ((o * height + sy + y) * width + sx + x) * inner + i if ok else -1


@pytest.mark.parametrize(
    "order",
    [
        Order((5, 1, 1, 7), 16, 8, False, KernelShape(1, 1, (1, 1), (1, 1), False), False),
        Order((20, 3, 3, 40), 16, 8, False, KernelShape(3, 3, (1, 1), (1, 1), False), False),
        Order((20, 3, 3, 21), 16, 4, False, KernelShape(3, 3, (1, 1), (1, 1), True), False),
        Order((9, 9, 3, 2), 8, 8, False, KernelShape(9, 3, (1, 1), (1, 1), True), True),
        Order((9, 5, 5, 3), 8, 8, False, KernelShape(5, 5, (1, 1), (2, 2), False), True),
        Order((13, 3, 3, 1), 8, 8, True, KernelShape(3, 3, (1, 1), (1, 1), False), False),
    ],
    ids=str,
)
def test_order(order: Order) -> None:
    found = stream_order(order)
    np.testing.assert_array_equal(found, list(places(order)))
    # every weight is there, once
    assert sorted(found[found >= 0].tolist()) == list(range(int(np.prod(order.shape))))
