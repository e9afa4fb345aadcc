"""Vela's custom operator: a command stream for Arm Ethos-U, its constants, and where its tensors lie in memory."""

from __future__ import annotations

import numpy as np

from chipfit.importers.tflite.operator import OperatorImporter
from chipfit.ops.assign_variable import AssignVariable
from chipfit.ops.ethos_u import EthosU
from chipfit.ops.read_variable import ReadVariable

CUSTOM_CODE = "ethos-u"

_ALLOCATION = "OfflineMemoryAllocation"
"""What a file of Vela keeps besides: the version, the subgraph, the number of tensors, and the offset of each."""

_HEADER_WORDS = 3
_FIRST_INPUT = 4
"""Behind the command stream, the constants, and two working memories."""


def ethos_u(o: OperatorImporter) -> None:
    """Variable tensors, the states of an LSTM, are read before and written after, each where it lies last."""
    if o.input_count <= _FIRST_INPUT:
        raise o.damaged(f"it has {o.input_count} inputs")
    offsets = _offsets(o)
    scratch, fast = (o.subgraph.tensor(o.record.inputs[i]) for i in (2, 3))
    last = {_key(o, index): k for k, index in enumerate(o.record.outputs)}
    kept = sorted(last.values())
    op = EthosU(
        scratch=int(np.prod(scratch.shape)),
        fast=0 if scratch.index == fast.index else int(np.prod(fast.shape)),
        input_offsets=tuple(offsets[i] for i in o.record.inputs[_FIRST_INPUT:]),
        output_offsets=tuple(offsets[o.record.outputs[k]] for k in kept),
    )
    xs = [o.input(i) for i in range(_FIRST_INPUT, o.input_count)]
    states: dict[str, str] = {}
    for value, index in zip(xs, o.record.inputs[_FIRST_INPUT:], strict=True):
        tensor = o.subgraph.tensor(index)
        if tensor.is_variable:
            states[tensor.name] = o.subgraph.variables.declare_tensor(value)
            o.subgraph.append(ReadVariable(states[tensor.name]), [], [value])
    ys = [o.outputs[k] for k in kept]
    o.subgraph.append(op, [o.input(0), o.input(1), *xs], ys)
    for value, k in zip(ys, kept, strict=True):
        tensor = o.subgraph.tensor(o.record.outputs[k])
        if tensor.is_variable and tensor.name in states:
            o.subgraph.append(AssignVariable(states[tensor.name]), [value], [])


def _key(o: OperatorImporter, index: int) -> str | int:
    """What a tensor is: itself, or all those that a variable becomes."""
    tensor = o.subgraph.tensor(index)
    return tensor.name if tensor.is_variable else index


def _offsets(o: OperatorImporter) -> list[int]:
    """The offset of each tensor of the subgraph in the working memory; -1: it has none."""
    kept = o.subgraph.variables.file.metadata.get(_ALLOCATION, b"")
    words = np.frombuffer(kept[: len(kept) // 4 * 4], "<i4")
    if len(words) < _HEADER_WORDS or len(words) - _HEADER_WORDS < words[2] or words[2] < o.subgraph.tensor_count:
        raise o.damaged(f"its tensors have no places: {_ALLOCATION} has {len(kept)} bytes")
    return [int(n) for n in words[_HEADER_WORDS:]]
