"""merge_depthwise: mixed depthwise convolution becomes one layer, with the same bytes."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chipfit.graph import DType, Graph, Quant, TensorType, Value
from chipfit.ops.concatenation import Concatenation
from chipfit.ops.depthwise_conv2d import DepthwiseConv2D
from chipfit.ops.split import Split
from chipfit.ops.strided_slice import StridedSlice
from chipfit.passes import MERGE_DEPTHWISE, PIPELINE
from passes.chains import Builder, inputs_for, ops_of, outputs_of


def mixed(
    kernels: list[int], sizes: list[int], *, height: int = 9, stride: int = 1, at_end: bool = True, seed: int = 0
) -> tuple[Builder, Graph]:
    """Groups of channels with kernels of different height, which all end (or begin) at the same row."""
    b = Builder(seed=seed)
    op = DepthwiseConv2D((stride, 1))
    x = b.input(1, height, 1, sum(sizes))
    longest = max(kernels)
    rows = (height - longest) // stride
    parts: list[Value] = []
    split = b.add(Split(3, tuple(sizes)), x)
    groups = [split, *b.graph.nodes[-1].outputs[1:]]
    for i, (group, k, size) in enumerate(zip(groups, kernels, sizes, strict=True)):
        begin = longest - k if at_end else 0
        end = begin + rows * stride + k
        cut = StridedSlice((0, begin, 0, 0), (1, end, 1, size), (1, 1, 1, 1))
        value = group if (begin, end) == (0, height) else b.add(cut, group)
        shape = (1, k, 1, size)
        scales = tuple(float(s) for s in b.rng.uniform(0.005, 0.02, size).astype(np.float32))
        w = Value(
            f"w{i}",
            TensorType(shape, DType.INT8, Quant(scales, (0,) * size, 3)),
            b.rng.integers(-127, 128, shape, np.int8),
        )
        bias = Value(f"b{i}", TensorType((size,), DType.INT32), b.rng.integers(-900, 900, size, np.int32))
        parts.append(b.add(op, value, w, bias) if i % 2 == 0 else b.add(op, value, w))
    return b, b.done(b.add(Concatenation(3), *parts))


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_kernels_of_different_length_become_one(data: st.DataObject) -> None:
    count = data.draw(st.integers(2, 3))
    kernels = data.draw(st.lists(st.integers(4, 6), min_size=count, max_size=count))
    sizes = data.draw(st.lists(st.integers(1, 4), min_size=count, max_size=count))
    stride, height = data.draw(st.sampled_from([1, 2])), data.draw(st.integers(6, 10))
    seed = data.draw(st.integers(0, 100))
    _, graph = mixed(kernels, sizes, height=height, stride=stride, at_end=data.draw(st.booleans()), seed=seed)
    inputs = inputs_for(graph, seed)
    before = outputs_of(graph, inputs)
    PIPELINE.run(graph)
    assert outputs_of(graph, inputs) == before
    assert ops_of(graph) == ["depthwise_conv2d"] or (height - max(kernels)) % stride != 0


def refused(graph: Graph) -> str:
    report = MERGE_DEPTHWISE.run(graph)
    assert not report.changes
    (missed,) = report.missed
    return missed.reason


def test_kernels_that_are_too_different_stay_apart() -> None:
    assert "more than 1.5 times the weights" in refused(mixed([1, 9], [4, 4])[1])


def test_a_part_that_something_else_reads_stays() -> None:
    _, graph = mixed([4, 5], [2, 2])
    graph.outputs.append(graph.nodes[-1].operands[0])
    assert "not the only reader" in refused(graph)


def test_channels_out_of_order_stay() -> None:
    _, graph = mixed([4, 4], [2, 2])
    graph.nodes[-1].inputs.reverse()
    assert "in order, each once" in refused(graph)


@pytest.mark.parametrize("change", [{"act": "relu"}, {"pad": (1, 0, 0, 0)}])
def test_layers_that_differ_stay(change: dict[str, object]) -> None:
    _, graph = mixed([4, 4], [2, 2])
    node = next(n for n in graph.nodes if isinstance(n.op, DepthwiseConv2D))
    node.op = dataclasses.replace(node.op, **change)  # pyright: ignore[reportArgumentType]
    assert refused(graph).startswith("puts layers")


def test_another_scale_on_the_way_stays() -> None:
    _, graph = mixed([4, 4], [2, 2])
    y = graph.nodes[-1].outputs[0]
    graph.nodes[-1].outputs = [Value("other", TensorType(y.shape, y.dtype, Quant.per_tensor(0.07, 3)))]
    graph.outputs = graph.nodes[-1].outputs
    assert "changes a quantization" in refused(graph)
