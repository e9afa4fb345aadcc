"""One operator while it is imported: its tensors, options and constant parameters, each checked when asked for."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from chipfit.errors import ChipfitError
from chipfit.graph import Array, DType, Shape, Value
from chipfit.importers.tflite.model import ACTIVATIONS, OperatorRecord, damaged, schema
from chipfit.ops import REGISTRY

if TYPE_CHECKING:
    from chipfit.importers.tflite.subgraph import SubgraphImporter

_ACTIVATION_NAMES = {"NONE": "none", "RELU": "relu", "RELU6": "relu6", "RELU_N1_TO_1": "relu_n1_to_1"}


class OperatorImporter:
    """What an entry of the table of operators works with."""

    def __init__(self, record: OperatorRecord, subgraph: SubgraphImporter) -> None:
        self.record = record
        self.subgraph = subgraph

    # ------------------------------------------------------------------------------------------ tensors

    @property
    def input_count(self) -> int:
        return len(self.record.inputs)

    @property
    def inputs(self) -> list[Value | None]:
        return [self.optional(i) for i in range(self.input_count)]

    @property
    def outputs(self) -> list[Value]:
        return [self.subgraph.computed(i) for i in self.record.outputs]

    def optional(self, position: int) -> Value | None:
        """An input, None where it is absent."""
        if position >= self.input_count or self.record.inputs[position] < 0:
            return None
        return self.subgraph.value(self.record.inputs[position])

    def input(self, position: int) -> Value:
        value = self.optional(position)
        if value is None:
            raise damaged(f"{self._where} lacks its input {position}")
        return value

    def output(self, position: int = 0) -> Value:
        if position >= len(self.record.outputs):
            raise damaged(f"{self._where} lacks its output {position}")
        return self.subgraph.computed(self.record.outputs[position])

    def of_rank(self, position: int, rank: int) -> Value:
        """An input that must have so many dimensions."""
        value = self.input(position)
        if len(value.shape) != rank:
            raise ChipfitError(
                "G003",
                f"{self._where}: '{value.name}' is {value.type}, it needs {rank} dimensions",
                "convert the model again; if it came from a converter, report it there",
            )
        return value

    def weights(self, rank: int) -> Value:
        """The weights of a layer, its input 1, which have so many dimensions.

        Old converters declare the int8 weights of a layer on real numbers as uint8: the bytes are those of int8.
        Raises ChipfitError O002 for a layer of the first quantization scheme, with asymmetric uint8 weights.
        """
        x, w = self.input(0), self.of_rank(1, rank)
        if DType.UINT8 not in (x.dtype, w.dtype):
            return w
        quant = w.type.quant
        is_int8 = quant is not None and quant.axis is None and quant.zp == 0
        if x.dtype is DType.FLOAT32 and w.data is not None and is_int8:
            type_ = replace(w.type, dtype=DType.INT8)
            return Value(self.subgraph.unique_name(w.name), type_, w.data.view(np.int8))
        raise ChipfitError(
            "O002",
            f"'{self.output().name}' is a layer of the old uint8 quantization",
            "uint8 models come from TensorFlow 1: convert the float model again, with full int8 quantization",
        )

    # ------------------------------------------------------------------------------------------ parameters

    def constant(self, position: int, what: str) -> Array:
        """The elements of a parameter. Raises ChipfitError O002 if they are only known when the model runs."""
        value = self.input(position)
        data = value.data if value.is_const else self.subgraph.known.get(value)
        if data is None:
            raise ChipfitError(
                "O002",
                f"its {what} '{value.name}' ({value.type}) is computed when the model runs",
                f"export the model with static shapes, so that {what} is a constant",
            )
        return data

    def integers(self, position: int, what: str) -> tuple[int, ...]:
        """A parameter that is a list of integers, or one."""
        data = self.constant(position, what)
        if data.dtype not in (np.dtype(np.int32), np.dtype(np.int64)) or data.size > 64:
            raise damaged(f"{self._where}: {what} is {data.dtype}{list(data.shape)}")
        return tuple(int(n) for n in data.reshape(-1))

    def integer(self, position: int, what: str) -> int:
        numbers = self.integers(position, what)
        if len(numbers) != 1:
            raise damaged(f"{self._where}: {what} is {list(numbers)}, one number is needed")
        return numbers[0]

    def options(self, kind: str) -> Any:
        """The record of options, with the schema's defaults where the file has none."""
        if self.record.options is None:
            return getattr(schema, kind + "T")()
        if self.record.options_type != kind:
            raise damaged(f"{self._where} has options of the kind {self.record.options_type}, expected {kind}")
        return self.record.options

    def activation(self, options: Any) -> str:
        """Our name of a fused activation. Raises ChipfitError O002 for one that integer kernels don't have."""
        name = ACTIVATIONS.get(options.fusedActivationFunction)
        if name is None:
            raise damaged(f"{self._where} has the fused activation {options.fusedActivationFunction}")
        if name not in _ACTIVATION_NAMES:
            raise ChipfitError(
                "O002", f"it has the fused activation {name}", "make the activation a layer of its own, then convert"
            )
        return _ACTIVATION_NAMES[name]

    def positive(self, what: str, *numbers: int) -> tuple[int, ...]:
        """The numbers, which must be at least 1."""
        if any(n < 1 for n in numbers):
            raise damaged(f"{self._where}: {what} is {list(numbers)}")
        return numbers

    def axis(self, axis: int, rank: int) -> int:
        """An axis counted from the front."""
        if not -rank <= axis < rank:
            raise damaged(f"{self._where}: there is no axis {axis} among {rank}")
        return axis % rank

    # ------------------------------------------------------------------------------------------ results

    def emit(self, name: str, inputs: list[Value | None], **attributes: Any) -> None:
        """A node of the operator ``name`` that makes this operator's outputs."""
        self.subgraph.append(REGISTRY[name](**attributes), inputs, self.outputs)

    def emit_before(self, name: str, inputs: list[Value | None], shape: Shape, **attributes: Any) -> Value:
        """A node that makes a value of its own, of the first output's type with another shape."""
        y = self.output()
        value = Value(self.subgraph.unique_name(f"{y.name}/{name}"), replace(y.type, shape=shape))
        self.subgraph.append(REGISTRY[name](**attributes), inputs, [value])
        return value

    @property
    def _where(self) -> str:
        return f"operator {self.record.index} ({self.record.title})"

    def damaged(self, what: str) -> ChipfitError:
        """An error of this operator in the file."""
        return damaged(f"{self._where}: {what}")
