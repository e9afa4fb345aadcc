"""What Keras 2 wrote into ``.h5`` files and Keras 3 does not take, where it says nothing or the same in other words."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

Config = dict[str, Any]

_SILENT: dict[str, dict[str, Any]] = {
    "DepthwiseConv1D": {"groups": 1},
    "DepthwiseConv2D": {"groups": 1},
    "SeparableConv1D": {"groups": 1},
    "SeparableConv2D": {"groups": 1},
    "InputLayer": {"sparse": False, "ragged": False},
    "LSTM": {"time_major": False},
    "GRU": {"time_major": False},
    "SimpleRNN": {"time_major": False},
}
"""Settings by class that are left out at this value, which is all that Keras 3 knows."""

_UNUSED: dict[str, tuple[str, ...]] = {
    "SeparableConv1D": ("kernel_initializer", "kernel_regularizer", "kernel_constraint"),
    "SeparableConv2D": ("kernel_initializer", "kernel_regularizer", "kernel_constraint"),
    "LSTM": ("implementation",),
    "GRU": ("implementation",),
}
"""Settings that have no effect on what a layer computes."""

_RENAMED = {"BatchNormalizationV1": "BatchNormalization", "BatchNormalizationV2": "BatchNormalization"}
_NUMBERS = ("max_value", "negative_slope", "threshold", "alpha")


def items(config: Any) -> Iterator[Config]:
    """Every description of an object in a configuration, outermost first."""
    waiting = [config]
    while waiting:
        item = waiting.pop()
        if isinstance(item, dict):
            if isinstance(item.get("class_name"), str):
                yield item
            waiting += reversed(list(item.values()))
        elif isinstance(item, list):
            waiting += reversed(item)


def modernise(config: Any) -> None:
    """Say in the words of Keras 3, in place, what a file of Keras 2 says."""
    for item in list(items(config)):
        written = str(item["class_name"])
        kind = item["class_name"] = _RENAMED.get(written, written)
        if kind == "Sequential" and isinstance(item.get("config"), list):
            item["config"] = {"name": "sequential", "layers": item["config"]}
        inner = item.get("config")
        if not isinstance(inner, dict):
            continue
        _simplify(kind, inner)
        if kind == "Sequential" and isinstance(inner.get("layers"), list):
            _state_input(inner["layers"])


def _simplify(kind: str, config: Config) -> None:
    for key, value in _SILENT.get(kind, {}).items():
        if key in config and config[key] == value:
            del config[key]
    for key in _UNUSED.get(kind, ()):
        config.pop(key, None)
    policy = config.get("dtype")
    if isinstance(policy, dict) and isinstance(policy.get("config"), dict) and "name" in policy["config"]:
        config["dtype"] = policy["config"]["name"]
    if kind in ("ReLU", "LeakyReLU"):
        for key in _NUMBERS:
            if isinstance(config.get(key), list | dict):
                config[key] = _number(config[key])
    if kind == "InputLayer" and "batch_input_shape" in config:
        config["batch_shape"] = config.pop("batch_input_shape")


def _number(value: Any) -> Any:
    """Numbers were written as arrays at times: of one element, or as a dictionary that holds it."""
    if isinstance(value, dict):
        value = value.get("value", value)
    return value[0] if isinstance(value, list) and len(value) == 1 else value


def _state_input(layers: list[Any]) -> None:
    """A sequence whose first layer has the shape of the input begins with an InputLayer instead."""
    first: Callable[[str], Any] = layers[0].get if layers and isinstance(layers[0], dict) else lambda key: None
    config = first("config")
    if first("class_name") == "InputLayer" or not isinstance(config, dict) or "batch_input_shape" not in config:
        return
    name = f"{config.get('name', 'sequential')}_input"
    stated = {"batch_shape": config.pop("batch_input_shape"), "name": name}
    layers.insert(0, {"class_name": "InputLayer", "config": stated})
