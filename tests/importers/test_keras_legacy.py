"""``.h5`` files as Keras 2 wrote them: each way of saying things that Keras 3 has another one for."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from importers.keras_nets import check, keras_or_skip, randomise

keras = keras_or_skip()
h5py: Any = pytest.importorskip("h5py", reason="HDF5 files are read by h5py")
L: Any = keras.layers

Config = dict[str, Any]


def net() -> Any:
    layers = [
        L.Conv2D(4, 3, name="conv"),
        L.BatchNormalization(name="norm"),
        L.ReLU(6.0, name="relu"),
        L.DepthwiseConv2D(3, name="depthwise"),
        L.SeparableConv2D(3, 2, name="separable"),
        L.LeakyReLU(0.2, name="leaky"),
        L.Flatten(name="flat"),
        L.Dense(2, name="out"),
    ]
    return randomise(keras.Sequential([keras.Input((8, 8, 3), name="picture"), *layers]), 3)


def each(*kinds: str, **settings: Any) -> Callable[[Config], None]:
    """An edit of the layers of some classes."""

    def edit(model: Config) -> None:
        for layer in model["config"]["layers"]:
            if not kinds or layer["class_name"] in kinds:
                layer["config"].update(settings)

    return edit


def old_names(model: Config) -> None:
    for layer in model["config"]["layers"]:
        if layer["class_name"] == "BatchNormalization":
            layer["class_name"] = "BatchNormalizationV1"


def shape_of_input(model: Config) -> None:
    for layer in model["config"]["layers"]:
        if layer["class_name"] == "InputLayer":
            layer["config"]["batch_input_shape"] = layer["config"].pop("batch_shape")
            layer["config"].update(sparse=False, ragged=False)


def without_input_layer(model: Config) -> None:
    layers = model["config"]["layers"]
    shape = layers.pop(0)["config"]["batch_shape"]
    layers[0]["config"]["batch_input_shape"] = shape


def a_bare_list(model: Config) -> None:
    without_input_layer(model)
    model["config"] = model["config"]["layers"]


@pytest.mark.parametrize(
    "edit",
    [
        each("DepthwiseConv2D", "SeparableConv2D", groups=1),
        each("SeparableConv2D", kernel_initializer=None, kernel_regularizer=None, kernel_constraint=None),
        each("BatchNormalization", axis=[3]),
        each("ReLU", max_value=[6.0], negative_slope={"type": "ndarray", "value": 0.0}, threshold=[0.0]),
        each(dtype={"class_name": "Policy", "config": {"name": "float32"}}),
        each(dtype="float32"),
        old_names,
        shape_of_input,
        without_input_layer,
        a_bare_list,
    ],
)
def test_what_keras_2_wrote(edit: Callable[[Config], None], tmp_path: Path) -> None:
    model = net()
    path = tmp_path / "net.h5"
    model.save(path)
    with h5py.File(path, "r+") as file:
        config = json.loads(file.attrs["model_config"])
        for layer in config["config"]["layers"]:
            for key in ("module", "registered_name", "build_config"):
                layer.pop(key, None)
        edit(config)
        file.attrs["model_config"] = json.dumps(config)
        file.attrs["keras_version"] = "2.4.0"
    check(keras, model, source=path.read_bytes())
