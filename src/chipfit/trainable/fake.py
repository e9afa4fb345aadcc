"""Fake quantization: the integers of the chip, with the gradients of real numbers.

While it learns, a tensor is held as its stored integers less their zero point, which float32 holds exactly; sums of
products are exact below 2**24, and are scaled in float64 as the kernels do. Operators that have no such form here
(softmax, log-softmax, div, squared difference, prelu, batch matmul) round what float32 computes. Backwards, rounding is
no step (straight-through), and what was clamped learns nothing.

It is judged by the integer graph itself, computed by the reference.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from chipfit.graph import Array, DType, Graph, Node, Value
from chipfit.ops._add import AddLike
from chipfit.ops._add_integers import LEFT_SHIFT
from chipfit.ops._reduce import ReduceSum
from chipfit.ops._roles import Shared
from chipfit.ops.average_pool2d import AveragePool2D
from chipfit.ops.mul import Mul
from chipfit.ops.pad import Pad
from chipfit.ops.resize_bilinear import ResizeBilinear
from chipfit.quantize import Range
from chipfit.quantize.calibrate import trace
from chipfit.quantize.parameters import dequantize_array, quantize_array
from chipfit.quantize.prepare import ports_of
from chipfit.trainable.forms import BOUNDS, aligned, apply, bilinear_sums, layer_sums, pool_counts
from chipfit.trainable.grid import Grids, Key
from chipfit.trainable.model import Arithmetic, Net
from chipfit.trainable.rounding import divided, joined, multiplied, whole
from chipfit.trainable.weights import add_variable, numpy_of

_BATCHES = 8
"""After so many the grids of activations follow their ranges."""

_KEPT = "range of "
"""Before a tensor's name: what is kept of the best epoch."""


