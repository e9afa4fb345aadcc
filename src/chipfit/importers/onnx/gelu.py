"""GELU as exporters write it out: x * 0.5 * (1 + erf(x / sqrt(2))), in whatever order it is multiplied."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from chipfit.errors import ChipfitError
from chipfit.importers.onnx.file import array_of


@dataclass(frozen=True)
class Gelu:
    """``x``: the name of the tensor that it is a function of; ``inner``: what nobody else reads."""

    x: str
    inner: str


class _Finder:
    def __init__(self, onnx: Any, source: Any, initializers: Mapping[str, Any]) -> None:
        self._onnx, self._initializers = onnx, initializers
        self._readers: dict[str, list[Any]] = {}
        self._constants: dict[str, Any] = {}
        for node in source.node:
            for name in node.input:
                self._readers.setdefault(name, []).append(node)
            if node.op_type == "Constant" and node.attribute and node.attribute[0].name == "value":
                self._constants[node.output[0]] = node.attribute[0].t

    def number(self, name: str) -> float | None:
        """The number that a tensor is, if it is a constant of one element."""
        tensor = self._initializers.get(name, self._constants.get(name))
        if tensor is None or math.prod(tensor.dims) != 1 or len(tensor.dims) > 4:
            return None
        try:
            return float(np.asarray(array_of(self._onnx, tensor, None)).reshape(-1)[0])
        except (ChipfitError, ValueError):
            return None

    def reader(self, name: str, op: str) -> Any:
        """The only reader of a tensor, if it is of this operator."""
        readers = self._readers.get(name, [])
        return readers[0] if len(readers) == 1 and readers[0].op_type == op and len(readers[0].input) == 2 else None

    def other(self, node: Any, name: str) -> str:
        """The other operand of a node with two."""
        return node.input[1] if node.input[0] == name else node.input[0]

    def scaled(self, node: Any) -> str | None:
        """x of a node that computes x / sqrt(2)."""
        if node is None or node.op_type not in ("Div", "Mul") or len(node.input) != 2:
            return None
        for x, factor in ((node.input[0], node.input[1]), (node.input[1], node.input[0])):
            number = self.number(factor)
            wanted = math.sqrt(2) if node.op_type == "Div" else math.sqrt(0.5)
            if (
                number is not None
                and abs(number - wanted) < 1e-3
                and (node.op_type == "Mul" or factor == node.input[1])
            ):
                return x
        return None


def find_gelus(onnx: Any, source: Any, initializers: Mapping[str, Any]) -> dict[str, Gelu]:
    """The last tensor of each GELU in a graph that is written out with Erf."""
    if not any(node.op_type == "Erf" for node in source.node):
        return {}
    finder = _Finder(onnx, source, initializers)
    makers = {name: node for node in source.node for name in node.output}
    found: dict[str, Gelu] = {}
    for erf in source.node:
        if erf.op_type != "Erf" or len(erf.input) != 1 or len(erf.output) != 1:
            continue
        x = finder.scaled(makers.get(erf.input[0]))
        plus = finder.reader(erf.output[0], "Add")
        if x is None or plus is None or finder.number(finder.other(plus, erf.output[0])) != 1:
            continue
        end = _end(finder, makers, plus.output[0], x)
        if end is not None:
            found[end] = Gelu(x, erf.output[0])
    return found


def _end(finder: _Finder, makers: Mapping[str, Any], name: str, x: str) -> str | None:
    """The tensor that is (1 + erf) times x and a half; both factors in either order, or x halved before."""
    half, seen = False, False
    while not (half and seen):
        node = finder.reader(name, "Mul")
        if node is None:
            return None
        factor = finder.other(node, name)
        if finder.number(factor) == 0.5 and not half:
            half = True
        elif factor == x and not seen:
            seen = True
        elif not (half or seen) and _is_half(finder, makers.get(factor), x):
            half = seen = True
        else:
            return None
        name = node.output[0]
    return name


def _is_half(finder: _Finder, node: Any, x: str) -> bool:
    return (
        node is not None and node.op_type == "Mul" and x in node.input and finder.number(finder.other(node, x)) == 0.5
    )
