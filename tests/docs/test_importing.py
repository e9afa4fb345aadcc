"""docs/importing.md names every layer, activation and function that the importers take, and no other."""

from __future__ import annotations

import re

from chipfit.importers.keras.activations import ACTIVATIONS
from chipfit.importers.keras.functions import FUNCTIONS
from chipfit.importers.keras.layers import ADVICE, LAYERS
from docs.update import ROOT

TEXT = (ROOT / "docs" / "importing.md").read_text(encoding="utf-8")


def _section(begin: str, end: str) -> str:
    return TEXT.partition(begin)[2].partition(end)[0]


def _names(text: str) -> set[str]:
    """Names in a list with commas; what is in parentheses is said of the one before."""
    plain = re.sub(r"\(.*?\)", "", text.replace("\n", " ")).replace(" and ", ", ").rstrip(". ")
    return {name.strip() for name in plain.split(",")}


def test_layers() -> None:
    rows = re.findall(r"^\| [a-z ]+ \| (.*) \|$", _section("### Layers", "Activations:"), re.MULTILINE)
    assert set().union(*(_names(row) for row in rows)) - {"layers"} == set(LAYERS)


def test_activations() -> None:
    assert _names(_section("Activations:", ", a layer, or")) == set(ACTIVATIONS)


def test_functions() -> None:
    listed = _section("### Functions", "\n## ").partition("operations:")[2]
    assert _names(listed) == set(FUNCTIONS)


def test_advice_is_for_what_is_not_there() -> None:
    assert not set(ADVICE) & set(LAYERS)
