"""What the debugger knows of each tensor and of each layer's weights."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

from chipfit.graph import Array, DType, Node, Quant, Value
from chipfit.quantize.diagnose.simulate import Network, grid_of, on_grid
from chipfit.quantize.layers import Layer

BINS = 32
"""Of a histogram."""

_LOOKED_AT = 1 << 20
"""Elements that enter a histogram: of more, evenly spread ones."""

_OFF = 1e-6

_LEAST_DB = -100.0
"""What stands for a tensor with noise but without any signal."""

WIDE = 4.0
"""A channel whose range is so many medians costs the others two of eight bits where they share its scale."""

Part = Literal["tensor", "weights"]


@dataclass(frozen=True)
class Histogram:
    """``counts`` of elements in bins of one width from ``low`` to ``high``."""

    low: float
    high: float
    counts: tuple[int, ...]

    @staticmethod
    def of(x: Array, low: float, high: float) -> Histogram:
        flat = x.reshape(-1)
        flat = flat[:: max(1, -(-flat.size // _LOOKED_AT))].astype(np.float64)
        if low >= high:
            low, high = low - 0.5, low + 0.5
        places = ((flat - low) * (BINS / (high - low))).astype(np.int64)
        counts = np.bincount(np.clip(places, 0, BINS - 1), minlength=BINS)
        return Histogram(low, high, tuple(int(c) for c in counts))


@dataclass(frozen=True)
class WeightDetails:
    """A layer's weights. Signal to noise of the layer's own output in dB, all else float; None: without noise.

    ``sqnr``: with the integer weights; ``uncorrected``: and with the float bias, which leaves shifts of the mean in.
    ``scales``: of the integers, 1 or one for each channel; 0: they are floats. ``spread``: the widest channel's range
    over the median one. ``wide``: channels that are beyond ``WIDE`` times the median.
    """

    dtype: str
    scales: int
    sqnr: float | None
    uncorrected: float | None
    spread: float
    wide: int


@dataclass(frozen=True)
class TensorDetails:
    """A tensor of the integer network. Signal to noise in dB against the float network; None: without noise.

    ``sqnr``: in the whole integer network; ``inherited``: the same layer without any rounding of its own;
    ``rounding``: of its own rounding alone. ``made``: the share of the noise that comes of this layer: of its weights
    and the rounding of its output, not of its inputs; None: there is none.

    ``low``, ``high``: what the integers can hold; ``seen_low``, ``seen_high``: what the float network gives. ``used``:
    share of the integers between the least and the greatest that occur; ``clipped``: share of the elements beyond
    them. All four, ``scale`` and ``zero_point`` are None where the tensor is float. ``spread``: the widest channel's
    range over the median one; ``dead``: of ``channels``, how many never change.
    """

    name: str
    op: str
    dtype: str
    elements: int
    scale: float | None
    zero_point: int | None
    low: float | None
    high: float | None
    seen_low: float
    seen_high: float
    used: float | None
    clipped: float | None
    channels: int
    dead: int
    spread: float
    histogram: Histogram
    sqnr: float | None
    inherited: float | None
    rounding: float | None
    made: float | None
    weights: WeightDetails | None


@dataclass(frozen=True)
class Noise:
    """Mean squares about the mean of the float tensor, and of what differs from it."""

    signal: float
    noise: float

    @staticmethod
    def of(exact: Array, value: Array) -> Noise:
        difference = (value - exact).reshape(-1).astype(np.float64)
        return Noise(float(exact.var(dtype=np.float64)), float(difference @ difference) / max(1, difference.size))

    @property
    def decibels(self) -> float | None:
        """Signal to noise, None: without noise."""
        if self.noise == 0.0:
            return None
        return max(_LEAST_DB, 10.0 * math.log10(self.signal / self.noise)) if self.signal > 0.0 else _LEAST_DB


def tensor_details(
    value: Value,
    op: str,
    exact: Array,
    stored: Noise,
    inherited: Noise | None,
    weights: tuple[Noise, WeightDetails] | None,
    is_copy: bool = False,
) -> TensorDetails:
    """``exact``: of the float network; ``stored``: of the integer network; ``inherited``: None for an input of it.

    ``is_copy``: it holds what lies on its grid already, so that rounding does nothing.
    """
    quant = grid_of(value)
    low, high = ends(quant, value.dtype) if quant is not None else (None, None)
    seen_low, seen_high = float(exact.min()), float(exact.max())
    own = Noise(stored.signal, 0.0)
    if quant is not None and not is_copy:
        own = Noise.of(exact, on_grid(exact, quant, value.dtype))
    made = own.noise + (weights[0].noise if weights else 0.0)
    total = made + (inherited.noise if inherited else 0.0)
    ranges = channel_ranges(exact)
    return TensorDetails(
        name=value.name,
        op=op,
        dtype=value.dtype.value,
        elements=value.type.size,
        scale=None if quant is None else quant.s,
        zero_point=None if quant is None else quant.zp,
        low=low,
        high=high,
        seen_low=seen_low,
        seen_high=seen_high,
        used=None if quant is None else _used(seen_low, seen_high, quant, value.dtype),
        clipped=None if quant is None else _clipped(exact, quant, value.dtype),
        channels=len(ranges),
        dead=_unchanging(exact),
        spread=spread(ranges),
        histogram=Histogram.of(
            exact,
            min(seen_low, low if low is not None else seen_low),
            max(seen_high, high if high is not None else seen_high),
        ),
        sqnr=stored.decibels,
        inherited=None if inherited is None else inherited.decibels,
        rounding=own.decibels,
        made=made / total if total > 0.0 else None,
        weights=None if weights is None else weights[1],
    )


def weight_details(network: Network, node: Node) -> tuple[Noise, WeightDetails, Array]:
    """Noise of a layer's weights alone, the figures, and the layer's output with these weights on float inputs."""
    w, y = network.weights(node), node["y"]
    matched = network.outputs(node, network.floats, w)[0]
    noise = Noise.of(network.floats[y], matched)
    plain = noise
    if network.corrects(node):
        plain = Noise.of(network.floats[y], network.outputs(node, network.floats, w, matched=False)[0])
    ranges = weight_ranges(network, node)
    used, stored = alive(ranges), node["w"]
    figures = WeightDetails(
        dtype=stored.dtype.value,
        scales=0 if stored.type.quant is None else len(stored.q.scale),
        sqnr=noise.decibels,
        uncorrected=plain.decibels,
        spread=spread(ranges),
        wide=int((ranges > WIDE * np.median(used)).sum()) if used.size else 0,
    )
    return noise, figures, matched


def weight_ranges(network: Network, node: Node) -> Array:
    """The greatest weight of each output channel of the float layer, (channels,)."""
    real = network.origin[node]
    w, axis = real["w"].array, Layer(real).channel_axis
    return np.moveaxis(np.abs(w), axis, 0).reshape(w.shape[axis], -1).max(axis=1)


def channel_ranges(x: Array) -> Array:
    """The greatest magnitude of each channel (the last axis), (channels,)."""
    flat = x.reshape(-1, x.shape[-1]) if x.ndim > 1 else x.reshape(-1, 1)
    return np.maximum(flat.max(axis=0), -flat.min(axis=0))


def _unchanging(x: Array) -> int:
    flat = x.reshape(-1, x.shape[-1]) if x.ndim > 1 else x.reshape(-1, 1)
    return int((flat.max(axis=0) == flat.min(axis=0)).sum())


def alive(ranges: Array) -> Array:
    """Those that are not 0, nor so small beside the greatest that training has switched them off."""
    return ranges[ranges > _OFF * ranges.max(initial=0.0)]


def spread(ranges: Array) -> float:
    """The greatest over the median of those that are alive; 1 where none is."""
    used = alive(ranges)
    return float(used.max() / np.median(used)) if used.size else 1.0


def ends(quant: Quant, dtype: DType) -> tuple[float, float]:
    """The least and the greatest real number that the integers hold."""
    low, high = dtype.range
    return (low - quant.zp) * quant.s, (high - quant.zp) * quant.s


def _used(low: float, high: float, quant: Quant, dtype: DType) -> float:
    least, greatest = dtype.range
    first, last = (np.clip(np.rint(end / quant.s) + quant.zp, least, greatest) for end in (low, high))
    return float(last - first + 1) / (greatest - least + 1)


def _clipped(x: Array, quant: Quant, dtype: DType) -> float:
    """Elements that are off by more than a rounding."""
    low, high = ends(quant, dtype)
    half = 0.5 * quant.s * (1 + 1e-5)
    return float(((x < low - half) | (x > high + half)).mean())
