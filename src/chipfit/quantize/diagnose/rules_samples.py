"""What is wrong with the samples: to be set right before any other figure means something."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from chipfit.ops.arg_max import ArgMax
from chipfit.ops.log_softmax import LogSoftmax
from chipfit.ops.relu6 import Relu6
from chipfit.ops.softmax import Softmax
from chipfit.quantize.diagnose.advice import Advice, Rule
from chipfit.quantize.diagnose.evidence import Evidence
from chipfit.quantize.diagnose.trial import Trial
from chipfit.quantize.equalize import CLAMP

FEW = 50
"""Samples below which the greatest elements, and with them the ranges, are known badly."""
ADVISED = 100
"""Samples to take: with more, the figures of the benchmark models no longer change."""

COPIES = 0.5
"""Share of samples that are copies of others from which on it is no accident."""

SAME_ANSWER = 0.95
"""Share of samples with one answer from which on they are all of a kind, or mean nothing to the model."""
LEAST_FOR_ANSWERS = 16
"""Samples below which one answer for nearly all of them may be chance."""

BEYOND = 0.05
"""Values that reach beyond the declared range by this share of it are of another preprocessing."""
UNUSED = 0.25
"""Share of the declared range below which the values are of another preprocessing: even dark pictures fill half."""

CLAMPED = 0.5
"""Share of a layer's elements at relu6's upper clamp that no training leaves: nothing would be learned through it."""


def few_samples(e: Evidence, _: Trial) -> Iterator[Advice]:
    if len(e.samples) < FEW:
        text = f"there are only {len(e.samples)}: take about {ADVISED}, so that ranges and biases fit other inputs, too"
        yield Advice("few_samples", "samples", text)


def same_samples(e: Evidence, _: Trial) -> Iterator[Advice]:
    count = len(e.samples)
    distinct = len({tuple(a[i].tobytes() for a in e.samples.arrays) for i in range(count)})
    if count > 1 and 1 - distinct / count >= COPIES:
        what = "they are all the same" if distinct == 1 else f"only {distinct} of {count} differ"
        yield Advice("same_samples", "samples", f"{what}: ranges and biases only fit these; take {ADVISED} others")


def flat_samples(e: Evidence, _: Trial) -> Iterator[Advice]:
    flat = sum(all(a[i].min() == a[i].max() for a in e.samples.arrays) for i in range(len(e.samples)))
    if flat / len(e.samples) >= COPIES and any(v.type.size > 1 for v in e.network.inputs):
        text = f"{flat} of {len(e.samples)} hold one number each: are they read as the model expects?"
        yield Advice("flat_samples", "samples", text)


def same_answer(e: Evidence, _: Trial) -> Iterator[Advice]:
    scores = e.network.floats[e.network.target]
    flat = scores.reshape(len(scores), -1)
    if not _classifies(e) or len(flat) < LEAST_FOR_ANSWERS:
        return
    same = int(np.bincount(flat.argmax(axis=1)).max())
    if same / len(flat) >= SAME_ANSWER:
        text = (
            f"the float model gives one answer for {same} of {len(flat)}: are all classes among them, and is the "
            "preprocessing that of training?"
        )
        yield Advice("same_answer", "samples", text)


def _classifies(e: Evidence) -> bool:
    """Whether the greatest of the judged elements is an answer."""
    heads = [n for n in e.made.graph.nodes if isinstance(n.op, Softmax | LogSoftmax | ArgMax)]
    return e.network.target.shape[-1] > 1 and bool(heads)


def declared_range(e: Evidence, _: Trial) -> Iterator[Advice]:
    for value, declared, x in zip(e.network.inputs, e.samples.ranges, e.samples.arrays, strict=True):
        if declared is None:
            continue
        low, high, width = float(x.min()), float(x.max()), declared.high - declared.low
        if high > declared.high + BEYOND * width:
            text = f"values reach {high:.3g}, but the declared range ends at {declared.high:.3g}"
        elif low < declared.low - BEYOND * width:
            text = f"values reach {low:.3g}, but the declared range begins at {declared.low:.3g}"
        elif high - low < UNUSED * width:
            whole = f"{declared.low:.3g} to {declared.high:.3g}"
            text = f"values lie between {low:.3g} and {high:.3g}, a small part of the declared range, {whole}"
        else:
            continue
        yield Advice("declared_range", value.name, f"{text}: is the preprocessing that of training?")


def clamped(e: Evidence, _: Trial) -> Iterator[Advice]:
    """Of the first layer with relu6 only: what follows it is computed from what it left."""
    for node in e.network.nodes:
        if not (isinstance(node.op, Relu6) or node.op.attributes().get("act") == "relu6"):
            continue
        share = float((e.network.floats[node.outputs[0]] >= CLAMP).mean())
        if share >= CLAMPED:
            ends = ", ".join(f"{x.min():.3g} to {x.max():.3g}" for x in e.samples.arrays)
            text = (
                f"relu6 cuts off {100 * share:.0f}% of its elements for inputs from {ends}: is the preprocessing that "
                "of training?"
            )
            yield Advice("clamped", node.name, text)
        return


SAMPLE_RULES: Sequence[Rule] = (few_samples, same_samples, flat_samples, same_answer, declared_range, clamped)
