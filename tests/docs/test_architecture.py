"""ARCHITECTURE.md: it names every part of the house, what it names exists, and its order is that of the imports."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from docs.update import ROOT
from test_layering import MAY_IMPORT

TEXT = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
PACKAGE = ROOT / "src" / "chipfit"
API = "report"
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])


def test_the_order_of_the_house_is_that_of_the_imports() -> None:
    """The imports themselves are held to MAY_IMPORT; the page's list is a shorter way to say the same."""
    block = re.search(r"```text\n(errors .*?)```", TEXT, re.DOTALL)
    assert block is not None
    lines = [line.split() for line in block[1].splitlines()]
    level = {name: index for index, line in enumerate(lines) for name in line}
    modules = {path.stem for path in PACKAGE.glob("*.py") if not path.stem.startswith("__")}
    assert set(level) == modules | {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    wrong = [
        f"{part} may import {other}"
        for part, others in MAY_IMPORT.items()
        for one, other in ((part.split(".")[0], other.split(".")[0]) for other in others)
        if {one, other} <= level.keys() and one != other
        if not (level[other] < level[one] or level[other] == level[one] == level[API])
    ]
    assert not wrong


def test_the_house_is_complete() -> None:
    rows = re.findall(r"^\| (`.*?) \|", TEXT.partition("## The house")[2].partition("## The promises")[0], re.MULTILINE)
    named = {name.rstrip("/") for row in rows for name in re.findall(r"`([^`]+)`", row)}
    modules = {path.name for path in PACKAGE.glob("*.py")} - {"__main__.py"}
    folders = {path.name for path in PACKAGE.iterdir() if path.is_dir() and any(path.rglob("*.[pch]*"))}
    assert named == modules | folders - {"__pycache__"}


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_files_that_are_named_exist(page: Path) -> None:
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    named = {n for n in re.findall(r"`([\w./-]+)`", text) if "/" in n and not n.endswith("/") and n[0] not in "/."}
    roots = (ROOT, PACKAGE)
    examples = {"src/chipfit/ops/abs.py", "src/chipfit/runtime/kernels/cf_abs_f32.h"}
    examples |= {"src/chipfit/passes/remove_repeated_relu.py", "tests/passes/test_remove_repeated_relu.py"}
    examples |= {"src/chipfit/targets/boards/black-pill-f411.toml"}
    missing = [n for n in sorted(named - examples) if "." in n and not any((root / n).exists() for root in roots)]
    assert not missing


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_pages_know_no_machine(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert not re.findall(r"(?<![\w.~])/(?:home|root|work|tmp|Users)/", text)
