"""Whole networks: against torch, without transpositions inside, and the same net in torch and in Keras."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import chipfit
from chipfit.errors import ChipfitError
from chipfit.graph import Graph
from importers.torch.models import mobilenet, models
from importers.torch.nets import check, inputs_for, ops_of, randomise, torch_or_skip

torch = torch_or_skip()
MODELS = models(torch)

#: transpositions that are left: of the input to channels last; of the output of an image; what attention needs
LEFT = {"UNet": 2, "Mixer": 5, "Attention": 5}


@pytest.mark.parametrize("name", MODELS)
def test_models(name: str) -> None:
    net, shape = MODELS[name]
    graph = check(torch, randomise(torch, net, 1), *inputs_for(torch, shape))
    assert ops_of(graph).count("transpose") <= LEFT.get(name, 1)
    behind_layers = [n for n in graph.nodes if n.op.name in ("mul", "add") and _follows(graph, n)]
    assert not behind_layers, "batch normalization has become part of the layer before it"
    assert [v.name for v in graph.outputs] == ["output"]


def _follows(graph: Graph, node: Any) -> bool:
    """Whether a node applies constants of channels to what a convolution makes."""
    constants = [v for v in node.operands if v.is_const and v.type.size > 1]
    makers = graph.producers()
    convolutions = ("conv2d", "depthwise_conv2d")
    return bool(constants) and any(v in makers and makers[v].op.name in convolutions for v in node.operands)


def test_names_are_those_of_modules_and_parameters() -> None:
    net, shape = MODELS["ResNet18"]
    graph = chipfit.load(randomise(torch, net, 1), example_inputs=inputs_for(torch, shape)).graph
    names = {v.name for v in graph.values()}
    assert {"x", "conv1.weight", "layer4.1.conv2.weight", "fc", "fc.weight", "fc.bias"} - names == {"fc"}
    assert {"layer1.0.relu", "layer2.0.downsample.1", "layer4.1.add"} & names
    assert graph.outputs[0].name == "output"
    assert not [name for name in names if "getitem" in name or name.startswith("p_")]


MOBILENET = ["conv2d", *["depthwise_conv2d", "conv2d"] * 13, "mean", "conv2d", "reshape", "softmax"]


def test_mobilenet_of_images_with_channels_last_has_no_transposition() -> None:
    net = randomise(torch, mobilenet(torch, channels_last=True), 1)
    graph = check(torch, net, *inputs_for(torch, (1, 64, 64, 3)))
    assert ops_of(graph) == MOBILENET


def test_mobilenet_is_that_of_keras(tmp_path: Path) -> None:
    """Operators, attributes, shapes and weights, and the size of the program in int8."""
    keras = _keras()
    theirs = keras.applications.MobileNet(alpha=0.25, weights=None, input_shape=(64, 64, 3), classes=10)
    net = randomise(torch, mobilenet(torch, channels_last=True), 1)
    _copy_weights(net, theirs)
    shape = (1, 64, 64, 3)
    mine = chipfit.load(net, name="net", example_inputs=inputs_for(torch, shape))
    other = chipfit.load(theirs, name="net")
    assert ops_of(mine.graph) == ops_of(other.graph) == MOBILENET
    for a, b in zip(mine.graph.nodes, other.graph.nodes, strict=True):
        assert a.op == b.op
        for x, y in zip(a.operands, b.operands, strict=True):
            assert x.shape == y.shape
            if x.is_const:
                np.testing.assert_allclose(x.array, y.array, rtol=1e-4, atol=1e-6)
    samples = np.random.default_rng(0).uniform(-1, 1, (8, *shape[1:])).astype(np.float32)
    sizes: list[int] = []
    for i, model in enumerate((mine, other)):
        firmware = chipfit.quantize_model(model, samples).model.compile("arduino-nano-33-ble", tmp_path / str(i))
        total = firmware.report.flash.total
        assert total is not None
        sizes.append(total)
    assert abs(sizes[0] - sizes[1]) < 0.01 * sizes[1]


def _keras() -> Any:
    from chipfit.importers.keras.framework import import_keras

    try:
        return import_keras()
    except ChipfitError as error:
        pytest.skip(error.message)


def _copy_weights(net: Any, model: Any) -> None:
    """From torch to Keras, layer by layer in their order."""
    layers = [m for m in net.modules() if isinstance(m, (torch.nn.Conv2d, torch.nn.BatchNorm2d))]
    others = [layer for layer in model.layers if layer.weights]
    for layer, other in zip(layers, others, strict=True):
        if isinstance(layer, torch.nn.BatchNorm2d):
            weights = [layer.weight, layer.bias, layer.running_mean, layer.running_var]
        else:
            order = (2, 3, 0, 1) if layer.groups > 1 else (2, 3, 1, 0)
            weights = [layer.weight.permute(order), *([] if layer.bias is None else [layer.bias])]
        other.set_weights([w.detach().numpy() for w in weights])
