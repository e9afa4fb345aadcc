"""Groups of DEQUANTIZE, a layer on real numbers and QUANTIZE become the layer on integers.

So a model in QDQ form is an integer graph. It is done where every tensor of a layer has stored integers: what goes in
was dequantized, what comes out is quantized (by way of operators that move elements or clamp them), weights are
dequantized constants. Other layers stay on real numbers.
"""

from __future__ import annotations

import contextlib

import numpy as np

from chipfit.errors import ChipfitError
from chipfit.graph import Array, DType, Graph, Node, OpBase, Quant, Shape, TensorType, Value
from chipfit.importers._build import remove_unread
from chipfit.ops import op_of
from chipfit.ops._roles import Act, Bias, Fixed, Role, Shared, Weight
from chipfit.ops.dequantize import Dequantize
from chipfit.ops.quantize import Quantize

_STORED = (DType.INT8, DType.INT16)
_AVERAGING = ("average_pool2d", "resize_bilinear")
"""Operators whose tensors share a scale though they compute numbers in between."""

_CLAMPING = ("relu", "relu6", "relu_n1_to_1", "minimum", "maximum")
_SCALE_OF_ZERO = 1.0

Form = tuple[DType, Quant]


def make_integer(graph: Graph) -> None:
    """Replace such groups, in place."""
    if any(isinstance(node.op, Dequantize) for node in graph.nodes):
        _Rewriter(graph).run()


class _NoFormError(Exception):
    """A layer cannot be computed on the integers that there are."""


