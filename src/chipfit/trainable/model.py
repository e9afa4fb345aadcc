"""A float graph as a Keras model: its weights and biases are variables, all else is what the graph says."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

import numpy as np

from chipfit.errors import ChipfitError
from chipfit.graph import Array, Graph, Node, Value
from chipfit.quantize.prepare import require_float
from chipfit.trainable.forms import LAYERS, activated, apply, layer_sums, require_forms
from chipfit.trainable.weights import Plain, Weight
from chipfit.training.numbers import Standard

Says = Literal["probabilities", "log_probabilities", "logits", "sigmoids", "numbers"]
"""What the output of a graph is."""

_HEADS: dict[str, Says] = {"softmax": "probabilities", "log_softmax": "log_probabilities", "logistic": "sigmoids"}


class Extra(Protocol):
    """A second thing to learn from, beside the labels.

    The loss of a batch is ``hard`` times that of the labels, plus the mean of what :meth:`loss` gives.
    """

    hard: float
    reads: tuple[str, ...]
    """Names of the tensors of the graph that it looks at; the output before its softmax is ``logits`` by
    :func:`logits_of`."""
    layers: Sequence[Any]
    """Keras layers that learn with the network and are thrown away: projections of features."""

    def targets(self, x: Array) -> Mapping[str, Array]:
        """What the tensors should be: arrays of n samples each, by any names, computed in numpy. ``x``: (n, h, w, c),
        float32, as the network gets it, augmented."""
        ...

    def loss(self, k: Any, seen: Mapping[str, Any], targets: Mapping[str, Any]) -> Any:
        """(n,). ``k``: ``keras.ops``; ``seen``: real numbers of the tensors that it ``reads``, (n, *shape)."""
        ...


class Arithmetic:
    """In which numbers a model computes: float32, as the graph is. Subclasses compute otherwise; a tensor in their
    numbers is a form of a tensor of the graph."""

    def build(self, owner: Any, net: Net) -> None:
        """Make the variables that it needs. ``owner``: the Keras layer that they belong to."""

    def epoch(self, number: int) -> None:
        """Before each epoch; the first one is 1."""

    def refresh(self, learns: bool) -> None:
        """Before each batch: what follows from weights that have changed. ``learns``: they do so with it."""

    def deployed(self, x: Array) -> Array | None:
        """What the network puts out as it is deployed, real numbers, (n, *shape); None: as it learns.

        ``x``: (n, *shape of a sample), float32.
        """
        return None

    def kept(self) -> dict[str, Array]:
        """What is kept of the best epoch beside the constants, by names that no constant has."""
        return {}

    def begin(self, k: Any, training: bool) -> None:
        """Before a batch goes through. ``k``: ``keras.ops``."""

    def end(self, k: Any, training: bool) -> None:
        """After it."""

    def enter(self, k: Any, value: Value, x: Any) -> Any:
        """An input or a constant, of real numbers."""
        return x

    def layer(self, k: Any, node: Node, x: Any, w: Any, b: Any) -> Any:
        """``w``, ``b``: as the graph has them, real numbers; ``b`` may be None."""
        y = layer_sums(k, node, x, w)
        return activated(k, node, y if b is None else y + b)

    def other(self, keras: Any, node: Node, operands: list[Any]) -> list[Any]:
        """The outputs of a node without weights. ``operands``: None for indices."""
        return apply(keras, node, operands)

    def real(self, k: Any, value: Value, x: Any) -> Any:
        """As real numbers."""
        return x


@dataclass
class Net:
    """A graph that learns. ``weights``: forms of constants by their names; the weights and biases of layers that are
    not named are :class:`~chipfit.trainable.weights.Plain`, other constants stay as they are.

    Raises ChipfitError N005 for operators without a gradient, Q004 for a graph that is not of floats, U001 for names
    that no layer's weights have.
    """

    graph: Graph
    weights: Mapping[str, Weight] = field(default_factory=dict[str, Weight])
    arithmetic: Arithmetic = field(default_factory=Arithmetic)

    def __post_init__(self) -> None:
        require_float(self.graph)
        require_forms(self.graph)
        if len(self.graph.inputs) != 1 or self.graph.outputs[0].is_const:
            names = ", ".join(v.name for v in self.graph.inputs)
            raise ChipfitError(
                "N005", f"'{self.graph.name}' has the inputs {names}", "one input, of pictures, can learn"
            )
        learned = list(learnable(self.graph))
        unknown = sorted(self.weights.keys() - {v.name for v in learned})
        if unknown:
            raise ChipfitError("U001", f"no layer has weights named {', '.join(unknown)}")
        self.forms: dict[Value, Weight] = {v: self.weights.get(v.name) or Plain() for v in learned}

    def build(self, owner: Any) -> None:
        """Make all variables. ``owner``: the Keras layer that they belong to."""
        for value, form in self.forms.items():
            form.build(owner, value.name, value.array)
        self.arithmetic.build(owner, self)

    def run(self, keras: Any, x: Any, wanted: Sequence[Value], training: bool) -> list[Any]:
        """Real numbers of the wanted tensors, (n, *shape). ``x``: (n, *shape of a sample)."""
        k, numbers = keras.ops, self.arithmetic
        known: dict[Value, Any] = {}
        numbers.begin(k, training)
        source = self.graph.inputs[0]
        known[source] = numbers.enter(k, source, k.reshape(x, (-1, *source.shape)))
        for node in self.graph.nodes:
            if isinstance(node.op, LAYERS):
                w, b = (None if v is None else self.forms[v].value(k) for v in (node["w"], node.get("b")))
                known[node.outputs[0]] = numbers.layer(k, node, known[node["x"]], w, b)
                continue
            operands = [self._operand(k, v, known) for v in node.operands]
            known.update(zip(node.outputs, numbers.other(keras, node, operands), strict=True))
        numbers.end(k, training)
        return [numbers.real(k, v, known[v]) for v in wanted]

    def _operand(self, k: Any, value: Value, known: Mapping[Value, Any]) -> Any:
        if not value.is_const:
            return known[value]
        if not value.dtype.is_float:
            return None
        return self.arithmetic.enter(k, value, k.convert_to_tensor(value.array[None]))

    def learned(self) -> Graph:
        """The graph with what its constants have become."""
        arrays = {value.name: form.array() for value, form in self.forms.items()}
        return with_constants(self.graph, arrays)


def learnable(graph: Graph) -> list[Value]:
    """The constants that are weights and biases of layers, each once."""
    layers = [n for n in graph.nodes if isinstance(n.op, LAYERS)]
    return list(dict.fromkeys(v for n in layers for v in (n["w"], n.get("b")) if v is not None))


def with_constants(graph: Graph, arrays: Mapping[str, Array]) -> Graph:
    """A copy with other elements in some constants, by their names."""
    changed = graph.copy()
    for value in changed.values():
        if value.name in arrays:
            assert value.is_const
            value.data = np.ascontiguousarray(arrays[value.name], value.dtype.numpy).reshape(value.shape)
    return changed


def output_of(graph: Graph) -> tuple[Value, Says]:
    """The first output, or what it is a softmax, a log-softmax or a sigmoid of; and which of them it is."""
    value = graph.outputs[0]
    producers = graph.producers()
    node = producers.get(value)
    while node is not None and node.op.name in ("reshape", "squeeze", "expand_dims"):
        node = producers.get(node["x"])
    if node is None or node.op.name not in _HEADS or node.op.attributes().get("beta", 1.0) != 1.0:
        return value, "logits"
    return node["x"], _HEADS[node.op.name]


def logits_of(graph: Graph) -> str:
    """The name of the tensor whose softmax the network's answer is."""
    return output_of(graph)[0].name