class Fake(Arithmetic):
    """``grids``: of the graph that learns. Ranges follow the least and greatest elements of each batch, ``follow`` of
    the way, through the first ``settle`` epochs, and stay then."""

    def __init__(self, grids: Grids, settle: int, follow: float = 0.02) -> None:
        self.grids, self._settle, self._follow = grids, settle, follow
        self._observed = grids.observed()
        self._index = set(self._observed)

    def build(self, owner: Any, net: Net) -> None:
        self._net = net
        start = [(r.low, r.high) for r in (self.grids.ranges[name] for name in self._observed)]
        self._ends = add_variable(owner, "ranges", np.array(start).reshape(-1, 2), learns=False)
        self._rate = add_variable(owner, "follow", np.array(self._follow), learns=False)
        self._layout: dict[Key, tuple[int, tuple[int, ...]]] = {}
        at = 0
        for key, array in self._numbers().items():
            self._layout[key] = (at, array.shape)
            at += array.size
        self._flat = np.zeros(at, np.float32)
        self._all = add_variable(owner, "integers", self._flat, learns=False)
        self._batches, self._is_stale = 0, True
        self.refresh(False)

    def epoch(self, number: int) -> None:
        self._batches = 0
        self._rate.assign(self._follow if number <= self._settle else 0.0)

    def refresh(self, learns: bool) -> None:
        """While it learns, grids follow the ranges every few batches: they move slowly."""
        if not (learns or self._is_stale):
            return
        is_whole = not learns or self._batches % _BATCHES == 0
        self._batches, self._is_stale = self._batches + learns, learns
        for key, array in (self._numbers() if is_whole else self.grids.of_layers(self._constants())).items():
            at, _ = self._layout[key]
            self._flat[at : at + array.size] = array.reshape(-1)
        self._all.assign(self._flat)

    def deployed(self, x: Array) -> Array:
        self.refresh(False)
        graph = self.grids.last
        (source,), target = graph.inputs, graph.outputs[0]
        stored = quantize_array(x.reshape(-1, *source.shape), source.q)
        return dequantize_array(next(y for value, y in trace(graph, (stored,)) if value is target), target.q)

    def kept(self) -> dict[str, Array]:
        return {f"{_KEPT}{name}": ends for name, ends in zip(self._observed, numpy_of(self._ends), strict=True)}

    def integer(self, arrays: Mapping[str, Array]) -> Graph:
        """The integer graph of constants and ranges that were kept."""
        ranges = {n.removeprefix(_KEPT): Range(*map(float, a)) for n, a in arrays.items() if n.startswith(_KEPT)}
        return self.grids.integer({n: a for n, a in arrays.items() if not n.startswith(_KEPT)}, ranges)

    def _constants(self) -> dict[str, Array]:
        return {v.name: form.array() for v, form in self._net.forms.items()}

    def _numbers(self) -> dict[Key, Array]:
        ends = numpy_of(self._ends)
        ranges = {name: Range(float(a), float(b)) for name, (a, b) in zip(self._observed, ends, strict=True)}
        return self.grids.numbers(self._constants(), ranges)

    # ------------------------------------------------------------------------------------------ forwards

    def begin(self, k: Any, training: bool) -> None:
        self._k, self._learns = k, training
        self._seen: dict[str, Any] = {}

    def end(self, k: Any, training: bool) -> None:
        if training and self._seen:
            now = k.stack([self._seen[name] for name in self._observed])
            self._ends.assign(self._ends + self._rate * (now - self._ends))

    def enter(self, k: Any, value: Value, x: Any) -> Any:
        scale, zero = self._grid(value)
        return k.clip(k.round(x / scale) + zero, -128.0, 127.0) - zero

    def layer(self, k: Any, node: Node, x: Any, w: Any, b: Any) -> Any:
        name = node.name
        sums = layer_sums(k, node, x, self._through(w / self._get(name, "w scales"), self._get(name, "w")))
        bias = joined(k, self._get(name, "b"))
        exact = whole(k, sums) + bias
        if b is not None:
            sums = sums + self._through(b / self._get(name, "b scales"), k.cast(bias, "float32"))
        return self._scaled(k, node, sums, exact)

    def other(self, keras: Any, node: Node, operands: list[Any]) -> list[Any]:
        k, name = keras.ops, node.name
        given = [self._operand(k, node, v, x) for v, x in zip(node.operands, operands, strict=True)]
        if (name, "table") in self._layout:
            return [self._looked_up(keras, node, given)]
        if any(isinstance(role, Shared) for value, role in ports_of(node) if value in node.outputs):
            return self._copied(keras, node, given)
        if isinstance(node.op, ReduceSum):
            sums = k.sum(given[0], axis=tuple(a + 1 for a in node.op.axes), keepdims=node.op.keep_dims)
            return [self._scaled(k, node, sums, whole(k, sums))]
        if isinstance(node.op, Mul):
            (product,) = apply(keras, node, given, clamped=False)
            return [self._scaled(k, node, product, whole(k, product))]
        (real,) = apply(keras, node, self._reals(node, given))
        steps = self._steps(k, node, real)
        if isinstance(node.op, AddLike):
            return [self._through(steps, self._added(k, node, node.op.sign, given))]
        rounded = k.cast(divided(k, whole(k, steps), 1.0), "float32")
        return [self._through(steps, self._limited(k, node, rounded))]

    def real(self, k: Any, value: Value, x: Any) -> Any:
        return x * self._grid(value)[0]

    # ------------------------------------------------------------------------------------------ parts

    def _get(self, name: str, what: str) -> Any:
        at, shape = self._layout[name, what]
        return self._k.reshape(self._all[at : at + math.prod(shape)], shape)

    def _through(self, soft: Any, hard: Any) -> Any:
        """``hard``, to the last bit, with the gradient of ``soft``."""
        return hard + (soft - self._k.stop_gradient(soft)) if self._learns else hard

    def _grid(self, value: Value) -> tuple[Any, Any]:
        """Scale and zero point."""
        grid = self._get(value.name, "grid")
        return grid[0], grid[1]

    def _reals(self, node: Node, operands: list[Any]) -> list[Any]:
        return [self._real_operand(node, v, x) for v, x in zip(node.operands, operands, strict=True)]

    def _real_operand(self, node: Node, value: Value, x: Any) -> Any:
        return x * (self._rescaled(node, value) or self._grid(value))[0]

    def _rescaled(self, node: Node, value: Value) -> tuple[Any, Any] | None:
        key = f"rescaled {value.name}"
        if (node.name, key) not in self._layout:
            return None
        grid = self._get(node.name, key)
        return grid[0], grid[1]

    def _operand(self, k: Any, node: Node, value: Value, x: Any) -> Any:
        """On the grid that the node reads it on."""
        other = self._rescaled(node, value)
        if other is None:
            return x
        steps = x * (self._grid(value)[0] / other[0])
        return self._through(steps, self._found(k, value, x, self._get(node.name, f"table of {value.name}")))

    def _scaled(self, k: Any, node: Node, sums: Any, exact: Any) -> Any:
        """Sums as outputs. ``exact``: the same, whole, in float64."""
        steps = sums * self._get(node.name, "factor")
        self._observe(k, node, steps)
        rounded = multiplied(k, exact, self._get(node.name, "factors"))
        return self._through(self._limited(k, node, steps), self._limited(k, node, k.cast(rounded, "float32")))

    def _added(self, k: Any, node: Node, sign: int, operands: list[Any]) -> Any:
        """Both operands on one scale, with more bits, and their sum rescaled: see ``ops/_add_integers.py``."""
        a, b = (whole(k, x) * 2.0 ** LEFT_SHIFT[DType.INT8] for x in aligned(k, node, operands))
        a, b = (multiplied(k, x, self._get(node.name, port), is_wide=True) for port, x in (("a", a), ("b", b)))
        total = multiplied(k, a + sign * b, self._get(node.name, "y"), is_wide=True)
        return self._limited(k, node, k.cast(total, "float32"))

    def _steps(self, k: Any, node: Node, real: Any) -> Any:
        """Real numbers in steps of the output, clamped."""
        steps = real / self._grid(node.outputs[0])[0]
        self._observe(k, node, steps)
        return self._limited(k, node, steps)

    def _looked_up(self, keras: Any, node: Node, operands: list[Any]) -> Any:
        k = keras.ops
        (real,) = apply(keras, node, self._reals(node, operands))
        value, x = next((v, x) for v, x in zip(node.operands, operands, strict=True) if not v.is_const)
        found = self._found(k, value, x, self._get(node.name, "table"))
        return self._through(self._steps(k, node, real), k.reshape(found, (-1, *node.outputs[0].shape)))

    def _found(self, k: Any, value: Value, x: Any, table: Any) -> Any:
        """``table``: of each stored element of a tensor, from the least on."""
        return k.take(table, k.cast(x + (self._grid(value)[1] + 128.0), "int32"))

    def _copied(self, keras: Any, node: Node, operands: list[Any]) -> list[Any]:
        """Operators that move or compare stored integers, and those that average them."""
        k, op = keras.ops, node.op
        if isinstance(op, Pad):
            fill = self._get(node.name, "fill")
            return [apply(keras, Node(Pad(op.pads), node.inputs, node.outputs), [operands[0] - fill])[0] + fill]
        made = apply(keras, node, operands, clamped=False)
        if isinstance(op, AveragePool2D | ResizeBilinear):
            made = [self._through(made[0], self._averaged(k, node, operands[0], made[0]))]
        return [self._limited(k, node, y) for y in made] if "act" in op.attributes() else made

    def _averaged(self, k: Any, node: Node, x: Any, mean: Any) -> Any:
        """``mean``: as float32 has it. What is rounded are averages of stored elements."""
        zero = k.cast(self._grid(node.outputs[0])[1], "float64")
        if isinstance(node.op, ResizeBilinear):
            stored = divided(k, bilinear_sums(k, node, whole(k, x) + zero), 2.0**20)
        else:
            counts = k.convert_to_tensor(pool_counts(node), "float64")
            stored = divided(k, k.round(whole(k, mean) * counts) + zero * counts, counts)
        return k.cast(stored - zero, "float32")

    def _limited(self, k: Any, node: Node, x: Any) -> Any:
        limits = self._get(node.name, "limits")
        return k.clip(x, limits[0], limits[1])

    def _observe(self, k: Any, node: Node, steps: Any) -> None:
        """The least and the greatest real number of an output, behind a fused activation."""
        value = node.outputs[0]
        if not self._learns or value.name not in self._index:
            return
        scale = self._grid(value)[0]
        low, high = (k.stop_gradient(end(steps)) * scale for end in (k.min, k.max))
        self._seen[value.name] = k.clip(k.stack([low, high]), *BOUNDS[node.op.attributes().get("act", "none")])
