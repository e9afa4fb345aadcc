"""Nets made from a seed against onnxruntime, and models that other frameworks export."""

from __future__ import annotations

import importlib
import importlib.util
import io
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import chipfit
from chipfit.graph import Array
from chipfit.importers import load_graph
from chipfit.passes import PIPELINE
from importers.onnx.nets import check, close, model, node, onnx, outputs_of, runtime_or_skip

runtime_or_skip()


class Maker:
    """A random net: layers in a row, with shortcuts and branches between tensors of one shape."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.nodes: list[Any] = []
        self.constants: dict[str, Array] = {}
        self.count = 0

    def constant(self, *shape: int, positive: bool = False) -> str:
        name = f"c{len(self.constants)}"
        data = self.rng.normal(0, 1 / max(1, np.prod(shape[1:])) ** 0.5, shape)
        self.constants[name] = (np.abs(data) + 0.5 if positive else data).astype(np.float32)
        return name

    def add(self, op: str, inputs: str, **attributes: Any) -> str:
        self.count += 1
        self.nodes.append(node(op, inputs, f"t{self.count}", **attributes))
        return f"t{self.count}"

    def pick(self, *choices: Any) -> Any:
        return choices[int(self.rng.integers(len(choices)))]

    # ------------------------------------------------------------------------------------------ images

    def conv(self, x: str, c: int, out: int, **attributes: Any) -> str:
        kernel = self.pick(1, 3)
        group = self.pick(1, 1, 2) if c % 2 == out % 2 == 0 else 1
        inputs = f"{x} {self.constant(out, c // group, kernel, kernel)} {self.pick('-', self.constant(out))}"
        y = self.add("Conv", inputs, pads=[kernel // 2] * 4, group=group, **attributes)
        if self.rng.random() < 0.5:
            parameters = [self.constant(out), self.constant(out), self.constant(out), self.constant(out, positive=True)]
            y = self.add("BatchNormalization", " ".join([y, *parameters]))
        return y

    def activation(self, x: str) -> str:
        op, attributes = self.pick(
            ("Relu", {}), ("LeakyRelu", {"alpha": 0.2}), ("HardSwish", {}), ("Sigmoid", {}), ("Elu", {}), ("Tanh", {})
        )
        return self.add(op, x, **attributes)

    def block(self, x: str, c: int) -> str:
        """A layer that keeps the shape."""
        kind = int(self.rng.integers(7))
        if kind == 0:
            y = self.activation(self.conv(x, c, c))
            return self.add("Add", self.pick(f"{x} {y}", f"{y} {x}"))
        if kind == 1:
            parameters = f"{self.constant(c, 1, 3, 3)} {self.constant(c)}"
            return self.activation(self.add("Conv", f"{x} {parameters}", group=c, pads=[1, 1, 1, 1]))
        if kind == 2:
            gate = self.add("Sigmoid", self.conv(self.add("GlobalAveragePool", x), c, c))
            return self.add("Mul", f"{x} {gate}")
        if kind == 3:
            both = self.add("Concat", f"{self.conv(x, c, 2)} {self.activation(x)}", axis=1)
            return self.conv(both, c + 2, c)
        if kind == 4:
            scaled = self.add("Mul", f"{self.conv(x, c, c)} {self.constant(c, 1, 1)}")
            return self.add("Add", f"{scaled} {self.constant(1, c, 1, 1)}")
        if kind == 5:
            return self.add("MaxPool", x, kernel_shape=[3, 3], pads=[1, 1, 1, 1])
        moved = self.add("Transpose", x, perm=[0, 2, 3, 1])
        moved = self.add("Add", f"{self.add('MatMul', f'{moved} {self.constant(c, c)}')} {self.constant(c)}")
        return self.add("Transpose", self.activation(moved), perm=[0, 3, 1, 2])

    def images(self) -> Any:
        c = int(self.pick(4, 6, 8))
        x = self.activation(self.conv("x", 3, c, strides=[2, 2]))
        for _ in range(int(self.rng.integers(2, 6))):
            x = self.block(x, c)
        pooled = self.pick(
            lambda: self.add("Flatten", self.add("GlobalAveragePool", x)),
            lambda: self.add("ReduceMean", x, axes=[2, 3], keepdims=0),
            lambda: self.add("Flatten", self.add("AveragePool", x, kernel_shape=[4, 5], strides=[4, 5])),
        )()
        width = c * (1 if self.nodes[-1].op_type == "ReduceMean" or self.nodes[-2].op_type[0] == "G" else 4)
        y = self.add("Gemm", f"{pooled} {self.constant(5, width)} {self.constant(5)}", transB=1)
        y = self.add("Softmax", y, axis=-1)
        return model(self.nodes, {"x": (1, 3, 16, 20)}, self.constants, [y])

    # ------------------------------------------------------------------------------------------ rows

    def rows(self) -> Any:
        """Sequences: 1-D convolutions, or attention."""
        c = 8
        if self.rng.random() < 0.5:
            x = self.activation(self.add("Conv", f"x {self.constant(c, 6, 3)} {self.constant(c)}", pads=[2, 0]))
            x = self.add("MaxPool", x, kernel_shape=[2], strides=[2])
            x = self.activation(self.add("Conv", f"{x} {self.constant(c, 1, 5)}", group=c, dilations=[2]))
            y = self.add("ReduceMax", x, axes=[2], keepdims=0)
            return model(self.nodes, {"x": (1, 6, 24)}, self.constants, [y])
        x = self.add("MatMul", f"x {self.constant(6, c)}")
        normal = self.add("LayerNormalization", f"{x} {self.constant(c)} {self.constant(c)}")
        q, k, v = (self.add("MatMul", f"{normal} {self.constant(c, c)}") for _ in range(3))
        scores = self.add("MatMul", f"{q} {self.add('Transpose', k, perm=[0, 2, 1])}")
        mixed = self.add("MatMul", f"{self.add('Softmax', scores, axis=-1)} {v}")
        x = self.add("Add", f"{x} {self.add('MatMul', f'{mixed} {self.constant(c, c)}')}")
        y = self.activation(self.add("MatMul", f"{x} {self.constant(c, 4)}"))
        return model(self.nodes, {"x": (1, 7, 6)}, self.constants, [y])


@pytest.mark.parametrize("seed", range(24))
def test_random_image_net(seed: int) -> None:
    graph = check(Maker(seed).images())
    assert sum(n.op.name == "transpose" for n in graph.nodes) <= 2


@pytest.mark.parametrize("seed", range(8))
def test_random_net_on_rows(seed: int) -> None:
    check(Maker(100 + seed).rows())


def test_net_is_compiled_to_what_the_reference_says() -> None:
    assert chipfit.load(Maker(3).images()).verify(2).passed


# ---------------------------------------------------------------------------------------------- exports of PyTorch


def _torch() -> Any:
    return pytest.importorskip("torch", reason="PyTorch, which exports the model, is not installed")


def _residual(torch: Any) -> tuple[Any, Sequence[int]]:
    nn = torch.nn

    class Residual(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.stem = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1, bias=False), nn.BatchNorm2d(8), nn.ReLU6())
            self.body = nn.Sequential(nn.Conv2d(8, 8, 3, 1, 1, groups=8), nn.SiLU(), nn.Conv2d(8, 8, 1))
            self.head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(), nn.Linear(8, 5))

        def forward(self, x: Any) -> Any:
            x = self.stem(x)
            return self.head(x + self.body(x))

    return Residual(), (1, 3, 16, 16)


def _decoder(torch: Any) -> tuple[Any, Sequence[int]]:
    nn = torch.nn

    class Decoder(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.down, self.up = nn.Conv2d(3, 8, 3, 2, 1), nn.ConvTranspose2d(8, 4, 2, 2)
            self.norm, self.shuffle, self.last = nn.GroupNorm(2, 8), nn.PixelShuffle(2), nn.Conv2d(9, 3, 1)

        def forward(self, x: Any) -> Any:
            a = nn.functional.mish(self.norm(self.down(x)))
            wide = nn.functional.interpolate(a, scale_factor=2, mode="bilinear", align_corners=False)
            return torch.sigmoid(self.last(torch.cat([self.up(a), wide[:, :3], self.shuffle(a)], 1)))

    return Decoder(), (1, 3, 8, 12)


def _transformer(torch: Any) -> tuple[Any, Sequence[int]]:
    nn = torch.nn
    layer = nn.TransformerEncoderLayer(16, 2, 32, dropout=0.0, activation="gelu", batch_first=True)
    return nn.Sequential(nn.Linear(6, 16), layer, nn.Flatten(), nn.Linear(112, 4)), (1, 7, 6)


def _views(torch: Any) -> tuple[Any, Sequence[int]]:
    class Views(torch.nn.Module):
        def forward(self, x: Any) -> Any:
            n, c, h, w = x.shape
            y = x.view(n, 2, c // 2, h, w).transpose(1, 2).reshape(n, c, h, w)
            y = torch.nn.functional.pad(y, (1, 2, 0, 1), mode="reflect")
            return y.mean((2, 3)), y[:, ::2, 1:], torch.where(x > 0, x, x * 0.1).amax(1)

    return Views(), (1, 4, 6, 8)


TORCH: dict[str, Callable[[Any], tuple[Any, Sequence[int]]]] = {
    "residual": _residual,
    "decoder": _decoder,
    "transformer": _transformer,
    "views": _views,
}


@pytest.mark.parametrize("dynamo", [False, True])
@pytest.mark.parametrize("name", list(TORCH))
def test_export_of_torch(name: str, dynamo: bool, tmp_path: Path) -> None:
    torch = _torch()
    if dynamo:
        pytest.importorskip("onnxscript", reason="onnxscript, which PyTorch exports with, is not installed")
    torch.manual_seed(0)
    module, shape = TORCH[name](torch)
    for layer in module.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):
            layer.running_mean.normal_(0, 0.3)
            layer.running_var.uniform_(0.5, 1.5)
    module.eval()
    x = torch.randn(tuple(shape))
    path = tmp_path / "net.onnx"
    with torch.no_grad():
        expected = module(x)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if dynamo:
            torch.onnx.export(module, (x,), dynamo=True, verbose=False).save(str(path))
        else:
            stream = io.BytesIO()
            axes = {"x": {0: "batch"}} if name != "views" else None
            torch.onnx.export(
                module, (x,), stream, opset_version=17, dynamo=False, input_names=["x"], dynamic_axes=axes
            )
            path.write_bytes(stream.getvalue())
    wanted = [y.numpy() for y in (expected if isinstance(expected, tuple) else (expected,))]
    graph = load_graph(path)
    given = {graph.inputs[0].name: x.numpy()}
    close(outputs_of(graph, given), wanted)
    PIPELINE.run(graph)
    close(outputs_of(graph, given), wanted)


# ---------------------------------------------------------------------------------------------- exports of Keras


@pytest.mark.skipif(importlib.util.find_spec("tf2onnx") is None, reason="tf2onnx, which exports the model, is missing")
def test_export_of_keras(tmp_path: Path) -> None:
    keras = pytest.importorskip("keras")
    if keras.backend.backend() != "tensorflow":
        pytest.skip("Keras runs on another backend than TensorFlow, whose models tf2onnx exports")
    keras.utils.set_random_seed(1)
    body = keras.applications.MobileNet((64, 64, 3), 0.25, include_top=False, weights=None, pooling="avg")
    net = keras.Sequential([keras.Input((64, 64, 3)), body, keras.layers.Dense(3, activation="softmax")])
    x = np.random.default_rng(0).uniform(-1, 1, (1, 64, 64, 3)).astype(np.float32)
    expected = np.asarray(net(x))
    path = tmp_path / "mobilenet.onnx"
    net.export(str(path), format="onnx", verbose=False)
    graph = load_graph(path)
    given = {graph.inputs[0].name: x}
    close(outputs_of(graph, given), [expected])
    PIPELINE.run(graph)
    close(outputs_of(graph, given), [expected])
    assert "transpose" not in [n.op.name for n in graph.nodes]
    assert onnx.load(str(path)).graph.input[0].name.startswith(graph.inputs[0].name)
