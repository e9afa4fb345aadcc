"""Recurrent layers: their state lies in variable tensors of the file, here in variables of the graph."""

from __future__ import annotations

import math

from chipfit.errors import ChipfitError
from chipfit.graph import Value
from chipfit.importers.tflite.model import ACTIVATIONS
from chipfit.importers.tflite.operator import OperatorImporter
from chipfit.ops import REGISTRY, Op
from chipfit.ops.assign_variable import AssignVariable
from chipfit.ops.read_variable import ReadVariable
from chipfit.ops.unidirectional_sequence_lstm import UnidirectionalSequenceLstm

_LSTM_INPUTS = 24
_LSTM_HINT = "use a plain LSTM layer (Keras: LSTM with its default activations), then convert"
# inputs that only variants of the layer have
_LSTM_VARIANTS = {
    "peephole connections": (9, 10, 11),
    "a projection": (16, 17),
    "layer normalization": (20, 21, 22, 23),
}
# the file's positions of weights, of recurrent weights and of biases, each in the order i, f, g, o
_LSTM_CONSTANTS = (*range(1, 9), *range(12, 16))
_LSTM_HIDDEN, _LSTM_CELL = 18, 19


def unidirectional_sequence_lstm(o: OperatorImporter) -> None:
    options = o.options("UnidirectionalSequenceLSTMOptions")
    for variant, positions in _LSTM_VARIANTS.items():
        if any(o.optional(i) is not None for i in positions):
            raise ChipfitError("O002", f"it has {variant}", _LSTM_HINT)
    if o.input_count != _LSTM_INPUTS:
        raise ChipfitError("O002", f"it has {o.input_count} inputs, {_LSTM_INPUTS} are expected", _LSTM_HINT)
    if any(o.optional(i) is None for i in (1, 5, 12)):
        raise ChipfitError("O002", "its input and forget gates are coupled", _LSTM_HINT)
    act = ACTIVATIONS.get(options.fusedActivationFunction)
    if act != "TANH":
        raise ChipfitError("O002", f"its cell gate has the activation {act}, expected TANH", _LSTM_HINT)
    if options.diagonalRecurrentTensors:
        raise ChipfitError("O002", "its recurrent weights are diagonal", _LSTM_HINT)
    if options.projClip > 0:
        raise ChipfitError("O002", f"it clips a projection at {options.projClip:g}", _LSTM_HINT)
    clip = float(options.cellClip)
    if not math.isfinite(clip):
        raise o.damaged(f"cellClip is {clip}")
    op = UnidirectionalSequenceLstm(bool(options.timeMajor), clip)
    constants = [o.input(i) for i in _LSTM_CONSTANTS]
    _emit(o, op, [o.input(0), *constants], [_LSTM_HIDDEN, _LSTM_CELL])


def svdf(o: OperatorImporter) -> None:
    options = o.options("SVDFOptions")
    if o.optional(3) is None:
        raise ChipfitError("O002", "it has no bias, which TensorFlow Lite Micro asks for", "add a bias of zeros")
    (rank,) = o.positive("the rank", int(options.rank))
    op = REGISTRY["svdf"](rank=rank, act=o.activation(options))  # pyright: ignore[reportCallIssue]
    _emit(o, op, [o.input(i) for i in range(4)], [4])


def _emit(o: OperatorImporter, op: Op, inputs: list[Value], states: list[int]) -> None:
    """The node, between nodes that read its state and assign the next one."""
    tensors = [_variable_tensor(o, i) for i in states]
    names = [o.subgraph.variables.declare_tensor(tensor) for tensor in tensors]
    before, after = (
        [Value(o.subgraph.unique_name(f"{tensor.name}/{when}"), tensor.type) for tensor in tensors]
        for when in ("old", "new")
    )
    for name, old in zip(names, before, strict=True):
        o.subgraph.append(ReadVariable(name), [], [old])
    o.subgraph.append(op, [*inputs, *before], [o.output(), *after])
    for name, new in zip(names, after, strict=True):
        o.subgraph.append(AssignVariable(name), [new], [])


def _variable_tensor(o: OperatorImporter, position: int) -> Value:
    """A tensor that holds state. Raises ChipfitError O002 for one that does not survive a run."""
    value = o.input(position)
    if not o.subgraph.tensor(o.record.inputs[position]).is_variable:
        raise ChipfitError(
            "O002",
            f"its state '{value.name}' ({value.type}) is no variable tensor",
            "convert the model again: TensorFlow Lite Micro asks for one, too",
        )
    return value