@dataclass(frozen=True)
class Aim:
    """What a network learns. ``says``: what its output is; ``standard``: of its numbers, None: they are learned as they
    are."""

    says: Says
    standard: Standard | None = None

    def loss(self, k: Any, raw: Any, y: Any) -> Any:
        """(n,), nats or squares. ``raw``: the output before its softmax or sigmoid, (n, outputs); ``y``: targets."""
        if self.says == "numbers":
            return k.mean(k.square(self._standardised(raw, k.convert_to_tensor) - y), axis=-1)
        if self.says == "sigmoids":
            return k.sum(k.softplus(raw) - raw * y, axis=-1)
        return -k.sum(y * k.log_softmax(raw, axis=-1), axis=-1)

    def _standardised(self, x: Any, made: Callable[[Array], Any]) -> Any:
        """``made``: an array in the form that ``x`` has."""
        if self.standard is None:
            return x
        return (x - made(self.standard.mean.astype(np.float32))) / made(self.standard.deviation.astype(np.float32))

    def outputs(self, y: Array) -> Array:
        """Of what the network puts out, (n, outputs): probabilities, or standardised numbers."""
        y = y.astype(np.float64)
        if self.says == "logits":
            exps = np.exp(y - y.max(axis=1, keepdims=True))
            return exps / exps.sum(axis=1, keepdims=True)
        if self.says == "log_probabilities":
            return np.exp(y)
        return self._standardised(y, np.asarray) if self.says == "numbers" else y
