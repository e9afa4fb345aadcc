"""What would make the network better, each change tried on its own, and what is only to be known."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from chipfit.graph import Array, Node, Quant, Value
from chipfit.ops.average_pool2d import AveragePool2D
from chipfit.quantize.calibrate import words
from chipfit.quantize.diagnose.advice import Advice, Rule, clause, db
from chipfit.quantize.diagnose.evidence import Evidence
from chipfit.quantize.diagnose.figures import Noise, weight_ranges
from chipfit.quantize.diagnose.simulate import grid_of, on_grid
from chipfit.quantize.diagnose.trial import ENOUGH, Trial
from chipfit.quantize.equalize import CLAMP, factors, pairs
from chipfit.quantize.layers import Layer
from chipfit.quantize.observers import Range, observer
from chipfit.quantize.parameters import activation_quant
from chipfit.quantize.recipe import Recipe

SMALL_POOL = 0.25
"""Share of its input's range below which a pooled image loses two of eight bits."""

SHIFTED = 6.0
"""dB by which shifts of the mean exceed the other noise of a layer's weights, from which on they are worth a word."""


def bias_correction(e: Evidence, trial: Trial) -> Iterator[Advice]:
    off = [n for n in e.network.nodes if e.network.is_layer(n) and not e.network.corrects(n)]
    if not off or trial.is_enough:
        return
    gain = trial.of_matched_biases()
    if trial.worth(gain):
        worst = max(off, key=lambda n: _shift(e, n))
        text = f"rounded weights shift the means of channels, here most of all: bias correction gains {db(gain)}"
        yield Advice("bias_correction", worst.name, text, "+bias +match", gain)


def _shift(e: Evidence, node: Node) -> float:
    """dB that a correction of the bias is worth at the layer's own output."""
    weights = e.tensors[node["y"]].weights
    if weights is None or weights.sqnr is None or weights.uncorrected is None:
        return 0.0
    if e.network.corrects(node):
        return weights.sqnr - weights.uncorrected
    matched = e.network.outputs(node, e.network.floats, e.network.weights(node), matched=True)[0]
    best = Noise.of(e.network.floats[node["y"]], matched).decibels
    return 0.0 if best is None else best - weights.uncorrected


def shared_weight_scale(e: Evidence, trial: Trial) -> Iterator[Advice]:
    for node in e.network.nodes:
        weights = e.tensors[node["y"]].weights if e.network.is_layer(node) else None
        if weights is None or weights.scales != 1 or not weights.wide or trial.is_enough:
            continue
        scales = np.maximum(weight_ranges(e.network, node), 1e-30) / 127.0
        axis = Layer(e.network.origin[node]).channel_axis
        gain = trial.of_weights(node, Quant(tuple(float(s) for s in scales), (0,) * len(scales), axis))
        if trial.worth(gain):
            spans = f"{weights.wide} channels span" if weights.wide > 1 else "1 channel spans"
            text = (
                f"{spans} up to {weights.spread:.0f}x the median range of its weights, and all share a scale: one for "
                f"each channel gains {db(gain)}"
            )
            yield Advice("shared_weight_scale", node.name, text, clause(e, node.name, "weights=channel"), gain)


def equalization(e: Evidence, trial: Trial) -> Iterator[Advice]:
    if trial.is_enough:
        return
    for first, _ in pairs(e.network.graph, Recipe()):
        value = first["y"]
        if e.made.recipe.has("equalize", first.name) or grid_of(value) is None:
            continue
        factor = factors(e.network.floats[value].reshape(-1, value.shape[-1]).max(axis=0))
        x = trial.unrounded(value) * factor
        quant = activation_quant(Range(0.0, float(np.minimum(x, CLAMP).max())), value.dtype)
        gain = trial.of_tensor(value, on_grid(x, quant, value.dtype) / factor, None)
        if trial.worth(gain):
            spans = e.tensors[value].spread
            text = (
                f"its channels use the range unevenly (the widest {spans:.1f}x the median): equalization, which the "
                f"depthwise layer behind it takes back, gains {db(gain)}"
            )
            yield Advice("equalization", value.name, text, clause(e, value.name, "+equalize"), gain)


def pool_range(e: Evidence, trial: Trial) -> Iterator[Advice]:
    for node in e.network.nodes:
        value, used = node.outputs[0], e.tensors[node.outputs[0]].used if node.outputs[0] in e.tensors else None
        if not isinstance(node.op, AveragePool2D) or used is None or used >= SMALL_POOL or trial.is_enough:
            continue
        if e.made.recipe.has("pool", node.name):  # it was tried, and was no better
            continue
        gain = trial.of_range(value, activation_quant(_range_of(e.network.floats[value]), value.dtype))
        if trial.worth(gain):
            text = f"it shares the range of its input and uses {100 * used:.0f}% of it: one of its own gains {db(gain)}"
            yield Advice("pool_range", value.name, text, clause(e, value.name, "+pool"), gain)


