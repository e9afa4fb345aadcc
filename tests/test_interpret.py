"""Running a graph by its definitions."""

from __future__ import annotations

import numpy as np
import pytest

from chipfit.errors import ChipfitError
from chipfit.graph import DType, Graph, Node, Quant, TensorType, Value
from chipfit.interpret import check_inputs, evaluate, initial_state, trace
from chipfit.ops.add import Add
from codegen.models import running_sum


def stored(*values: int) -> np.ndarray[tuple[int, int], np.dtype[np.int8]]:
    return np.array([values], np.int8)


def test_state_is_updated_in_place() -> None:
    """real = 0.5 * (stored - 3): adding stored 5 adds 2 to the stored state."""
    graph = running_sum()
    state = initial_state(graph)
    x = stored(5, 3, 1, 127)
    assert [evaluate(graph, [x], state)[0].tolist() for _ in range(2)] == [[[5, 3, 1, 127]], [[7, 3, -1, 127]]]
    assert state["total"].tolist() == [[7, 3, -1, 127]]
    assert evaluate(graph, [x])[0].tolist() == [[5, 3, 1, 127]]
    assert graph.variables["total"].initial.tolist() == [[3, 3, 3, 3]]


def test_a_read_before_the_write_keeps_the_old_state() -> None:
    graph = running_sum()
    values = trace(graph, [stored(5, 5, 5, 5)], initial_state(graph))
    old = next(v for v in values if v.name == "old")
    assert values[old].tolist() == [[3, 3, 3, 3]]


def test_every_value_is_traced() -> None:
    graph = running_sum()
    values = trace(graph, [stored(1, 2, 3, 4)])
    assert set(values) == set(graph.values())
    assert all(values[v].dtype == v.dtype.numpy and values[v].shape == v.shape for v in values)


def test_constants_and_outputs_that_are_inputs() -> None:
    q = Quant.per_tensor(0.5)
    type_ = TensorType((2,), DType.INT8, q)
    x, c, y = Value("x", type_), Value("c", type_, np.array([2, 4], np.int8)), Value("y", type_)
    graph = Graph("g", [x], [y, x, c], [Node(Add(), [x, c], [y])])
    given = np.array([1, 2], np.int8)
    assert [a.tolist() for a in evaluate(graph, [given])] == [[3, 6], [1, 2], [2, 4]]


@pytest.mark.parametrize(
    ("inputs", "code", "words"),
    [
        ([], "I001", "has 1 inputs, 0 were given"),
        ([stored(1, 2, 3)], "I001", r"'x' has shape \[1, 3\], the model takes \[1, 4\]"),
        ([stored(1, 2, 3, 4).astype(np.int16)], "I002", "'x' is int16, the model takes int8"),
    ],
)
def test_inputs_that_do_not_fit(
    inputs: list[np.ndarray[tuple[int, int], np.dtype[np.int8]]], code: str, words: str
) -> None:
    with pytest.raises(ChipfitError, match=words) as caught:
        check_inputs(running_sum(), inputs)
    assert caught.value.code == code
