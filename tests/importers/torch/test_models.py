"""Whole networks: against torch, and without transpositions inside."""

from __future__ import annotations

from typing import Any

import pytest

import chipfit
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
