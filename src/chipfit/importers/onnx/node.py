"""One node while it is imported: its attributes and inputs, and the nodes that it becomes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from chipfit.errors import ChipfitError
from chipfit.graph import Array, DType, Quant, Value

if TYPE_CHECKING:
    from chipfit.importers.onnx.model import ModelImporter


class NodeImporter:
    """What an entry of the table of operators works with.

    An operand is an array (a constant) or a value of the graph. Nodes are named ``<base>/<op>``; the one that makes
    the only output becomes ``base``.
    """

    def __init__(self, model: ModelImporter, node: Any, operands: Sequence[Array | Value | None], base: str) -> None:
        self.model, self.node, self.operands, self.base = model, node, list(operands), base
        self.attributes: dict[str, Any] = {a.name: a for a in node.attribute}

    # ------------------------------------------------------------------------------------------ what is there

    @property
    def opset(self) -> int:
        return self.model.opset

    def has(self, i: int) -> bool:
        """Whether there is an operand i; optional ones can be left out."""
        return i < len(self.operands) and self.operands[i] is not None

    def value(self, i: int) -> Value:
        """Operand i as a value; constants become such. Stored integers that stand for real numbers become those."""
        return self.real(self._operand(i))

    @property
    def x(self) -> Value:
        return self.value(0)

    @property
    def values(self) -> list[Value]:
        """All operands as values."""
        return [self.value(i) for i in range(len(self.operands))]

    def is_const(self, i: int) -> bool:
        operand = self._operand(i)
        return not isinstance(operand, Value) or operand.is_const

    def array(self, i: int, what: str) -> Array:
        """The elements of operand i, which must be constant."""
        operand = self._operand(i)
        if isinstance(operand, Value):
            if operand.data is None:
                raise ChipfitError("O002", f"{what} '{operand.name}' is computed", f"make {what} constant")
            return self.model.real_array(operand)
        return operand

    def integers(self, i: int, what: str) -> tuple[int, ...]:
        """Operand i as a list of integers."""
        return tuple(int(n) for n in self.array(i, what).reshape(-1))

    def number(self, i: int, what: str) -> float:
        """Operand i as one real number."""
        data = self.array(i, what).reshape(-1)
        if data.size != 1:
            raise ChipfitError("O002", f"{what} has {data.size} elements, one is expected")
        return float(data[0])

    def weights(self, i: int) -> Value:
        """Constant operand i as it is stored: float32, or int8 with a quantization of zero point 0."""
        operand = self._operand(i)
        if isinstance(operand, Value) and operand.type.quant is not None and any(operand.q.zero_point):
            hint = "quantize the model with symmetric weights (onnxruntime: WeightSymmetric=True, or int8 weights)"
            raise ChipfitError("O002", f"weights '{operand.name}' have a zero point that is not 0", hint)
        return operand if isinstance(operand, Value) else self.model.constant(self._name(i), operand)

    def attribute(self, name: str, default: Any = None) -> Any:
        """An attribute: a number, text, or a list of them."""
        found = self.attributes.get(name)
        if found is None:
            return default
        try:
            value = self.model.onnx.helper.get_attribute_value(found)
        except (ValueError, TypeError):
            raise ChipfitError("F003", f"its attribute {name} cannot be read") from None
        if isinstance(value, bytes):
            return value.decode("utf-8", "replace")
        return value

    def setting(self, name: str, i: int) -> tuple[int, ...] | None:
        """Integers that newer opsets have as operand i, older ones as an attribute; None: neither."""
        if self.has(i):
            return self.integers(i, name)
        found = self.attribute(name)
        return None if found is None else tuple(int(n) for n in ([found] if isinstance(found, int) else found))

    def refuse(self, attribute: str, hint: str = "", default: Any = None) -> ChipfitError:
        """The error for an attribute that the node cannot have, with its setting."""
        return ChipfitError("O002", f"{attribute}={self.attribute(attribute, default)!r} cannot be compiled", hint)

    def axis(self, axis: int, rank: int) -> int:
        """An axis counted from the front. Raises ChipfitError O002 where there is none."""
        if not -rank <= axis < rank:
            raise ChipfitError("O002", f"there is no axis {axis} among {rank}")
        return axis % rank

    def axes(self, axes: Sequence[int], rank: int) -> tuple[int, ...]:
        return tuple(sorted({self.axis(int(a), rank) for a in axes}))

    def _operand(self, i: int) -> Array | Value:
        operand = self.operands[i] if i < len(self.operands) else None
        if operand is None:
            raise ChipfitError("F003", f"it has no input {i}")
        return operand

    def _name(self, i: int) -> str:
        return self.node.input[i] if i < len(self.node.input) else ""

    # ------------------------------------------------------------------------------------------ what is made

    def real(self, operand: Array | Value) -> Value:
        """An operand as real numbers (or integers that are no quantized numbers)."""
        if not isinstance(operand, Value):
            index = next((i for i, other in enumerate(self.operands) if other is operand), -1)
            return self.model.constant(self._name(index) if index >= 0 else f"{self.base}/constant", operand)
        if operand.type.quant is None:
            return operand
        return self.model.dequantized(operand)

    def constant(self, part: str, data: Array) -> Value:
        """A constant of this node; integers become int32, the rest float32."""
        return self.model.constant(f"{self.base}/{part}", data)

    def scalar(self, part: str, number: float) -> Value:
        """A constant of one real number, of shape (1)."""
        return self.constant(part, np.array([number], np.float32))

    def emit(
        self,
        op: str,
        inputs: Sequence[Value | None],
        dtype: DType | None = None,
        quant: Quant | None = None,
        **attributes: Any,
    ) -> Value:
        """The output of a new node of an operator of chipfit."""
        return self.model.builder.node(op, inputs, f"{self.base}/{op}", dtype, quant, **attributes)

    def emit_all(self, op: str, inputs: Sequence[Value], count: int, **attributes: Any) -> list[Value]:
        """The outputs of a new node with several, named after the tensors of the source."""
        names = [self.model.output_name(self.node, i) for i in range(count)]
        return self.model.builder.nodes(op, inputs, names, **attributes)

    def transpose(self, x: Value, perm: Sequence[int]) -> Value:
        return self.model.builder.transpose(x, perm, f"{self.base}/transpose")

    def reshape(self, x: Value, shape: Sequence[int]) -> Value:
        return self.model.builder.reshape(x, shape, f"{self.base}/reshape")

    def cast(self, x: Value, dtype: DType) -> Value:
        return self.model.builder.cast(x, dtype, f"{self.base}/cast")

    def along_last(self, x: Value, axis: int, function: Callable[[Value], Value]) -> Value:
        """The function of x with this axis moved to the end; the result has it back in its place."""
        rank = len(x.shape)
        axis = self.axis(axis, rank)
        there = [*(i for i in range(rank) if i != axis), axis]
        y = function(self.transpose(x, there))
        return self.transpose(y, [there.index(i) for i in range(rank)])


Function = Callable[[NodeImporter], "Array | Value | list[Value] | list[Array]"]
"""Makes the nodes of an ONNX node; returns its outputs."""
