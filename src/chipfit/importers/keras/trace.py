"""A Keras model becomes a graph: its recorded calls are followed; code of its own is run on symbolic tensors."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from typing import Any

from chipfit.errors import ChipfitError
from chipfit.graph import DType, Graph, Shape, Value
from chipfit.importers._build import GraphBuilder
from chipfit.importers.keras.functions import FUNCTIONS
from chipfit.importers.keras.layer import BUILD_FIRST, Function, LayerImporter
from chipfit.importers.keras.layers import ADVICE, DEFAULT_ADVICE, LAYERS

_MOST_NESTED = 64
"""Models and layers within each other at most."""


class ModelImporter:
    """Imports a model layer by layer; what cannot be imported is collected by :attr:`builder`."""

    def __init__(self, keras: Any, name: str) -> None:
        self.keras = keras
        self.builder = GraphBuilder(name)
        self.weights: dict[tuple[int, str], Value] = {}
        """Constants of layers that may be called again: (the layer's identity, the part) -> constant."""
        self._depth = 0

    def run(self, model: Any) -> Graph:
        """The graph, verified. Raises ChipfitError O001 or O002 with all layers that cannot be imported."""
        function = self._top(model)
        inputs = [self._input(name, tensor) for name, tensor in _ports(function, "input")]
        outputs = self.follow(function, inputs, "")
        names = [name for name, _ in _ports(function, "output")]
        return self.builder.finish(list(zip(names, outputs, strict=True)))

    @contextmanager
    def building(self, builder: GraphBuilder) -> Generator[None]:
        """Nodes go into another graph meanwhile: one inside of this one."""
        before, self.builder = self.builder, builder
        try:
            yield
        finally:
            self.builder = before

    # ------------------------------------------------------------------------------------------ models

    def _top(self, model: Any) -> Any:
        """The recorded calls of the whole model."""
        function = self._recorded(model)
        if function is not None:
            return function
        if not isinstance(model, self.keras.Model):
            hint = "make it one: keras.Sequential([keras.Input(...), it])"
            raise ChipfitError("F002", f"a {type(model).__name__} is no model of Keras", hint)
        shapes: dict[str, Any] = getattr(model, "_build_shapes_dict", None) or {}
        if isinstance(model, self.keras.Sequential) or not shapes:
            raise ChipfitError("O001", f"'{model.name}' ({type(model).__name__}) has no input shape", BUILD_FIRST)
        names = list(shapes) if len(shapes) > 1 else ["inputs"]
        tensors = [
            self.keras.tree.map_shape_structure(lambda s, n=name: self.keras.Input(s[1:], name=n), shape)
            for name, shape in zip(names, shapes.values(), strict=True)
        ]
        return self._record(model.call, tensors, {})

    def _recorded(self, model: Any) -> Any:
        """The calls that Keras recorded when the model was made of layers; None for a model that is code."""
        if isinstance(model, self.keras.Sequential):
            return getattr(model, "_functional", None)
        is_own = isinstance(model, self.keras.Model) and type(model).call.__module__.split(".")[0] != "keras"
        return model if hasattr(model, "_nodes_by_depth") and not is_own else None

    def _record(self, call: Callable[..., Any], args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
        """The calls that code makes on symbolic tensors. Raises ChipfitError O002 where it cannot be run on them."""
        given = dict(kwargs)
        if "training" in inspect.signature(call).parameters:
            given["training"] = False
        tensors = [t for t in self.keras.tree.flatten((args, kwargs)) if isinstance(t, self.keras.KerasTensor)]
        try:
            return self.keras.Function(tensors, call(*args, **given))
        except ChipfitError:
            raise
        except Exception as error:  # code of the user may raise anything
            reason = str(error).strip().split("\n")[0]
            hint = "its call must be made of Keras layers and keras.ops functions, without branches on numbers"
            raise ChipfitError("O002", f"it cannot be traced: {type(error).__name__}: {reason}", hint) from error

    def _input(self, name: str, tensor: Any) -> Value:
        shape = (1, *tensor.shape[1:])
        if None in shape:
            hint = "make the model with an input of fixed size: keras.Input((height, width, channels))"
            raise ChipfitError("O002", f"input '{name}' has the shape {list(tensor.shape)}: sizes are not known", hint)
        return self.builder.input(name, shape, _dtype(tensor))

    def follow(self, function: Any, inputs: Sequence[Value], scope: str) -> list[Value]:
        """The outputs of recorded calls. ``scope`` is before the names of all layers."""
        self._depth += 1
        if self._depth > _MOST_NESTED:
            raise ChipfitError("O002", f"{_MOST_NESTED} models lie within each other")
        values = {id(tensor): value for tensor, value in zip(function.inputs, inputs, strict=True)}
        by_depth: dict[int, list[Any]] = function._nodes_by_depth
        for node in (n for depth in sorted(by_depth, reverse=True) for n in by_depth[depth] if not n.is_input):
            args, kwargs = self.keras.tree.map_structure(
                lambda a: values.get(id(a), a), (node.arguments.args, node.arguments.kwargs)
            )
            found = self._called(node, list(args), dict(kwargs), scope)
            values.update({id(tensor): value for tensor, value in zip(node.outputs, found, strict=True)})
        self._depth -= 1
        return [values[id(tensor)] for tensor in function.outputs]

    def _called(self, node: Any, args: list[Any], kwargs: dict[str, Any], scope: str) -> list[Value]:
        """The outputs of one call; placeholders where it cannot be imported, which is a problem."""
        layer = node.operation
        try:
            found = self.apply(layer, args, kwargs, scope)
            if len(found) != len(node.outputs):
                raise ChipfitError("O002", f"it has {len(node.outputs)} outputs, {len(found)} can be compiled")
            return found
        except ChipfitError as error:
            inputs = [str(v.type) for v in self.keras.tree.flatten((args, kwargs)) if isinstance(v, Value)]
            where = f"{type(layer).__name__} '{scope}{layer.name}' ({', '.join(inputs) or 'no tensors'})"
            self.builder.problem(where, error, DEFAULT_ADVICE)
            return [self.builder.placeholder(f"{scope}{layer.name}", _fixed(t.shape), _dtype(t)) for t in node.outputs]

    # ------------------------------------------------------------------------------------------ layers

    def apply(self, layer: Any, args: Sequence[Any], kwargs: dict[str, Any], scope: str) -> list[Value]:
        """The outputs of a layer, a function or a model, called with values of the graph."""
        function = self._recorded(layer)
        if function is not None:
            inputs = [v for v in self.keras.tree.flatten((args, kwargs)) if isinstance(v, Value)]
            return self.follow(function, inputs, f"{scope}{layer.name}/")
        make = self._table_entry(layer)
        if make is None:
            if type(layer).__module__.startswith("keras.") and not isinstance(layer, self.keras.layers.Lambda):
                what = "layer" if isinstance(layer, self.keras.layers.Layer) else "function"
                hint = ADVICE.get(type(layer).__name__, DEFAULT_ADVICE)
                raise ChipfitError("O001", f"no {what} that chipfit can compile", hint)
            return self._own_code(layer, args, kwargs, scope)
        if getattr(layer, "quantization_mode", None) is not None:
            hint = "load the float model, and quantize it with chipfit"
            raise ChipfitError("O002", f"its weights are quantized by Keras ({layer.quantization_mode})", hint)
        name = f"{scope}{layer.name}"
        importer = LayerImporter(self, layer, args, kwargs, name, self.builder.reserve(name))
        made = make(importer)
        outputs = made if isinstance(made, list) else [made]
        if len(outputs) == 1 and outputs[0].name.startswith(f"{importer.base}/"):
            self.builder.rename(outputs[0], importer.base)
        return outputs

    def _table_entry(self, layer: Any) -> Function | None:
        """The entry of the class, or of the Keras class that a class of the user's takes its call from."""
        if not isinstance(layer, self.keras.layers.Layer):
            return FUNCTIONS.get(type(layer).__name__) if type(layer).__module__.startswith("keras.") else None
        for kind in type(layer).__mro__:
            if kind.__module__.startswith("keras.") and kind.__name__ in LAYERS:
                return LAYERS[kind.__name__] if type(layer).call is kind.call else None
        return None

    def _own_code(self, layer: Any, args: Sequence[Any], kwargs: dict[str, Any], scope: str) -> list[Value]:
        """A layer or model whose call is code of the user's: what it does to symbolic tensors."""
        if not getattr(layer, "built", True):
            raise ChipfitError("O002", "it has no weights yet", BUILD_FIRST)
        return self.traced(layer.call, args, kwargs, layer.name, scope)

    def traced(
        self, call: Callable[..., Any], args: Sequence[Any], kwargs: dict[str, Any], name: str, scope: str
    ) -> list[Value]:
        """The outputs of code that is called with values of the graph."""
        values = [v for v in self.keras.tree.flatten((args, kwargs)) if isinstance(v, Value)]
        symbolic_args, symbolic_kwargs = self.keras.tree.map_structure(
            lambda a: self._symbolic(a) if isinstance(a, Value) else a, (tuple(args), kwargs)
        )
        return self.follow(self._record(call, symbolic_args, symbolic_kwargs), values, f"{scope}{name}/")

    def _symbolic(self, value: Value) -> Any:
        return self.keras.KerasTensor((None, *value.shape[1:]), value.dtype.value)


def _ports(function: Any, what: str) -> list[tuple[str, Any]]:
    """Names and tensors of the inputs or outputs: the keys of a dictionary, else the names of their layers."""
    struct = getattr(function, f"_{what}s_struct")
    tensors = function.inputs if what == "input" else function.outputs
    if isinstance(struct, dict) and len(struct) == len(tensors):
        keys = {id(tensor): str(key) for key, tensor in struct.items()}
        return [(keys[id(tensor)], tensor) for tensor in tensors]
    return [(str(tensor._keras_history.operation.name), tensor) for tensor in tensors]


def _fixed(shape: Sequence[int | None]) -> Shape:
    """A symbolic shape with 1 for what is not known, the samples first of all."""
    return tuple(1 if size is None else int(size) for size in shape)


def _dtype(tensor: Any) -> DType:
    """The element type of a symbolic tensor; all floats are float32 here."""
    name = str(tensor.dtype)
    if name.startswith(("float", "bfloat")):
        return DType.FLOAT32
    try:
        return DType(name)
    except ValueError:
        raise ChipfitError("O002", f"'{tensor.name}' has elements of the type {name}") from None
