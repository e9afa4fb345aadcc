"""Functions made of several operators, against numpy in double precision."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

from chipfit.graph import Array, DType, Value
from chipfit.importers import _compose as compose
from chipfit.importers._build import GraphBuilder
from chipfit.interpret import evaluate


class Maker:
    def __init__(self, builder: GraphBuilder) -> None:
        self.builder = builder

    def emit(self, op: str, inputs: Sequence[Value | None], dtype: DType | None = None, **attributes: Any) -> Value:
        return self.builder.node(op, inputs, op, dtype, **attributes)

    def constant(self, part: str, data: Array) -> Value:
        return self.builder.constant(part, data)


def below(x: Array, alpha: float, scale: float = 1.0, inner: float = 1.0) -> Array:
    return scale * np.where(x > 0, x, alpha * np.expm1(inner * np.minimum(x, 0)))


def sigmoid(x: Array) -> Array:
    return 1 / (1 + np.exp(-x))


def softplus(x: Array) -> Array:
    return np.logaddexp(0, x)


def over_deviation(x: Array) -> Array:
    return x / np.sqrt((x**2).mean(1, keepdims=True) + 0.1)


CASES: dict[str, tuple[Callable[[Maker, Value], Value], Callable[[Array], Array]]] = {
    "elu": (lambda o, x: compose.exponential(o, x), lambda x: below(x, 1)),
    "elu of alpha": (lambda o, x: compose.exponential(o, x, 0.3), lambda x: below(x, 0.3)),
    "elu of all": (lambda o, x: compose.exponential(o, x, 0.3, 2, 0.7), lambda x: below(x, 0.3, 2, 0.7)),
    "selu": (compose.selu, lambda x: below(x, *compose.SELU)),
    "celu": (lambda o, x: compose.celu(o, x, 0.4), lambda x: below(x, 0.4, 1, 1 / 0.4)),
    "hard_sigmoid": (compose.hard_sigmoid, lambda x: np.clip(x / 6 + 0.5, 0, 1)),
    "hard_sigmoid of alpha": (
        lambda o, x: compose.hard_sigmoid(o, x, 0.3, 0.4),
        lambda x: np.clip(0.3 * x + 0.4, 0, 1),
    ),
    "silu": (compose.silu, lambda x: x * sigmoid(x)),
    "silu of alpha": (lambda o, x: compose.silu(o, x, 1.7), lambda x: x * sigmoid(1.7 * x)),
    "softplus": (compose.softplus, softplus),
    "mish": (compose.mish, lambda x: x * np.tanh(softplus(x))),
    "log_sigmoid": (compose.log_sigmoid, lambda x: -softplus(-x)),
    "softsign": (compose.softsign, lambda x: x / (1 + np.abs(x))),
    "over_deviation": (lambda o, x: compose.over_deviation(o, x, (1,), 0.1), over_deviation),
    "standardized": (
        lambda o, x: compose.standardized(o, x, (1,), 0.1),
        lambda x: over_deviation(x - x.mean(1, keepdims=True)),
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_functions(name: str) -> None:
    make, expected = CASES[name]
    x = np.linspace(-60, 60, 241).reshape(1, -1)
    builder = GraphBuilder("net")
    graph = builder.finish([("y", make(Maker(builder), builder.input("x", x.shape)))])
    (y,) = evaluate(graph, (x.astype(np.float32),))
    np.testing.assert_allclose(y, expected(x), rtol=1e-5, atol=1e-5)
