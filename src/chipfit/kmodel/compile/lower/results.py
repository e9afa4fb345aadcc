"""Where results go, and what is done with them in the same node."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from chipfit.graph import Node, Value
from chipfit.kmodel.compile.lower.state import Block, State
from chipfit.kmodel.format.codec import DataType
from chipfit.kmodel.format.nodes import NO_MAX, NO_MIN
from chipfit.ops._activation import activation_range_float

MANY = 1024
"""Results from which on bytes are worth their error: the CPU adds and looks up bytes several times faster."""


BOUNDS = {"relu": activation_range_float("relu"), "relu6": activation_range_float("relu6")}


def result(state: State, value: Value, dtype: DataType = DataType.FLOAT32) -> Block:
    """Memory for a result, which the tensor then has."""
    block = state.main(value.name, value.type.size, dtype)
    forms = state.forms_of(value)
    if dtype is DataType.FLOAT32:
        forms.floats = block
    else:
        forms.bytes_ = block
    return block


def pair(values: Sequence[int]) -> tuple[int, int]:
    """Of rows and of columns."""
    rows, columns = values
    return rows, columns


def clamp(state: State, y: Value) -> tuple[float, float, list[Node], Value]:
    """Bounds of a ReLU that is all that reads a result: the node before it applies them."""
    readers = state.consumers.get(y, [])
    if len(readers) == 1 and readers[0].op.name in BOUNDS and y not in state.graph.outputs:
        low, high = BOUNDS[readers[0].op.name]
        return low, high, [readers[0]], readers[0].outputs[0]
    return NO_MIN, NO_MAX, [], y


def multiplier(value: float) -> tuple[int, int]:
    """``mul / 2**shift`` with 16 bits."""
    shift = int(np.clip(np.floor(np.log2(32767 / value)), 0, 40))
    return round(value * 2**shift), shift


def plain(state: State, *values: Value) -> bool:
    return all(state.grid(v).is_plain for v in values)
