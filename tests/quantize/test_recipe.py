"""The words of a recipe: what they mean, that they come back as they went, and what is said of wrong ones."""

from __future__ import annotations

import json
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chipfit.errors import ChipfitError
from chipfit.quantize import MODES, STEPS, LayerRule, Recipe, Step, parse_recipe
from chipfit.quantize.modes import Compute, Edge, Granularity, Mode, Width

RANGES = st.sampled_from(["auto", "minmax", "average", "mse", "entropy", "percentile:99.9", "percentile:100"])
PATTERNS = st.text("abz_/*?[];:0", min_size=1, max_size=12).filter(
    lambda p: not p.startswith(";") and not p.endswith((";", ":")) and "; " not in p
)


@st.composite
def recipes(draw: st.DrawFn) -> Recipe:
    """Of all modes, with all that means something in them."""
    mode: Mode = draw(st.sampled_from(list(MODES)))
    info = MODES[mode]
    steps = st.sets(st.sampled_from(info.steps)).map(frozenset)

    def option(key: str, values: st.SearchStrategy[str], known: tuple[str, ...]) -> str | None:
        return draw(st.none() | values) if key in known else None

    def rule() -> LayerRule:
        on = draw(steps)
        return LayerRule(
            draw(PATTERNS),
            option("activations", st.sampled_from(get_args(Width)), info.rules),  # type: ignore[arg-type]
            option("ranges", RANGES, info.rules),
            option("weights", st.sampled_from(get_args(Granularity)), info.rules),  # type: ignore[arg-type]
            on,
            draw(steps) - on,
        )

    values = {
        "input": st.sampled_from(get_args(Edge)),
        "output": st.sampled_from(get_args(Edge)),
        "activations": st.sampled_from(get_args(Width)),
        "ranges": RANGES,
        "weights": st.sampled_from(get_args(Granularity)),
        "compute": st.sampled_from(get_args(Compute)),
    }
    given_ = {key: option(key, strategy, info.options) for key, strategy in values.items()}
    rules = tuple(rule() for _ in range(draw(st.integers(0, 3))))
    return Recipe(mode, **{k: v for k, v in given_.items() if v is not None}, steps=draw(steps), rules=rules)  # type: ignore[arg-type]


RECIPES = recipes()


@given(RECIPES)
def test_text_comes_back(recipe: Recipe) -> None:
    assert parse_recipe(str(recipe)) == recipe


@given(RECIPES)
def test_json_comes_back(recipe: Recipe) -> None:
    assert Recipe.from_json(json.loads(json.dumps(recipe.to_json()))) == recipe


@pytest.mark.parametrize("mode", get_args(Mode))
def test_the_default_is_one_word(mode: Mode) -> None:
    assert str(Recipe(mode)) == mode
    assert parse_recipe(mode) == Recipe(mode)
    assert parse_recipe(mode).file_word == mode


def test_widths_of_tensors() -> None:
    recipe = parse_recipe("int8 ; conv*: activations=int16 ; conv_2: activations=int8 -bias")
    assert [recipe.width_of(name) for name in ("conv_1", "conv_2", "dense")] == ["int16", "int8", "int8"]
    assert parse_recipe("int16x8 ; dense: activations=int8").width_of("dense") == "int8"
    assert parse_recipe("int8 activations=int16").width_of("dense") == "int16"
    assert parse_recipe("dynamic").width_of("dense") is None


def test_words_for_files_are_words() -> None:
    recipe = parse_recipe("int8 input=uint8 -bias ; a/b;c*: activations=int16")
    assert recipe.file_word == "int8-input-uint8-no-bias-a-b-c-activations-int16"
    assert len(parse_recipe(f"int8 ; {'x' * 99}: -bias").file_word) == 60


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
        ("int8 ; conv: activations=int4", "activations 'int4'", "int16"),
        ("int8 compute=float", "'compute=float' means nothing in int8", "input"),
        ("float16 input=uint8", "means nothing in float16: weights are rounded to float16", "±bias"),
        ("float16 weights=channel", "'weights=channel' means nothing in float16", ""),
        ("float16 ; conv: ranges=mse", "'ranges=mse' means nothing in float16", "±bias"),
        ("dynamic output=int8", "means nothing in dynamic: weights become int8", "compute"),
        ("dynamic +pool", "'+pool' means nothing in dynamic", "reconstruct"),
        ("dynamic ; conv: -equalize", "'-equalize' means nothing in dynamic", "reconstruct"),
        ("dynamic ; conv: activations=int16", "means nothing in dynamic", "weights"),
        ("int16x8 +equalize", "'+equalize' means nothing in int16x8", "reconstruct"),
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
        {"mode": "float16", "input": "uint8"},
        {"mode": "dynamic", "steps": ["pool"]},
        {"mode": "dynamic", "rules": [{"pattern": "a", "activations": "int16"}]},
    ],
)
def test_wrong_json(data: dict[str, object]) -> None:
    with pytest.raises(ChipfitError) as error:
        Recipe.from_json(data)
    assert error.value.code == "Q003"


def test_every_step_is_described() -> None:
    assert set(STEPS) == set(get_args(Step))
    assert all(text and text[0].islower() and not text.endswith(".") for text in STEPS.values())