class _Rewriter:
    """``ints``: stored integers for values of real numbers; ``same``: values in whose place others stand."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.targets = _targets(graph)
        self.producers = graph.producers()
        self.nodes: list[Node] = []
        self.ints: dict[Value, Value] = {}
        self.same: dict[Value, Value] = {}

    def run(self) -> None:
        graph = self.graph
        for node in graph.nodes:
            node.inputs = [v if v is None else self.same.get(v, v) for v in node.inputs]
            self._visit(node)
        for i, value in enumerate(graph.outputs):
            if value in self.same:
                graph.outputs[i] = self.same[value]
                graph.outputs[i].name = value.name
        graph.nodes = self.nodes
        remove_unread(graph)
        self._name()
        graph.verify()

    def _visit(self, node: Node) -> None:
        if isinstance(node.op, Dequantize):
            x = node["x"]
            if x.dtype in _STORED and x.q.axis is None:
                self.ints[node["y"]] = x
        elif isinstance(node.op, Quantize):
            made = self.ints.get(node["x"])
            if made is not None:
                y = node["y"]
                if made.type == y.type:
                    self.same[y] = made
                    return
                node.inputs = [made]
        else:
            with contextlib.suppress(_NoFormError, ChipfitError):
                self._compute(node)
        self.nodes.append(node)

    # ------------------------------------------------------------------------------------------ one layer

    def _compute(self, node: Node) -> None:
        """Add the integer form of a layer. Raises _NoFormError or ChipfitError where there is none."""
        ports = _ports(node)
        known = [self.ints[v] for v, role in ports if isinstance(role, (Act, Shared)) and v in self.ints]
        if not known:
            raise _NoFormError
        dtype = known[0].dtype
        form = self._output_form(node, known, dtype)
        shared = None if form is None else form[1]
        before: list[Node] = []
        taken = {v: self._operand(node, v, role, dtype, shared, before) for v, role in ports if v.dtype.is_float}
        inputs = [v if v is None else taken.get(v, v) for v in node.inputs]
        op = op_of(node) if form is None else op_of(node).quantized(form[1], dtype)
        outputs = [
            v if form is None else Value(f"{v.name}/{dtype.value}", TensorType(v.shape, dtype, form[1]))
            for v in node.outputs
        ]
        new = Node(op, list(inputs), outputs)
        _set_bias(new)
        op.check(new)
        self.nodes += [*before, new]
        if form is None:
            # what is no real number is the same of both forms: the one on integers makes it
            node.outputs = [Value(f"{v.name}/real", v.type) for v in node.outputs]
        else:
            self.ints.update(zip(node.outputs, outputs, strict=True))

    def _output_form(self, node: Node, known: list[Value], dtype: DType) -> Form | None:
        """Element type and quantization of what comes out; None where that is no real number."""
        y = node.outputs[0]
        if not y.dtype.is_float:
            return None
        role, target = op_of(node).quant.of(op_of(node).outputs[0]), self.targets.get(y)
        if isinstance(role, Fixed):
            quant = role.of(dtype)
            if quant is not None:
                return dtype, quant
        if isinstance(role, Shared):
            quants = {v.q for v in known}
            if node.op.name in _AVERAGING and target is None:
                raise _NoFormError
            if len(quants) == 1:
                return dtype, known[0].q
        if role is None or target is None or target[0] is not dtype:
            raise _NoFormError
        return target

    def _operand(
        self, node: Node, value: Value, role: Role | None, dtype: DType, shared: Quant | None, before: list[Node]
    ) -> Value:
        """The stored integers of an operand."""
        if isinstance(role, Weight):
            producer = self.producers.get(value)
            if producer is None or not isinstance(producer.op, Dequantize) or not producer["x"].is_const:
                raise _NoFormError
            return producer["x"]
        if isinstance(role, Bias):
            return value
        made = self.ints.get(value)
        if made is None:
            if not value.is_const or not isinstance(role, (Act, Shared)):
                raise _NoFormError
            return _stored_number(value, dtype, shared if isinstance(role, Shared) else None)
        if isinstance(role, Shared) and shared is not None and made.q != shared:
            scaled = Value(f"{node.name}/{value.name}", TensorType(made.shape, dtype, shared))
            before.append(Node(Quantize(), [made], [scaled]))
            return scaled
        return made

    # ------------------------------------------------------------------------------------------ names

    def _name(self) -> None:
        """Stored integers are called like the real numbers that they are in place of."""
        ports = {v.name for v in (*self.graph.inputs, *self.graph.outputs)}
        for real, stored in self.ints.items():
            if stored.name.startswith(f"{real.name}/") and stored not in self.graph.outputs and real.name not in ports:
                stored.name = real.name
        seen: set[str] = set(ports)
        for value in self.graph.values():
            if value in self.graph.inputs or value in self.graph.outputs:
                continue
            base, n = value.name, 1
            while value.name in seen:
                value.name, n = f"{base}_{n}", n + 1
            seen.add(value.name)


def _ports(node: Node) -> list[tuple[Value, Role | None]]:
    """Operands with their roles."""
    names: tuple[str, ...] = node.op.inputs
    roles = op_of(node).quant
    return [(v, roles.of(names[min(i, len(names) - 1)])) for i, v in enumerate(node.inputs) if v is not None]


def _passes(op: OpBase, role: Role | None) -> bool:
    """Whether what an operator gives has the scale that is asked of what it takes."""
    return op.name in _CLAMPING or (isinstance(role, Shared) and op.name not in _AVERAGING)


def _targets(graph: Graph) -> dict[Value, Form]:
    """Of values of real numbers: the one quantization that all their readers lead to."""
    found: dict[Value, Form] = {}
    wanted: dict[Value, set[Form | None]] = {value: {None} for value in graph.outputs}
    for node in reversed(graph.nodes):
        for value in node.outputs:
            forms = wanted.get(value, {None})
            only = next(iter(forms))
            if len(forms) == 1 and only is not None:
                found[value] = only
        if isinstance(node.op, Quantize):
            y = node["y"]
            asked: Form | None = (y.dtype, y.q)
        else:
            passing = bool(node.outputs) and _passes(node.op, op_of(node).quant.of(node.op.outputs[0]))
            forms = {found.get(v) for v in node.outputs}
            asked = next(iter(forms)) if passing and len(forms) == 1 else None
        for value in node.operands:
            wanted.setdefault(value, set()).add(asked)
    return found


def _stored_number(value: Value, dtype: DType, shared: Quant | None) -> Value:
    """A constant that is one number, as an integer: exactly, or in a given scale."""
    if value.type.size != 1:
        raise _NoFormError
    number = float(value.array.reshape(-1)[0])
    low, high = dtype.range
    quant = shared or Quant.per_tensor(abs(number) / high or _SCALE_OF_ZERO)
    stored = np.clip(np.rint(number / quant.s) + quant.zp, low, high)
    return _constant(value.name, value.shape, dtype, quant, stored)


def _constant(name: str, shape: Shape, dtype: DType, quant: Quant, stored: Array | float) -> Value:
    return Value(name, TensorType(shape, dtype, quant), np.broadcast_to(stored, shape).astype(dtype.numpy))


def _set_bias(node: Node) -> None:
    """The bias in units of the products of the input's scale and the weights'."""
    ports = [isinstance(role, Bias) for _, role in _ports(node)]
    if True not in ports:
        return
    i = ports.index(True)
    x, w, b = node["x"], node["w"], node.inputs[i]
    if b is None or not b.is_const:
        raise _NoFormError
    dtype = DType.INT64 if x.dtype is DType.INT16 else DType.INT32
    scales = np.asarray(w.q.scales(b.type.size), np.float64) * x.q.s
    kept = tuple(float(np.float32(s)) for s in (scales if w.q.axis is not None else scales[:1]))
    quant = Quant(kept, (0,) * len(kept), 0 if w.q.axis is not None else None)
    low, high = DType.INT32.range
    stored = np.clip(np.rint(b.array.astype(np.float64) / scales), low, high)
    node.inputs[i] = _constant(b.name, b.shape, dtype, quant, stored)
