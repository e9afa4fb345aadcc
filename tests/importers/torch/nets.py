"""PyTorch modules for tests: weights that leave nothing at its default, nets made from a seed, and the comparison."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from chipfit.errors import ChipfitError
from chipfit.graph import Array, Graph
from chipfit.importers import load_graph
from chipfit.importers.torch.framework import import_torch
from chipfit.interpret import evaluate
from chipfit.passes import PIPELINE

TOLERANCE = 1e-4
"""Relative to the greatest output: the most by which float32 sums in another order may differ."""


def torch_or_skip() -> Any:
    """PyTorch; the tests of the module are skipped where it is missing."""
    try:
        torch = import_torch()
    except ChipfitError as error:
        pytest.skip(error.message, allow_module_level=True)
    torch.set_num_threads(1)
    return torch


def randomise(torch: Any, module: Any, seed: int) -> Any:
    """The module with weights of this seed, and other biases and statistics than fresh ones, with which many mistakes
    change nothing."""
    rng = np.random.default_rng(seed)

    def assign(tensor: Any, data: Array) -> None:
        tensor.copy_(torch.from_numpy(data.astype(np.float32)))

    with torch.no_grad():
        for name, tensor in (*module.named_parameters(), *module.named_buffers()):
            shape, leaf = tuple(tensor.shape), name.split(".")[-1]
            if not tensor.dtype.is_floating_point:
                continue
            if leaf == "running_var" or (leaf == "weight" and len(shape) == 1):
                assign(tensor, rng.uniform(0.5, 1.5, shape))
            elif len(shape) > 1:
                assign(tensor, rng.normal(0, 1 / np.sqrt(max(1, np.prod(shape[1:]))), shape))
            elif leaf in ("bias", "running_mean"):
                assign(tensor, rng.normal(0, 0.3, shape))
    return module.eval()


def inputs_for(torch: Any, *shapes: tuple[int, ...], seed: int = 0) -> tuple[Any, ...]:
    rng = np.random.default_rng(seed)
    return tuple(torch.from_numpy(rng.uniform(-1, 1, shape).astype(np.float32)) for shape in shapes)


def as_arrays(inputs: Any) -> tuple[Array, ...]:
    """As the graph takes them: integers of 64 bits have 32."""
    arrays = (np.asarray(x) for x in inputs)
    return tuple(x.astype(np.int32) if x.dtype == np.int64 else x for x in arrays)


def outputs_of(torch: Any, module: Any, inputs: Any) -> list[Array]:
    """Tensors among the outputs, in order."""
    found: list[Array] = []

    def add(item: Any) -> None:
        if isinstance(item, torch.Tensor):
            found.append(item.numpy())
        elif item is not None:
            for part in item.values() if isinstance(item, dict) else item:
                add(part)

    with torch.no_grad():
        add(module(*inputs))
    return found


def check(torch: Any, module: Any, *inputs: Any, source: Any = None) -> Graph:
    """Import a module (or ``source``, where it was exported), hold it against torch; the graph after all passes."""
    wanted = outputs_of(torch, module, inputs)
    graph = load_graph(module, example_inputs=inputs) if source is None else load_graph(source)
    arrays = as_arrays(inputs)
    names = [v.name for v in graph.outputs]
    compare(names, evaluate(graph, arrays), wanted)
    PIPELINE.run(graph)
    compare(names, evaluate(graph, arrays), wanted)
    assert [v.name for v in graph.outputs] == names
    return graph


def compare(names: list[str], found: Any, wanted: list[Array]) -> None:
    assert len(found) == len(wanted)
    for name, y, expected in zip(names, found, wanted, strict=True):
        assert y.shape == expected.shape, name
        if expected.dtype.kind != "f":
            np.testing.assert_array_equal(y, expected, name)
            continue
        largest = float(np.abs(expected).max())
        assert largest > 0, f"{name}: a model of zeros shows nothing"
        np.testing.assert_allclose(y, expected, rtol=0, atol=TOLERANCE * largest, err_msg=name)


def ops_of(graph: Graph) -> list[str]:
    return [node.op.name for node in graph.nodes]


# ---------------------------------------------------------------------------------------------- nets from a seed

_ACTIVATIONS = ("ReLU", "ReLU6", "LeakyReLU", "ELU", "SELU", "SiLU", "Hardswish", "Hardsigmoid", "Tanh", "PReLU")
_KINDS = ("conv", "conv_norm", "depthwise", "activation", "pool", "average", "residual", "excite", "branches", "grow")


def random_net(torch: Any, seed: int) -> tuple[Any, tuple[int, ...]]:
    """A small net of four to eight blocks on an image or a sequence, and the shape of its input."""
    rng = np.random.default_rng(seed)
    axes = 1 + seed % 2
    channels = int(rng.integers(2, 5))
    shape = (1, channels, 19) if axes == 1 else (1, channels, 14, 11)
    blocks: list[Any] = []
    for _ in range(int(rng.integers(4, 9))):
        block, channels = _block(torch, rng, axes, channels)
        blocks.append(block)
    nn = torch.nn
    pool = getattr(nn, f"Adaptive{rng.choice(('Avg', 'Max'))}Pool{axes}d")(1)
    head = [pool, nn.Flatten()]
    if rng.integers(2):
        head = [nn.Flatten(), nn.LazyLinear(9), nn.ReLU()]
        channels = 9
    blocks += [*head, nn.Dropout(0.3), nn.Linear(channels, 4)]
    if rng.integers(2):
        blocks.append(nn.Softmax(dim=1))
    net = nn.Sequential(*blocks).eval()
    net(torch.zeros(shape))
    return randomise(torch, net, seed), shape


def _block(torch: Any, rng: np.random.Generator, axes: int, channels: int) -> tuple[Any, int]:
    """A block, and the channels of its output. Sizes shrink where it has a stride."""
    nn = torch.nn
    kind = str(rng.choice(_KINDS))
    activation = getattr(nn, str(rng.choice(_ACTIVATIONS)))()
    size, step, out = int(rng.choice((1, 3))), int(rng.integers(1, 3)), int(rng.integers(3, 8))

    def make(name: str, *args: Any, **options: Any) -> Any:
        return getattr(nn, f"{name}{axes}d")(*args, **options)

    same = make("Conv", channels, channels, 3, padding=1)
    if kind == "conv":
        return nn.Sequential(make("Conv", channels, out, size, step, size // 2), activation), out
    if kind == "conv_norm":
        conv = make("Conv", channels, out, size, step, size // 2, bias=False)
        return nn.Sequential(conv, make("BatchNorm", out), activation), out
    if kind == "depthwise":
        conv = make("Conv", channels, 2 * channels, 3, 1, "same", groups=channels, dilation=step)
        return nn.Sequential(conv, make("BatchNorm", 2 * channels)), 2 * channels
    if kind == "pool":
        return make("MaxPool", 3, step, 1), channels
    if kind == "average":
        return make("AvgPool", 3, step, 1, count_include_pad=bool(rng.integers(2))), channels
    if kind == "residual":
        return _residual(torch, nn.Sequential(same, make("BatchNorm", channels), activation)), channels
    if kind == "excite":
        squeeze = nn.Sequential(make("AdaptiveAvgPool", 1), make("Conv", channels, channels, 1), nn.Sigmoid())
        return _excite(torch, squeeze), channels
    if kind == "branches":
        return _branches(torch, same, make("Conv", channels, out, 1)), channels + out
    if kind == "grow":
        return nn.Sequential(nn.Upsample(scale_factor=2, mode="nearest"), make("MaxPool", 2)), channels
    return activation, channels


def _residual(torch: Any, inner: Any) -> Any:
    class Residual(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = inner

        def forward(self, x: Any) -> Any:
            return x + self.inner(x)

    return Residual()


def _excite(torch: Any, squeeze: Any) -> Any:
    class Excite(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.squeeze = squeeze

        def forward(self, x: Any) -> Any:
            return x * self.squeeze(x)

    return Excite()


def _branches(torch: Any, a: Any, b: Any) -> Any:
    class Branches(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = a, b

        def forward(self, x: Any) -> Any:
            return torch.cat([self.a(x), self.b(x)], 1)

    return Branches()
