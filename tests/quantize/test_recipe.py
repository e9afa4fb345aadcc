"""The words of a recipe: what they mean, that they come back as they went, and what is said of wrong ones."""

from __future__ import annotations

import json
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chipfit.errors import ChipfitError
from chipfit.quantize import STEPS, LayerRule, Recipe, Step, parse_recipe
from chipfit.quantize.recipe import Edge, Granularity

RANGES = st.sampled_from(["auto", "minmax", "average", "mse", "entropy", "percentile:99.9", "percentile:100"])
SOME_STEPS = st.sets(st.sampled_from(list(STEPS))).map(frozenset)
PATTERNS = st.text("abz_/*?[];:0", min_size=1, max_size=12).filter(
    lambda p: not p.startswith(";") and not p.endswith((";", ":")) and "; " not in p
)


@st.composite
def layer_rules(draw: st.DrawFn) -> LayerRule:
    on = draw(SOME_STEPS)
    return LayerRule(
        draw(PATTERNS),
        draw(st.none() | RANGES),
        draw(st.none() | st.sampled_from(get_args(Granularity))),
        on,
        draw(SOME_STEPS) - on,
    )


RECIPES = st.builds(
    Recipe,
    input=st.sampled_from(get_args(Edge)),
    output=st.sampled_from(get_args(Edge)),
    ranges=RANGES,
    weights=st.sampled_from(get_args(Granularity)),
    steps=SOME_STEPS,
    rules=st.lists(layer_rules(), max_size=3).map(tuple),
)


@given(RECIPES)
def test_text_comes_back(recipe: Recipe) -> None:
    assert parse_recipe(str(recipe)) == recipe


@given(RECIPES)
def test_json_comes_back(recipe: Recipe) -> None:
    assert Recipe.from_json(json.loads(json.dumps(recipe.to_json()))) == recipe


def test_the_default_is_one_word() -> None:
    assert str(Recipe()) == "int8"
    assert parse_recipe("int8") == Recipe()


def test_clauses_on_lines_and_after_semicolons() -> None:
    lines = parse_recipe("int8 input=uint8 -pool\nconv_1*: -bias\n\n*/dense: weights=tensor\n")
    assert lines == parse_recipe("int8 input=uint8 -pool ; conv_1*: -bias; */dense: weights=tensor")
    assert lines.rules[0] == LayerRule("conv_1*", without_steps=frozenset({"bias"}))


def test_names_may_hold_semicolons_and_colons() -> None:
    recipe = parse_recipe("int8 ; model/relu;model/bn:0: ranges=minmax")
    assert recipe.ranges_of("model/relu;model/bn:0") == "minmax"


def test_the_last_word_counts() -> None:
    recipe = parse_recipe("int8 -bias +bias -match ; *: ranges=mse +match ; conv: ranges=minmax ; conv: -match")
    assert (recipe.has("bias", "conv"), recipe.has("match", "conv"), recipe.has("match", "dense")) == (
        True,
        False,
        True,
    )
    assert (recipe.ranges_of("conv"), recipe.ranges_of("dense")) == ("minmax", "mse")


@pytest.mark.parametrize(
    ("text", "says", "hint"),
    [
        ("", "empty", "int8"),
        ("int4", "mode 'int4'", "int8"),
        ("int8 input=int4", "input 'int4'", "uint8"),
        ("int8 +magic", "step 'magic'", "equalize"),
        ("int8 fast", "'fast'", "-…|±bias"),
        ("int8 ranges=percentile:20", "percentile:20", "percentile:99.99"),
        ("int8 ranges=percentile:x", "percentile:x", "percentile:99.99"),
        ("int8 ranges=mse:3", "only percentile", ""),
        ("int8 weights=row", "weights 'row'", "channel"),
        ("int8 ; conv -bias", "is no rule", "conv_1*: -bias"),
        ("int8 ; conv: input=uint8", "'input=uint8'", "ranges"),
        ("int8 ; conv: weights=row", "weights 'row'", "tensor"),
    ],
)
def test_wrong_words(text: str, says: str, hint: str) -> None:
    with pytest.raises(ChipfitError) as error:
        parse_recipe(text)
    assert error.value.code == "Q003"
    assert says in error.value.message
    assert any(part in error.value.hint for part in hint.split("|"))


@pytest.mark.parametrize(
    "data",
    [
        {"mode": "int4"},
        {"colour": 1},
        {"steps": ["magic"]},
        {"rules": [{"name": "x"}]},
        {"rules": 3},
        {"ranges": "all"},
    ],
)
def test_wrong_json(data: dict[str, object]) -> None:
    with pytest.raises(ChipfitError) as error:
        Recipe.from_json(data)
    assert error.value.code == "Q003"


def test_every_step_is_described() -> None:
    assert set(STEPS) == set(get_args(Step))
    assert all(text and text[0].islower() and not text.endswith(".") for text in STEPS.values())
