"""Automatic mixed precision: which tensors are widened, how many, and what is said when a budget cannot be met."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from chipfit.errors import ChipfitError
from chipfit.graph import Array, DType, Graph, Node
from chipfit.interpret import trace
from chipfit.quantize import Quantized, Samples, parse_recipe, samples_of
from chipfit.quantize.mixed import HELD_BACK, Budget, Mixed, Scores, quantize_within
from chipfit.quantize.parameters import dequantize_array, quantize_array
from chipfit.quantize.prepare import judged
from quantize.nets import mobile, pictures

COUNT = 32


class Reference:
    """Graphs by their definitions; RAM: bytes of all tensors, as if none shared memory."""

    def __init__(self) -> None:
        self.measured: list[int] = []

    def scores(self, graph: Graph, samples: Samples) -> Array:
        self.measured.append(len(samples))
        return scores(graph, samples.arrays[0])

    def arena_bytes(self, graph: Graph) -> int:
        return sum(v.type.nbytes for v in graph.values() if not v.is_const)


def scores(graph: Graph, images: Array) -> Array:
    target, x = judged(graph), graph.inputs[0]
    given = images if x.dtype.is_float else quantize_array(images, x.q, x.dtype)
    rows = np.stack([trace(graph, [image])[target].reshape(-1) for image in given])
    return rows if target.dtype.is_float else dequantize_array(rows, target.q)


WIDE = ("conv", "depthwise")
"""Tensors of which one channel is far greater than the others: they pay for it, since all have one scale."""


def net() -> Graph:
    graph = mobile(np.random.default_rng(0), act="relu")
    for name, channel in zip(WIDE, (2, 5), strict=True):
        writer = next(n for n in graph.nodes if n.name == name)
        reader = graph.nodes[graph.nodes.index(writer) + 1]
        scale(writer, 1, channel, -1 if name == "depthwise" else 0, FACTOR)
        scale(writer, 2, channel, 0, FACTOR)
        scale(reader, 1, channel, -1, 1 / FACTOR)
    return graph


FACTOR = 40.0


def scale(node: Node, port: int, channel: int, axis: int, factor: float) -> None:
    value = node.inputs[port]
    assert value is not None
    data = value.array.copy()
    np.moveaxis(data, axis, 0)[channel] *= factor
    value.data = data


@cache
def within(budget: Budget, recipe: str = "int8") -> tuple[Quantized, Mixed, list[int]]:
    graph, instruments = net(), Reference()
    images = pictures(np.random.default_rng(1), COUNT)
    samples = samples_of(images, graph.inputs)
    made, found = quantize_within(graph, samples, parse_recipe(recipe), budget, scores(graph, images), instruments)
    return made, found, instruments.measured


@cache
def narrow() -> Scores:
    """int8 throughout."""
    return within(Budget(min_sqnr=-50.0))[1].before


def decibels() -> float:
    sqnr = narrow().sqnr
    assert sqnr is not None
    return sqnr


def wide_tensors(made: Quantized) -> list[str]:
    """Tensors in int16 that were not made by a QUANTIZE of another one."""
    return [v.name for n in made.graph.nodes if n in made.origin for v in n.outputs if v.dtype is DType.INT16]


def test_a_budget_that_is_met_widens_nothing() -> None:
    made, found, measured = within(Budget(min_sqnr=decibels() - 0.1))
    assert found.met
    assert found.widened == ()
    assert found.before == found.after
    assert all(v.dtype is not DType.INT16 for v in made.graph.values())
    assert measured == [found.held_back]


def test_the_first_tensor_is_the_one_that_gains_most_alone() -> None:
    _, found, _ = within(Budget(min_sqnr=decibels() + 0.2))
    first = found.widened[0]
    assert first.gain == first.alone
    assert first.alone == max(w.alone for w in found.widened)
    assert first.alone > 0.0


def test_tensors_are_widened_until_the_budget_is_met() -> None:
    _, found, measured = within(Budget(min_sqnr=decibels() + 3.0))
    assert found.met
    assert found.before == narrow()
    assert found.after.sqnr is not None
    assert found.after.sqnr >= decibels() + 3.0
    more = within(Budget(min_sqnr=decibels() + 0.2))[1]
    assert 1 <= len(more.widened) <= len(found.widened)
    assert (found.fitted, found.held_back) == (COUNT - round(HELD_BACK * COUNT), round(HELD_BACK * COUNT))
    assert set(measured) == {found.held_back}


def test_the_result_has_these_tensors_and_says_so_in_its_recipe() -> None:
    made, found, _ = within(Budget(min_sqnr=decibels() + 3.0))
    names = [w.name for w in found.widened]
    values = {v.name: v for v in made.graph.values()}
    assert all(values[name].dtype is DType.INT16 for name in names)
    assert [rule.pattern for rule in made.recipe.rules] == names
    assert parse_recipe(str(made.recipe)) == made.recipe
    assert made.report.samples == COUNT
    assert values["x"].dtype is DType.INT8
    assert "probabilities" not in names


def test_costs_add_up() -> None:
    _, found, _ = within(Budget(min_sqnr=decibels() + 3.0))
    total = found.arena_bytes
    for widened in found.widened:
        total += widened.cost_bytes
        assert widened.arena_bytes == total
        assert widened.cost_bytes > 0


def test_no_more_tensors_than_allowed() -> None:
    made, found, _ = within(Budget(min_sqnr=200.0, max_int16=2))
    assert not found.met
    assert len(found.widened) == 2
    assert {w.name for w in found.widened} <= set(wide_tensors(made))
    assert found.after.sqnr is not None
    assert found.after.sqnr > decibels()


def test_what_cannot_be_met_comes_as_near_as_it_can() -> None:
    _, found, _ = within(Budget(min_sqnr=200.0))
    assert not found.met
    assert tuple(w.name for w in found.widened[:2]) == WIDE
    assert found.after.sqnr is not None
    assert found.after.sqnr > decibels() + 6.0


def test_agreement_is_a_budget_too() -> None:
    drop = 100.0 * (1.0 - narrow().agreement)
    assert within(Budget(max_drop=drop))[1].met
    assert Budget(max_drop=2.0).is_met(Scores(3.0, 0.98))
    assert not Budget(max_drop=2.0).is_met(Scores(30.0, 0.97))
    assert not Budget(min_sqnr=20.0, max_drop=2.0).is_met(Scores(19.0, 1.0))
    assert Budget(min_sqnr=20.0).is_met(Scores(None, 1.0))


@pytest.mark.parametrize(
    ("budget", "says"),
    [
        ({}, "a budget needs"),
        ({"max_int16": 3}, "a budget needs"),
        ({"min_sqnr": float("nan")}, "nan dB"),
        ({"max_drop": -1.0}, "-1.0"),
        ({"max_drop": 101.0}, "101.0"),
        ({"min_sqnr": 20.0, "max_int16": -1}, "-1 tensors"),
    ],
)
def test_what_is_no_budget(budget: dict[str, float], says: str) -> None:
    with pytest.raises(ChipfitError) as error:
        Budget(**budget)  # type: ignore[arg-type]
    assert error.value.code == "U001"
    assert says in error.value.message


def test_nothing_asked_for_is_no_budget() -> None:
    assert Budget.of(None, None, None) is None
    assert Budget.of(25.0, None, 3) == Budget(25.0, None, 3)


@pytest.mark.parametrize("recipe", ["dynamic", "int16x8"])
def test_only_int8_can_be_widened(recipe: str) -> None:
    with pytest.raises(ChipfitError) as error:
        within(Budget(min_sqnr=20.0), recipe)
    assert error.value.code == "U001"
    assert recipe in error.value.message
