"""One layer while it is imported: its inputs, configuration and weights, and the nodes that it becomes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from chipfit.errors import ChipfitError
from chipfit.graph import Array, DType, Value

if TYPE_CHECKING:
    from chipfit.importers.keras.trace import ModelImporter


BUILD_FIRST = "build the model: begin it with keras.Input, or call it once on a sample"


class LayerImporter:
    """What an entry of the tables of layers and functions works with.

    ``layer``: a Keras layer, or an operation of ``keras.ops``. ``args`` and ``kwargs``: those of the call, with values
    of the graph in place of symbolic tensors. Nodes are named ``<base>/<op>``; the last one becomes ``base``.
    """

    def __init__(
        self, model: ModelImporter, layer: Any, args: Sequence[Any], kwargs: dict[str, Any], name: str, base: str
    ) -> None:
        self.model, self.layer, self.args, self.kwargs, self.base = model, layer, args, kwargs, base
        self._name = name

    # ------------------------------------------------------------------------------------------ what is there

    @property
    def inputs(self) -> list[Value]:
        """The tensors of the first argument: one, or those of a list."""
        first = self.args[0] if self.args else next(iter(self.kwargs.values()))
        found = list(first) if isinstance(first, (list, tuple)) else [first]
        return [self.tensor(v) for v in found]

    @property
    def x(self) -> Value:
        """The only input."""
        inputs = self.inputs
        if len(inputs) != 1:
            raise ChipfitError("O002", f"it is called with {len(inputs)} tensors, one is expected")
        return inputs[0]

    def argument(self, position: int, name: str, default: Any = None) -> Any:
        """An argument of the call of a function: a tensor, a number, a shape ..."""
        if position < len(self.args):
            return self.args[position]
        return self.kwargs.get(name, getattr(self.layer, name, default))

    def tensor(self, item: Any) -> Value:
        """A value of the graph, or the constant that an argument is: a number, an array, a Keras variable."""
        return item if isinstance(item, Value) else self.constant("constant", self.array(item))

    def array(self, item: Any) -> Array:
        """The elements of a Keras variable or array of any backend."""
        try:
            data = np.asarray(self.model.keras.ops.convert_to_numpy(item))
        except (TypeError, ValueError, AttributeError):
            raise ChipfitError("O002", f"an argument is a {type(item).__name__}, not an array") from None
        # numbers that Python or a framework holds in 64 bits, as those of the model
        return data.astype({"f": np.float32, "i": np.int32}.get(data.dtype.kind, data.dtype))

    def refuse(self, attribute: str, hint: str = "") -> ChipfitError:
        """The error for an attribute that the layer cannot have, with its setting."""
        return ChipfitError("O002", f"{attribute}={getattr(self.layer, attribute, None)!r} cannot be compiled", hint)

    # ------------------------------------------------------------------------------------------ what is made

    def constant(self, part: str, data: Array) -> Value:
        """A constant of this layer; integers stay integers, the rest is float32."""
        return self.model.builder.constant(f"{self._name}/{part}", data)

    def number(self, part: str, number: float) -> Value:
        """A constant of one real number, of shape (1)."""
        return self.constant(part, np.array([number], np.float32))

    def weight(self, part: str, make: Callable[[], Array]) -> Value:
        """A constant made of the layer's variables; once, however often the layer is called."""
        key = (id(self.layer), part)
        if key not in self.model.weights:
            self.model.weights[key] = self.constant(part, make())
        return self.model.weights[key]

    def variable(self, attribute: str) -> Array:
        """The elements of one of the layer's variables, float32. Raises ChipfitError O002 where it has none."""
        variable = getattr(self.layer, attribute, None)
        if variable is None:
            raise ChipfitError("O002", f"it has no {attribute} yet", BUILD_FIRST)
        return self.array(variable).astype(np.float32)

    def emit(self, op: str, inputs: Sequence[Value | None], dtype: DType | None = None, **attributes: Any) -> Value:
        """The output of a new node of an operator of chipfit."""
        return self.model.builder.node(op, inputs, f"{self.base}/{op}", dtype, **attributes)

    def emit_all(self, op: str, inputs: Sequence[Value], count: int, **attributes: Any) -> list[Value]:
        """The outputs of a new node with several."""
        names = [f"{self.base}/{i}" for i in range(count)]
        return self.model.builder.nodes(op, inputs, names, **attributes)

    def transpose(self, x: Value, perm: Sequence[int]) -> Value:
        return self.model.builder.transpose(x, perm, f"{self.base}/transpose")

    def reshape(self, x: Value, shape: Sequence[int]) -> Value:
        return self.model.builder.reshape(x, shape, f"{self.base}/reshape")

    def real(self, x: Value) -> Value:
        """x as float32, as layers cast what they are given."""
        return self.cast(x, DType.FLOAT32)

    def cast(self, x: Value, dtype: DType) -> Value:
        return self.model.builder.cast(x, dtype, f"{self.base}/cast")

    def apply(self, layer: Any, *inputs: Value) -> Value:
        """The output of another layer, one that this layer holds."""
        outputs = self.model.apply(layer, inputs, {}, f"{self._name}/")
        if len(outputs) != 1:
            raise ChipfitError("O002", f"'{layer.name}' in it has {len(outputs)} outputs")
        return outputs[0]

    # ------------------------------------------------------------------------------------------ axes

    def axis(self, axis: int, rank: int) -> int:
        """An axis counted from the front. Raises ChipfitError O002 where there is none."""
        if not -rank <= axis < rank:
            raise ChipfitError("O002", f"there is no axis {axis} among {rank}")
        return axis % rank

    @property
    def channels_first(self) -> bool:
        return getattr(self.layer, "data_format", None) == "channels_first"

    def channels_last(self, x: Value, function: Callable[[Value], Value]) -> Value:
        """The function of x, in whose calls channels are last; x and the result are as the layer has them."""
        return self.along_last(x, 1, function) if self.channels_first else function(x)

    def along_last(self, x: Value, axis: int, function: Callable[[Value], Value]) -> Value:
        """The function of x with this axis moved to the end; the result has it back in its place."""
        rank = len(x.shape)
        axis = self.axis(axis, rank)
        there = [*(i for i in range(rank) if i != axis), axis]
        y = function(self.transpose(x, there))
        return self.transpose(y, [there.index(i) for i in range(rank)]) if len(y.shape) == rank else y


Function = Callable[[LayerImporter], "Value | list[Value]"]
"""Makes the nodes of a layer; returns its outputs."""
