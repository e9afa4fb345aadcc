"""Figures that compare an integer model with its float model."""

from __future__ import annotations

import math

import numpy as np

from chipfit.graph import Array


def signal_to_noise(reference: Array, value: Array) -> float:
    """Power of ``reference`` about its mean, over the power of the difference, in dB; infinite without a difference."""
    exact = reference.astype(np.float64)
    noise = float(np.square(exact - value).mean()) if exact.size else 0.0
    signal = float(exact.var()) if exact.size else 0.0
    if noise == 0.0:
        return math.inf
    return 10.0 * math.log10(signal / noise) if signal > 0.0 else -math.inf


def agreement(reference: Array, value: Array) -> float:
    """Share of samples (first axis) for which both have their greatest element at the same place."""
    a, b = (x.reshape(len(x), -1).argmax(axis=1) for x in (reference, value))
    return float((a == b).mean())
