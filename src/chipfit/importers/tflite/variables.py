"""State that survives a run: variables by container and name, and their first elements from the CALL_ONCE subgraph."""

from __future__ import annotations

import numpy as np

from chipfit.errors import ChipfitError
from chipfit.graph import Array, TensorType, Value, Variable
from chipfit.importers.tflite.model import ModelFile, damaged


class Variables:
    """All variables of a model file. Subgraphs share them."""

    def __init__(self, file: ModelFile) -> None:
        self.file = file
        self._names: dict[tuple[str, str] | Value, str] = {}
        self._types: dict[str, TensorType] = {}
        self._initial: dict[str, Array] = {}
        self._called: set[int] = set()

    def first_call(self, index: int) -> bool:
        """Whether a CALL_ONCE of this subgraph is the first: only that one runs it."""
        first = index not in self._called
        self._called.add(index)
        return first

    def declare(self, container: str, shared_name: str) -> str:
        """The name in the graph of a variable that a VAR_HANDLE names."""
        return self._declare((container, shared_name), shared_name or "variable")

    def declare_tensor(self, tensor: Value) -> str:
        """The same of a tensor that is itself a variable."""
        name = self._declare(tensor, tensor.name)
        self.use(name, tensor)
        return name

    def _declare(self, key: tuple[str, str] | Value, name: str) -> str:
        if key not in self._names:
            # one name in two containers
            while name in self._names.values():
                name += "_"
            self._names[key] = name
        return self._names[key]

    def use(self, name: str, value: Value) -> None:
        """A value is read from the variable or assigned to it: the first one says what type the variable has."""
        known = self._types.setdefault(name, value.type)
        if (known.shape, known.dtype) != (value.shape, value.dtype):
            raise ChipfitError(
                "O002",
                f"variable '{name}' is {known} and also {value.type} ('{value.name}')",
                "export the model so that a variable keeps its shape and type",
            )

    def initialize(self, name: str, data: Array) -> None:
        """The elements that the variable starts from."""
        self._initial[name] = data

    def finish(self) -> dict[str, Variable]:
        """The graph's variables. One that is never set starts from zero, as in TFLite Micro."""
        return {name: Variable(name, type_, self._start(name, type_)) for name, type_ in self._types.items()}

    def _start(self, name: str, type_: TensorType) -> Array:
        data = self._initial.get(name)
        if data is None:
            zero = 0 if type_.quant is None or len(type_.quant.zero_point) > 1 else type_.q.zp
            return np.full(type_.shape, zero, type_.dtype.numpy)
        if data.shape != type_.shape or data.dtype != type_.dtype.numpy:
            raise damaged(f"variable '{name}' is {type_} and starts as {data.dtype}{list(data.shape)}")
        return data
