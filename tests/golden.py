"""Texts that a person should review: compared with a file, which ``pytest --update-golden`` writes anew."""

from __future__ import annotations

from pathlib import Path

import pytest


def add_option(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="write the golden texts anew")


def check_golden(config: pytest.Config, path: Path, text: str) -> None:
    """``text`` is the one in the file."""
    if config.getoption("--update-golden"):
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8", newline="\n")
    expected = path.read_text(encoding="utf-8") if path.is_file() else ""
    assert text == expected, f"{path.name} differs; if that is right: pytest {path.parents[1].name} --update-golden"
