"""MobileNetV1 0.25 of keras.applications, as it is, from ONNX files and in PyTorch: one graph, one program."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import chipfit
from chipfit.errors import ChipfitError
from chipfit.graph import Array, Graph
from chipfit.importers.keras.framework import import_keras
from chipfit.importers.torch.framework import import_torch
from importers.torch.models import mobilenet

SIDE = 96
OPERATORS = ["conv2d", *["depthwise_conv2d", "conv2d"] * 13, "mean", "conv2d", "reshape", "softmax"]
BOARD = "arduino-nano-33-ble"

DOORS = ["keras file", "keras onnx", "torch channels last", "torch channels first", "torch onnx"]
"""How the network comes, besides as a Keras model in memory. The exporter of ONNX is that of Keras' backend: tf2onnx
for TensorFlow, torch.onnx for PyTorch.
"""


@pytest.fixture(scope="module")
def keras_model() -> Any:
    """Random weights, and statistics that are not those of a fresh normalization."""
    keras = framework(import_keras)
    keras.utils.set_random_seed(0)
    model = keras.applications.MobileNet(alpha=0.25, weights=None, input_shape=(SIDE, SIDE, 3), classes=10)
    rng = np.random.default_rng(0)
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            gamma, beta, mean, variance = (w.shape for w in layer.weights)
            layer.set_weights(
                [
                    rng.uniform(0.5, 1.5, gamma),
                    rng.normal(0, 0.3, beta),
                    rng.normal(0, 0.3, mean),
                    rng.uniform(0.5, 1.5, variance),
                ]
            )
    return model


@pytest.fixture(scope="module")
def wanted(keras_model: Any) -> chipfit.Model:
    return chipfit.load(keras_model, name="mobilenet")


@pytest.fixture(scope="module")
def pictures() -> Array:
    return np.random.default_rng(1).uniform(-1, 1, (4, SIDE, SIDE, 3)).astype(np.float32)


@pytest.fixture(scope="module")
def wanted_flash(wanted: chipfit.Model, pictures: Array, tmp_path_factory: pytest.TempPathFactory) -> int:
    return int8_flash(wanted, pictures, tmp_path_factory.mktemp("keras"))


@pytest.fixture(scope="module", params=DOORS)
def model(request: pytest.FixtureRequest, keras_model: Any, tmp_path_factory: pytest.TempPathFactory) -> chipfit.Model:
    """The network through another door; its image always has channels last."""
    folder, door = tmp_path_factory.mktemp("models"), request.param
    if door == "keras file":
        keras_model.save(folder / "mobilenet.keras")
        return chipfit.load(folder / "mobilenet.keras")
    if door == "keras onnx":
        return chipfit.load(keras_onnx(keras_model, folder))
    torch = framework(import_torch)
    image = torch.zeros(1, SIDE, SIDE, 3)
    if door == "torch channels last":
        module = torch_mobilenet(torch, keras_model, channels_last=True)
        return chipfit.load(module, name="mobilenet", example_inputs=(image,))
    module, image = torch_mobilenet(torch, keras_model, channels_last=False), image.permute(0, 3, 1, 2)
    if door == "torch channels first":
        return chipfit.load(module, name="mobilenet", example_inputs=(image,), channels_last=True)
    return chipfit.load(torch_onnx(torch, module, image, folder), channels_last=True)


def framework(import_it: Any) -> Any:
    try:
        return import_it()
    except ChipfitError as error:
        pytest.skip(error.message)


def keras_onnx(model: Any, folder: Path) -> Path:
    for package in ("onnx", "tf2onnx" if framework(import_keras).backend.backend() == "tensorflow" else "torch"):
        pytest.importorskip(package, reason=f"{package}, with which Keras writes ONNX files, is not installed")
    model(np.zeros((1, SIDE, SIDE, 3), np.float32))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the tracer
        model.export(folder / "mobilenet.onnx", format="onnx", verbose=False)
    return folder / "mobilenet.onnx"


def torch_onnx(torch: Any, module: Any, image: Any, folder: Path) -> Path:
    pytest.importorskip("onnx", reason="the package onnx is not installed")
    names: dict[str, Any] = {"input_names": ["image"], "output_names": ["scores"]}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter without further packages is an older one
        torch.onnx.export(module, (image,), folder / "mobilenet.onnx", dynamo=False, **names)
    return folder / "mobilenet.onnx"


def torch_mobilenet(torch: Any, model: Any, channels_last: bool) -> Any:
    """The same network in PyTorch, with the weights of the Keras model, layer by layer in their order."""
    module = mobilenet(torch, channels_last=channels_last).eval()
    layers = [m for m in module.modules() if isinstance(m, (torch.nn.Conv2d, torch.nn.BatchNorm2d))]
    sources = [layer.get_weights() for layer in model.layers if layer.weights]
    with torch.no_grad():
        for layer, weights in zip(layers, sources, strict=True):
            if isinstance(layer, torch.nn.BatchNorm2d):
                targets = [layer.weight, layer.bias, layer.running_mean, layer.running_var]
            else:
                targets = [layer.weight, *([] if layer.bias is None else [layer.bias])]
                weights[0] = weights[0].transpose((2, 3, 0, 1) if layer.groups > 1 else (3, 2, 0, 1))
            for target, data in zip(targets, weights, strict=True):
                target.copy_(torch.from_numpy(np.ascontiguousarray(data)))
    return module


def int8_flash(model: chipfit.Model, pictures: Array, folder: Path) -> int:
    """Bytes of flash of the program of the model in int8: code and constants."""
    total = chipfit.quantize_model(model, pictures, "int8").model.compile(BOARD, folder / "out").report.flash.total
    assert total is not None
    return total


def ports(graph: Graph) -> Iterator[tuple[tuple[int, ...], Array | None]]:
    """Shapes of all that the nodes read and make in order, and the elements of constants."""
    for node in graph.nodes:
        for value in (*node.operands, *node.outputs):
            yield value.shape, value.data


def test_operators_attributes_shapes_and_weights_are_equal(model: chipfit.Model, wanted: chipfit.Model) -> None:
    assert [node.op.name for node in model.graph.nodes] == OPERATORS
    assert [node.op for node in model.graph.nodes] == [node.op for node in wanted.graph.nodes]
    assert [v.type for v in model.graph.inputs] == [v.type for v in wanted.graph.inputs]
    for (shape, data), (other_shape, other) in zip(ports(model.graph), ports(wanted.graph), strict=True):
        assert (shape, data is None) == (other_shape, other is None)
        if data is not None and other is not None:
            np.testing.assert_allclose(data, other, rtol=1e-6, atol=1e-6)


def test_outputs_are_equal(model: chipfit.Model, keras_model: Any, pictures: Array) -> None:
    expected = np.asarray(keras_model.predict(pictures, verbose=0))
    for picture, scores in zip(pictures, expected, strict=True):
        (y,) = model.run(picture[None])
        np.testing.assert_allclose(y[0], scores, rtol=0, atol=1e-4)


def test_int8_programs_have_equal_sizes(
    model: chipfit.Model, wanted_flash: int, pictures: Array, tmp_path: Path
) -> None:
    assert int8_flash(model, pictures, tmp_path) == pytest.approx(wanted_flash, rel=0.01)
