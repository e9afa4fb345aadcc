"""Layers with channels first against loops of numpy: windows, groups, and padding that counts or does not."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product

import numpy as np
import pytest

from chipfit.errors import ChipfitError
from chipfit.graph import Array, Value
from chipfit.importers._build import GraphBuilder
from chipfit.importers._channels_first import ChannelsFirst, Window
from chipfit.interpret import evaluate
from chipfit.passes import PIPELINE

RNG = np.random.default_rng(4)
Layer = Callable[[GraphBuilder, ChannelsFirst, Value], Value]


def random(*shape: int) -> Array:
    return RNG.normal(0, 1, shape).astype(np.float32)


def run(x: Array, layer: Layer) -> Array:
    """The layer's output, which the pipeline does not change."""
    builder = GraphBuilder("net")
    value = builder.input("x", x.shape)
    graph = builder.finish([("y", layer(builder, ChannelsFirst(builder), value))])
    y = evaluate(graph, (x,))[0]
    PIPELINE.run(graph)
    np.testing.assert_allclose(evaluate(graph, (x,))[0], y, atol=1e-5)
    return y


def spread_sums(
    x: Array, w: Array, stride: int, dilation: int, pads: tuple[int, int], groups: int, extra: int
) -> Array:
    """A transposed convolution by its definition: each pixel puts down the kernel. w: (in, out / groups, kh, kw)."""
    n, c, h, width = x.shape
    per_group, kh, kw = w.shape[1:]
    size = [(s - 1) * stride + (k - 1) * dilation + 1 + extra for s, k in ((h, kh), (width, kw))]
    y = np.zeros((n, per_group * groups, *size))
    for i, a, b, u, v in product(range(c), range(h), range(width), range(kh), range(kw)):
        group = i // (c // groups)
        at = slice(group * per_group, (group + 1) * per_group)
        y[:, at, a * stride + u * dilation, b * stride + v * dilation] += x[:, i, a, b, None] * w[None, i, :, u, v]
    first, last = pads
    return y[:, :, first : size[0] - last, first : size[1] - last]


@pytest.mark.parametrize("groups", [1, 2, 4])
@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("dilation", [1, 2])
def test_transposed_convolution(groups: int, stride: int, dilation: int) -> None:
    for pads, extra, out in product(((0, 0), (1, 0), (1, 2), (3, 3)), (0, 1), (1, 2)):
        if extra >= max(stride, dilation):
            continue
        x, w, b = random(1, 4, 5, 4), random(4, out, 3, 2), random(out * groups)
        window = Window((3, 2), (stride,) * 2, (dilation,) * 2, (pads,) * 2)
        wanted = spread_sums(x, w, stride, dilation, pads, groups, extra) + b[:, None, None]
        if min(wanted.shape) < 1:
            continue

        def layer(builder: GraphBuilder, layers: ChannelsFirst, v: Value) -> Value:
            weights, bias = builder.constant("w", w), builder.constant("b", b)  # noqa: B023
            return layers.conv_transpose(v, weights, bias, window, groups, (extra, extra), "t")  # noqa: B023

        np.testing.assert_allclose(run(x, layer), wanted, atol=1e-4)


@pytest.mark.parametrize(
    ("groups", "dilation", "op"),
    [(1, 1, "transpose_conv"), (1, 2, "conv2d"), (2, 1, "conv2d"), (4, 1, "depthwise_conv2d")],
)
def test_operator_of_a_transposed_convolution(groups: int, dilation: int, op: str) -> None:
    """TRANSPOSE_CONV where it can be said with it; else zeros are put between the pixels."""
    builder = GraphBuilder("net")
    x, w = builder.input("x", (1, 4, 5, 6)), builder.constant("w", random(4, 1, 3, 3))
    window = Window((3, 3), (2, 2), (dilation,) * 2, ((1, 1), (1, 1)))
    y = ChannelsFirst(builder).conv_transpose(x, w, None, window, groups, (1, 1), "t")
    assert [n.op.name for n in builder.finish([("y", y)]).nodes if "conv" in n.op.name] == [op]


def test_what_a_global_pool_gives_has_the_shape_that_is_read() -> None:
    """Axes of size 1 before a convolution that excites channels, none before a dense layer; no reshape is left."""
    builder = GraphBuilder("net")
    layers, image = ChannelsFirst(builder), builder.input("x", (1, 3, 5, 6))
    x = layers.conv(image, builder.constant("w", random(4, 3, 1, 1)), None, Window((1, 1)), 1, "stem")
    squeezed = layers.global_pool("mean", x, "squeeze")
    scale = layers.conv(squeezed, builder.constant("excite/w", random(4, 4, 1, 1)), None, Window((1, 1)), 1, "excite")
    pooled = layers.global_pool("reduce_max", builder.node("mul", [x, scale], "mul"), "pool")
    flat = builder.reshape(pooled, (1, 4), "flat")
    dense = builder.node("fully_connected", [flat, builder.constant("dense/w", random(3, 4))], "dense")
    graph = builder.finish([("y", dense)])
    PIPELINE.run(graph)
    wanted = ["transpose", "conv2d", "mean", "conv2d", "mul", "reduce_max", "fully_connected"]
    assert [n.op.name for n in graph.nodes] == wanted
    assert [len(n["y"].shape) for n in graph.nodes if n.op.name in ("mean", "reduce_max")] == [4, 2]