def other_range(e: Evidence, trial: Trial) -> Iterator[Advice]:
    """Another way to choose the range of a sensitive tensor. Scores are only offered the full one."""
    if trial.is_enough:
        return
    now = words(e.network.float_graph, e.made.recipe)
    by_name = {v.name: word for v, word in now.items()}
    for value in trial.candidates():
        if value.name not in by_name or not _has_own_range(e, value):
            continue
        offered = ("minmax",) if value is e.network.target else ("minmax", "mse", "percentile:99.99")
        tried = [(_gain_of_word(e, trial, value, word), word) for word in offered if word != by_name[value.name]]
        gain, word = max(tried, default=(0.0, ""))
        if trial.worth(gain):
            clipped = e.tensors[value].clipped or 0.0
            why = f"its range ({by_name[value.name]}) cuts off {100 * clipped:.2g}% of its elements"
            if word != "minmax":
                why = f"its range ({by_name[value.name]}) is as wide as its rarest elements"
            text = f"{why}: ranges={word} gains {db(gain)}"
            yield Advice("other_range", value.name, text, clause(e, value.name, f"ranges={word}"), gain)


def _gain_of_word(e: Evidence, trial: Trial, value: Value, word: str) -> float:
    seen = observer(word)
    seen.update(e.network.floats[value])
    return trial.of_range(value, activation_quant(seen.range(), value.dtype))


def _has_own_range(e: Evidence, value: Value) -> bool:
    """Whether no other tensor, save its copies, has a say in its quantization."""
    quant, free = grid_of(value), {v for v in e.network.floats if v in e.copies} | {value}
    return quant is not None and all(v in free or v.type.quant != quant for v in e.network.floats)


def wider_tensor(e: Evidence, trial: Trial) -> Iterator[Advice]:
    """The three that gain most in 16 bits."""
    if trial.is_enough:
        return
    narrow = [v for v in trial.candidates() if v.dtype.bytes == 1]
    for gain, i in sorted(((trial.of_width(v), -i) for i, v in enumerate(narrow)), reverse=True)[:3]:
        value = narrow[-i]
        if trial.worth(gain):
            group = trial.followers(value)
            more = sum(v.type.size for v in group)
            text = f"its rounding to 8 bits costs much: 16 bits gain {db(gain)}, for {more:,} bytes more in this tensor"
            clauses = " ; ".join(clause(e, v.name, "activations=int16") for v in group)
            yield Advice("wider_tensor", value.name, text, clauses, gain)


# ---------------------------------------------------------------------------------------------- only to be known


def corrected(e: Evidence, _: Trial) -> Iterator[Advice]:
    """Only to be known: it is taken back already."""
    on = [n for n in e.network.nodes if e.network.is_layer(n) and e.network.corrects(n)]
    worst = max(on, key=lambda n: _shift(e, n), default=None)
    weights = None if worst is None else e.tensors[worst["y"]].weights
    if worst is None or weights is None or weights.uncorrected is None:
        return
    if _shift(e, worst) < SHIFTED or weights.uncorrected >= ENOUGH:
        return
    text = (
        f"rounding its weights shifts its channels: {db(weights.uncorrected)} signal to noise with the float bias, "
        f"{db(weights.sqnr)} with bias correction, which is on"
    )
    yield Advice("corrected", worst.name, text)


def dead_channels(e: Evidence, _: Trial) -> Iterator[Advice]:
    """Of what is judged a constant element is an answer, too."""
    layers = [e.tensors[n["y"]] for n in e.network.nodes if e.network.is_layer(n) and n["y"] is not e.network.target]
    dead, channels = sum(t.dead for t in layers), sum(t.channels for t in layers)
    if dead:
        worst = max(layers, key=lambda t: t.dead)
        text = (
            f"{dead:,} of {channels:,} channels never change on these samples, most in this layer ({worst.dead} of "
            f"{worst.channels}): a network trained without them would be smaller"
        )
        yield Advice("dead_channels", worst.name, text)


def _range_of(x: Array) -> Range:
    return Range(float(x.min()), float(x.max()))


GAIN_RULES: Sequence[Rule] = (
    bias_correction,
    shared_weight_scale,
    equalization,
    pool_range,
    other_range,
    wider_tensor,
)
KNOWN_RULES: Sequence[Rule] = (corrected, dead_channels)
