"""The integers of a graph that learns: the quantizer itself decides them, from the weights and ranges of the moment.

What a fake quantized model computes with is read from the integer graph that :mod:`chipfit.quantize` makes. So the
integers that it learns with are those that are exported.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from chipfit.errors import ChipfitError
from chipfit.graph import Array, DType, Graph, Node, Quant, TensorType, Value
from chipfit.ops._activation import activation_range
from chipfit.ops._add import AddLike
from chipfit.ops._lookup import lookup_table
from chipfit.ops._reduce import ReduceSum
from chipfit.ops._roles import Act
from chipfit.ops._window import output_multipliers
from chipfit.ops.mul import Mul, multiplier
from chipfit.ops.pad import Pad
from chipfit.quantize import Range, Recipe, Samples
from chipfit.quantize.apply import Integer, convert_edges, round_weights, set_bias, set_weights
from chipfit.quantize.batch import by_table
from chipfit.quantize.layers import LAYERS, Layer
from chipfit.quantize.loops import integer_graph
from chipfit.quantize.parameters import Parameters, along, quantize_weights
from chipfit.quantize.prepare import ports_of, require_float
from chipfit.quantize.run import equalized_ranges, folded
from chipfit.trainable.rounding import factors, in_parts

Key = tuple[str, str]
"""A node or tensor by its name, and which number of it."""

Numbers = dict[Key, Array]


@dataclass
class Grids:
    """``graph``: floats, as :func:`prepared` leaves them; ``ranges``: of its tensors, by name, at the beginning.

    ``fixed``: quantization of tensors that stays, whatever their ranges; ``weights``: of constants. Both by name.
    """

    graph: Graph
    ranges: dict[str, Range]
    recipe: Recipe = field(default_factory=lambda: Recipe())
    fixed: Mapping[str, Quant] = field(default_factory=dict[str, Quant])
    weights: Mapping[str, Quant] = field(default_factory=dict[str, Quant])

    def __post_init__(self) -> None:
        self._work = self.graph.copy()
        self._values = {v.name: v for v in self._work.values()}
        self._given = {self._values[name]: quant for name, quant in self.fixed.items() if name in self._values}
        integer, found = self._made({}, self.ranges)
        integer.graph.verify()  # what operators refuse of these ranges, they refuse before anything learns
        if any(width is not DType.INT8 for _, width in found.quants):
            raise ChipfitError("Q004", "tensors of int16 cannot be learned with", "a recipe of mode int8")

    def observed(self) -> list[str]:
        """Names of the tensors whose ranges decide something: those that an operator computes anew."""
        return [
            value.name
            for node in self.graph.nodes
            for value, role in ports_of(node)
            if value in node.outputs and isinstance(role, Act) and value.name not in self.fixed
        ]

    def numbers(self, constants: Mapping[str, Array], ranges: Mapping[str, Range]) -> Numbers:
        """All numbers of the integer arithmetic, float32, in an order that is always the same."""
        self._last, found = self._made(constants, ranges)
        made: Numbers = {}
        for (value, _), quant in found.quants.items():
            made[value.name, "grid"] = np.array([quant.s, quant.zp], np.float32)
        makers = self._last.graph.producers()
        for new, node in self._last.origin.items():
            for value, read in zip(node.operands, new.operands, strict=False):
                if (node, value) in found.rescaled:
                    made[node.name, f"rescaled {value.name}"] = np.array([read.q.s, read.q.zp], np.float32)
                    made[node.name, f"table of {value.name}"] = _table(makers[read])
            _add(made, node, new)
        return made

    @property
    def last(self) -> Graph:
        """The integer graph of the last numbers, whose inputs and outputs are int8. It is changed with the next."""
        return self._last.graph

    def of_layers(self, constants: Mapping[str, Array]) -> Numbers:
        """Those of :meth:`numbers` that depend on constants, if ranges are still those that it got."""
        self._assign(constants)
        made: Numbers = {}
        for new, node in self._last.origin.items():
            if isinstance(node.op, LAYERS):
                self._round(node, new)
                _add_layer(made, node.name, new)
        return made

    def integer(self, constants: Mapping[str, Array], ranges: Mapping[str, Range]) -> Graph:
        """The graph that is deployed."""
        integer, _ = self._made(constants, ranges)
        convert_edges(integer.graph, self.recipe)
        integer.graph.verify()
        return integer.graph.copy()

    def _made(self, constants: Mapping[str, Array], ranges: Mapping[str, Range]) -> tuple[Integer, Parameters]:
        self._assign(constants)
        whole = {**self.ranges, **ranges}
        named = {v: whole[name] for name, v in self._values.items() if name in whole}
        integer, found = integer_graph(self._work, named, self.recipe, (), given=self._given)
        for new, node in integer.origin.items():
            if isinstance(node.op, LAYERS) and node["w"].name in self.weights:
                self._round(node, new)
        return integer, found

    def _assign(self, constants: Mapping[str, Array]) -> None:
        for name, array in constants.items():
            self._values[name].data = array

    def _round(self, node: Node, new: Node) -> None:
        """Weights and bias of a layer anew."""
        quant = self.weights.get(node["w"].name)
        if quant is None:
            round_weights(node, new, self.recipe)
        else:
            new["w"].type = TensorType(node["w"].shape, DType.INT8, quant)
            set_weights(new, quantize_weights(node["w"].array, quant))
        set_bias(new, Layer(node).bias)


def prepared(graph: Graph, samples: Samples, recipe: Recipe, weights: Mapping[str, Quant] | None = None) -> Grids:
    """The ranges that ``chipfit quantize`` would take, and the graph as it would change it before.

    ``weights``: see :class:`Grids`; the recipe must not equalize then, which would change what they are about.
    Raises ChipfitError Q004 for a graph that cannot be quantized, Q002 for samples that make it infinite.
    """
    base = graph.copy()
    require_float(base)
    folded(base)
    return Grids(base, equalized_ranges(base, samples, recipe)[0], recipe, weights=weights or {})


def _add(made: Numbers, node: Node, new: Node) -> None:
    """``new``: the integer form of a float node."""
    name, y = node.name, new.outputs[0]
    act = new.op.attributes().get("act", "none")
    low, high = activation_range(act, y.dtype, y.q)
    made[name, "limits"] = np.array([low - y.q.zp, high - y.q.zp], np.float32)
    if isinstance(node.op, LAYERS):
        _add_layer(made, name, new)
    elif by_table(new):
        made[name, "table"] = _table(new)
    elif isinstance(new.op, ReduceSum):
        _add_multiplier(made, name, *new.op.multiplier(new))
    elif isinstance(new.op, Mul):
        _add_multiplier(made, name, *multiplier(new))
    elif isinstance(new.op, AddLike):
        numbers = new.op.rescale(new)
        for port, by in {"a": numbers.a, "b": numbers.b, "y": numbers.y}.items():
            made[name, port] = factors(*by)
    elif isinstance(new.op, Pad):
        made[name, "fill"] = np.array([new.op.element(new) - y.q.zp], np.float32)


def _table(new: Node) -> Array:
    """What becomes of each element less its zero point; by the stored one, from the least on, not by its byte."""
    stored = np.arange(-128, 128).astype(np.int8).view(np.uint8)
    return lookup_table(new)[stored].astype(np.float32) - new.outputs[0].q.zp


def _add_layer(made: Numbers, name: str, new: Node) -> None:
    x, w, y, b = new["x"], new["w"], new["y"], new["b"]
    made[name, "w"] = w.array.astype(np.float32)
    made[name, "b"] = in_parts(b.array)
    made[name, "w scales"] = np.broadcast_to(along(w.q, len(w.shape)), _scales_shape(w)).astype(np.float32)
    made[name, "b scales"] = np.array(b.q.scales(b.shape[0]), np.float32)
    _add_multiplier(made, name, *output_multipliers(x, w, y, b.shape[0]))


def _scales_shape(w: Value) -> tuple[int, ...]:
    """Of scales that broadcast against weights."""
    return tuple(size if axis == w.q.axis else 1 for axis, size in enumerate(w.shape))


def _add_multiplier(made: Numbers, name: str, m: Array | int, shift: Array | int) -> None:
    """Exactly, and as the real number that it is."""
    made[name, "factors"] = factors(m, shift)
    made[name, "factor"] = np.atleast_1d(np.ldexp(np.asarray(m, np.float64), np.asarray(shift) - 31)).astype(np.float32)
