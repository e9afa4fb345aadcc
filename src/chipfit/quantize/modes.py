"""The words of recipes: modes, options, steps, and which of them mean something in which mode."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Mode = Literal["float16", "dynamic", "int8", "int16x8"]
Edge = Literal["int8", "uint8", "int16", "float32"]
Width = Literal["int8", "int16"]
Granularity = Literal["channel", "tensor"]
Compute = Literal["float", "integer"]
Step = Literal["equalize", "reconstruct", "adaround", "bias", "match", "pool"]

STEPS: dict[Step, str] = {
    "equalize": "channels that stay below the clamp of relu6 are scaled up to it before a depthwise layer",
    "reconstruct": "weights are rounded column by column, each later one making up for the errors before it",
    "adaround": "for each weight it is learnt whether rounding it up or down keeps the layer's output closer",
    "bias": "biases make up for the mean error of each channel, in the order of the layers",
    "match": "biases are matched once more behind the activation, where clamped values no longer count",
    "pool": "the pooled image gets a range of its own where that helps",
}
"""What each step that restores accuracy does, in the order in which they apply to a layer."""

DEFAULT_STEPS: frozenset[Step] = frozenset({"equalize", "reconstruct", "bias", "match", "pool"})
"""Those that are on unless a recipe says otherwise, in the modes that know them."""

_LAYER_STEPS: tuple[Step, ...] = ("reconstruct", "adaround", "bias", "match")
"""Those that fit one layer at a time, whatever its activations are."""


@dataclass(frozen=True)
class ModeInfo:
    """``title``: what it is, for people. ``stays``: why other options mean nothing. ``options``: of the whole recipe;
    ``rules``: of a rule. ``steps``: that it knows. ``activations``: None: float32. ``calibrated``: needs samples."""

    title: str
    stays: str
    options: tuple[str, ...]
    rules: tuple[str, ...]
    steps: tuple[Step, ...]
    activations: Width | None
    calibrated: bool


_INTEGER = "the arithmetic is that of integers"
_INTEGER_RULES = ("activations", "ranges", "weights")
_INTEGER_OPTIONS = ("input", "output", *_INTEGER_RULES)

MODES: dict[Mode, ModeInfo] = {
    "float16": ModeInfo(
        "weights as float16, arithmetic in float32",
        "weights are rounded to float16, and all else stays float32",
        (),
        (),
        ("bias", "match"),
        None,
        False,
    ),
    "dynamic": ModeInfo(
        "weights as int8, activations in float32",
        "weights become int8, and activations stay float32",
        ("compute", "weights"),
        ("weights",),
        _LAYER_STEPS,
        None,
        False,
    ),
    "int8": ModeInfo(
        "weights and activations as int8", _INTEGER, _INTEGER_OPTIONS, _INTEGER_RULES, tuple(STEPS), "int8", True
    ),
    "int16x8": ModeInfo(
        "weights as int8, activations as int16",
        _INTEGER,
        _INTEGER_OPTIONS,
        _INTEGER_RULES,
        tuple(step for step in STEPS if step != "equalize"),  # 16 bits leave room enough
        "int16",
        True,
    ),
}
