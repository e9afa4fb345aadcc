"""Changes to the simulated integer network, and what each gains: advice never guesses."""

from __future__ import annotations

import numpy as np

from chipfit.graph import Array, Node, Quant, Value
from chipfit.quantize.diagnose.evidence import Evidence
from chipfit.quantize.diagnose.figures import Noise, ends
from chipfit.quantize.diagnose.simulate import on_grid
from chipfit.quantize.parameters import along, quantize_weights

ENOUGH = 30.0
"""dB from which on hardly an answer changes (98 of 100 are kept on CIFAR-10): nothing is advised for more of them."""

WORTH = 1.0
"""dB that a change must gain to be advised: less is within what other samples would show."""

CANDIDATES = 6
"""Tensors, the most sensitive first, for which other ranges and widths are tried."""


class Trial:
    """Changes to the simulated integer network, and what each gains."""

    def __init__(self, evidence: Evidence) -> None:
        self.evidence, self.network = evidence, evidence.network
        self.arrays = self.network.integer()
        self.base = self._decibels(self.arrays[self.network.target])
        """Signal to noise of the judged tensor that gains are added to, dB."""
        self.is_enough = self.base >= ENOUGH and (evidence.sqnr is None or evidence.sqnr >= ENOUGH)
        self._producers = {v: node for node in self.network.nodes for v in node.outputs}

    @property
    def decibels(self) -> float | None:
        """``base``, None: without noise."""
        return self.base if np.isfinite(self.base) else None

    def _decibels(self, x: Array) -> float:
        found = Noise.of(self.network.floats[self.network.target], x).decibels
        return np.inf if found is None else found

    def unrounded(self, value: Value) -> Array:
        """What a tensor of the integer network is before it is rounded."""
        node = self._producers.get(value)
        if node is None:
            return self.network.floats[value]
        w = self.network.weights(node) if self.network.is_layer(node) else None
        return self.network.outputs(node, self.arrays, w)[node.outputs.index(value)]

    def of_tensor(self, value: Value, x: Array, quant: Quant | None) -> float:
        """Gain where a tensor holds ``x``, and its copies have this quantization; None: they are not rounded."""
        grids = dict.fromkeys(self.followers(value), quant)
        return self._decibels(self.network.follow({value: x}, self.arrays, grids, rounding=True)) - self.base

    def of_range(self, value: Value, quant: Quant) -> float:
        """Gain of another quantization."""
        return self.of_tensor(value, on_grid(self.unrounded(value), quant, value.dtype), quant)

    def of_width(self, value: Value) -> float:
        """Gain of 16 bits over the same range, both sides of 0 alike: they round next to nothing, but clip as well."""
        reach = max(abs(end) for end in ends(value.q, value.dtype))
        return self.of_tensor(value, np.clip(self.unrounded(value), -reach, reach), None)

    def of_weights(self, node: Node, quant: Quant) -> float:
        """Gain of another quantization of a layer's weights, each rounded to the nearest."""
        real = self.network.origin[node]["w"].array
        w = (quantize_weights(real, quant) * along(quant, real.ndim)).astype(np.float32)
        y = self.network.rounded(node["y"], self.network.outputs(node, self.arrays, w)[0])
        return self._decibels(self.network.follow({node["y"]: y}, self.arrays, rounding=True)) - self.base

    def of_matched_biases(self) -> float:
        """Gain of bias correction in all layers."""
        return self._decibels(self.network.integer(matched=True)[self.network.target]) - self.base

    def followers(self, value: Value) -> list[Value]:
        """The tensor, and the copies of it that have its grid."""
        found = [value]
        for node in self.network.nodes:
            if any(v in found for v in node.operands):
                found += [v for v in node.outputs if v in self.evidence.copies]
        return found

    def worth(self, gain: float) -> bool:
        return gain >= WORTH and not self.is_enough

    def candidates(self) -> list[Value]:
        """The most sensitive tensors that have a grid of their own, inputs excepted."""
        by_name = {v.name: v for v in self._producers}
        ranked = [by_name[s.name] for s in self.evidence.ranking if s.part == "tensor" and s.name in by_name]
        return ranked[:CANDIDATES]
