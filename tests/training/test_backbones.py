"""Networks: as Keras has them, importable, and in a form for the K210 that computes the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import chipfit
from chipfit.deployment.advice import untrained
from chipfit.errors import ChipfitError
from chipfit.graph import Array
from chipfit.training.backbones import BACKBONES, KPU_ROWS, Network, build


def noise(network: Network, count: int = 2) -> Array:
    shape = (count, network.height, network.width, network.channels)
    return np.random.default_rng(3).uniform(-1, 1, shape).astype(np.float32)


def predicted(model: Any, x: Array) -> Array:
    return np.asarray(model.predict_on_batch(x))


@pytest.mark.parametrize("name", BACKBONES)
def test_they_are_imported(keras: Any, name: str) -> None:
    """Greyscale, not square, with a hidden layer in the head; chipfit computes what Keras does."""
    alpha = 1.0 if name == "efficientnet_b0" else 0.125
    network = Network(name, alpha, 32, 48, 1, outputs=5, dense=6)
    model = build(network, "net")
    x = noise(network)
    loaded = chipfit.load(model)
    assert [tuple(i.shape) for i in loaded.inputs] == [(1, 32, 48, 1)]
    ours = np.concatenate([loaded.run(row[None])[0] for row in x])
    np.testing.assert_allclose(ours, predicted(model, x), atol=1e-5)
    kinds = [type(layer).__name__ for layer in model.layers]
    assert not {"Rescaling", "Normalization"} & set(kinds)


def test_they_become_integers_and_c(keras: Any, tmp_path: Path) -> None:
    model = untrained(Network("ds_cnn", 0.125, 32, 32, 1))
    firmware = model.compile("host", tmp_path / "model")
    samples = model.samples(2)
    wanted = [model.run(*sample)[0] for sample in samples]
    np.testing.assert_array_equal(np.asarray(firmware.run(samples).outputs[0]), np.stack(wanted))


def test_mobilenet_v1_is_that_of_keras(keras: Any) -> None:
    """The same layers with weights, of the same names and shapes; with the same weights the same features."""
    network = Network(alpha=0.25, height=64, width=48)
    model = build(network)
    theirs = keras.applications.MobileNet(input_shape=(64, 48, 3), alpha=0.25, include_top=False, weights=None)
    for layer in theirs.layers:
        if layer.weights:
            model.get_layer(layer.name).set_weights(layer.get_weights())
    features = keras.Model(model.input, model.get_layer("conv_pw_13_relu").output)
    np.testing.assert_array_equal(predicted(features, noise(network)), predicted(theirs, noise(network)))


def test_for_the_k210_a_stride_moves_behind_the_depthwise_layer(keras: Any) -> None:
    """A padded depthwise layer of stride 2 and a 1x1 layer give what the network has instead."""
    model = build(Network(alpha=0.125, height=128, width=128, channels=1, target="k210"))
    before = model.get_layer("conv_pw_1_relu").output
    old = keras.Input(before.shape[1:])
    x = keras.layers.ZeroPadding2D(1)(old)
    depthwise = keras.layers.DepthwiseConv2D(3, 2, use_bias=False)
    x = model.get_layer("conv_dw_2_relu")(model.get_layer("conv_dw_2_bn")(depthwise(x)))
    pointwise = keras.layers.Conv2D(model.get_layer("conv_pw_2").filters, 1, use_bias=False)
    reference = keras.Model(old, pointwise(x))
    for ours, name in ((depthwise, "conv_dw_2"), (pointwise, "conv_pw_2")):
        ours.set_weights(model.get_layer(name).get_weights())
    maps = np.random.default_rng(0).uniform(0, 6, (2, *before.shape[1:])).astype(np.float32)
    part = keras.Model(before, model.get_layer("conv_pw_2").output)
    np.testing.assert_allclose(predicted(part, maps), predicted(reference, maps), atol=1e-5)


@pytest.mark.parametrize(("height", "width"), [(32, 32), (120, 160), (45, 61)])
def test_for_the_k210_no_layer_is_left_to_the_processor(keras: Any, height: int, width: int) -> None:
    network = Network(alpha=0.125, height=height, width=width, target="k210")
    model = build(network)
    for layer in model.layers:
        if isinstance(layer, keras.layers.Conv2D | keras.layers.DepthwiseConv2D):
            assert min(layer.input.shape[1:3]) >= KPU_ROWS, layer.name
            if layer.strides == (2, 2):  # rows 0, 2, 4 ... of which the KPU keeps as many as make up whole pairs
                padded = layer.kernel_size == (3, 3)
                rows = (network.height, network.width) if padded else layer.input.shape[1:3]
                assert tuple(layer.output.shape[1:3]) == tuple(side // 2 for side in rows), layer.name
            if isinstance(layer, keras.layers.DepthwiseConv2D):
                assert (layer.strides, layer.padding) == ((1, 1), "same"), layer.name


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"backbone": "resnet"}, "there is no backbone 'resnet'"),
        ({"alpha": 0.1}, "mobilenet_v1 has no alpha 0.1"),
        ({"backbone": "efficientnet_b0", "alpha": 0.5}, "efficientnet_b0 has no alpha 0.5"),
        ({"height": 31}, "pictures of 31x64 pixels"),
        ({"width": 225}, "pictures of 64x225 pixels"),
        ({"channels": 2}, "1 or 3 channels, not 2"),
        ({"outputs": 1}, "cannot have 1 classes"),
        ({"dropout": 1.0}, "dropout 1 "),
        ({"backbone": "mobilenet_v2", "target": "k210"}, "mobilenet_v2 has no form for the K210"),
    ],
)
def test_what_cannot_be_built(wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(ChipfitError, match=said) as caught:
        Network(**wrong)
    assert caught.value.code == "U001"