def test_weights_are_made_once() -> None:
    builder = GraphBuilder("net")
    layers, x, w = ChannelsFirst(builder), builder.input("x", (1, 4, 9)), builder.constant("w", random(4, 4, 3))
    a = layers.conv(x, w, None, Window((3,)), 1, "a")
    b = layers.conv(x, w, None, Window((3,)), 1, "b")
    graph = builder.finish([("a", a), ("b", b)])
    assert len({n["w"] for n in graph.nodes if n.op.name == "conv2d"}) == 1


def windows_of(size: int, kernel: int, stride: int, pad: int, ceil_mode: bool) -> list[range]:
    """The windows of a pool along one axis, as PyTorch and ONNX count them; positions may lie in the padding."""
    span = size + 2 * pad - kernel
    count = (-(-span // stride) if ceil_mode else span // stride) + 1
    if ceil_mode and (count - 1) * stride >= size + pad:
        count -= 1
    return [range(i * stride - pad, i * stride - pad + kernel) for i in range(count)]


@pytest.mark.parametrize("ceil_mode", [False, True])
@pytest.mark.parametrize("count_pads", [False, True])
def test_pools(ceil_mode: bool, count_pads: bool) -> None:
    for kernel, stride, pad, size in product((2, 3, 4), (1, 2, 3), (0, 1), (7, 8, 9)):
        x = random(1, 2, size)
        window = Window((kernel,), (stride,), (), ((pad, pad),))
        rows = windows_of(size, kernel, stride, pad, ceil_mode)
        inner = [[i for i in r if 0 <= i < size] for r in rows]
        counted = [
            len([i for i in r if -pad <= i < size + pad]) if count_pads else len(n)
            for r, n in zip(rows, inner, strict=True)
        ]
        means = [x[:, :, n].sum(2) / c for n, c in zip(inner, counted, strict=True)]
        y = run(x, lambda _, f, v: f.average_pool(v, window, "p", ceil_mode, count_pads))  # noqa: B023
        np.testing.assert_allclose(y, np.stack(means, 2), atol=1e-5)
        y = run(x, lambda _, f, v: f.max_pool(v, window, "p", ceil_mode))  # noqa: B023
        np.testing.assert_array_equal(y, np.stack([x[:, :, n].max(2) for n in inner], 2))


def test_blocks() -> None:
    x = random(1, 8, 2, 3)
    rows_first = x.reshape(1, 2, 2, 2, 2, 3).transpose(0, 3, 4, 1, 5, 2).reshape(1, 2, 4, 6)
    channels_first = x.reshape(1, 2, 2, 2, 2, 3).transpose(0, 1, 4, 2, 5, 3).reshape(1, 2, 4, 6)
    np.testing.assert_array_equal(run(x, lambda _, f, v: f.depth_to_space(v, 2, "d")), rows_first)
    np.testing.assert_array_equal(run(x, lambda _, f, v: f.depth_to_space(v, 2, "d", True)), channels_first)
    np.testing.assert_array_equal(run(rows_first, lambda _, f, v: f.space_to_depth(v, 2, "d")), x)
    np.testing.assert_array_equal(run(channels_first, lambda _, f, v: f.space_to_depth(v, 2, "d", True)), x)


@pytest.mark.parametrize(
    "layer",
    [
        lambda b, f, v: f.conv(v, b.constant("w", random(4, 3, 3, 3)), None, Window((3, 3)), 1, "c"),
        lambda b, f, v: f.conv(v, b.constant("w", random(4, 4, 3, 3)), None, Window((3, 3)), 3, "c"),
        lambda b, f, v: f.conv(v, b.constant("w", random(4, 4, 9, 9)), None, Window((9, 9)), 1, "c"),
        lambda b, f, v: f.conv(v, b.constant("w", random(4, 4, 3)), None, Window((3,)), 1, "c"),
        lambda b, f, v: f.conv(v, b.constant("w", random(4, 4, 3, 3)), None, Window((3, 3), (0, 1)), 1, "c"),
        lambda b, f, v: f.conv(v, v, None, Window((3, 3)), 1, "c"),
        lambda b, f, v: f.max_pool(v, Window((2, 2, 2)), "p"),
        lambda b, f, v: f.max_pool(v, Window((9, 9)), "p"),
        lambda b, f, v: f.depth_to_space(v, 3, "d"),
        lambda b, f, v: f.batch_norm(v, *(np.ones(3),) * 4, 0.1, "n"),
    ],
)  # type: ignore[misc]
def test_refusals(layer: Layer) -> None:
    with pytest.raises(ChipfitError) as error:
        run(random(1, 4, 6, 6), layer)
    assert error.value.code == "O002"
