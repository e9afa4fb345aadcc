"""``chipfit compare`` as it is typed."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import Result

from chipfit.cli import _app
from chipfit.quantize import Preprocessing
from comparison.reports import made_up

pytest.importorskip("matplotlib")

Call = Callable[..., Result]


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What the API was called with; it finds three models, none of which fits anything but a nano."""
    calls: list[dict[str, Any]] = []

    def found(sources: list[str], boards: list[str], **options: Any) -> Any:
        calls.append({"sources": sources, "boards": boards, **options})
        if options["folder"] is not None:
            options["folder"].mkdir()
        report = made_up(3, boards)
        return report if "nano" in boards else replace(report, offer=None)

    monkeypatch.setattr("chipfit.comparison.compare_models", found)
    return calls


def test_what_is_asked_for(cli: Call, asked: list[dict[str, Any]], tmp_path: Path) -> None:
    words = ("--data", "x.npz", "--limit", 5, "--scale", "1/255", "--optimize", "size", "--weights", "compressed")
    result = cli("compare", "a", "b", "-b", "nano", "-b", "uno", *words, "-o", tmp_path / "out")
    assert result.exit_code == 0, result.output
    assert "3 models  on nano, uno" in result.stdout
    assert asked == [
        {
            "sources": ["a", "b"],
            "boards": ["nano", "uno"],
            "data": Path("x.npz"),
            "limit": 5,
            "preprocessing": Preprocessing(scale=1 / 255),
            "optimize": "size",
            "weights": "compressed",
            "folder": tmp_path / "out",
            "progress": asked[0]["progress"],
        }
    ]
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["compare.png"]


def test_the_picture_alone(cli: Call, asked: list[dict[str, Any]], tmp_path: Path) -> None:
    picture = tmp_path / "a.svg"
    result = cli("compare", "a", "-b", "nano", "-o", picture, "--json")
    assert json.loads(result.stdout)["schema"] == "chipfit.compare"
    assert (asked[0]["folder"], asked[0]["preprocessing"], asked[0]["optimize"]) == (None, None, None)
    assert [p.name for p in tmp_path.iterdir()] == ["a.svg"]
    assert str(picture) in cli("compare", "a", "-b", "nano", "-o", picture, columns=300).stdout


def test_nothing_fits(cli: Call, asked: list[dict[str, Any]]) -> None:
    result = cli("compare", "a", "-b", "uno")
    assert result.exit_code == 1
    assert "3 models" in result.stdout
    assert "Next:" not in result.stdout


def test_usage(cli: Call, tmp_path: Path) -> None:
    assert cli("compare", "a").exit_code == _app.USAGE
    assert cli("compare", tmp_path, "-b", "arduino-uno").exit_code == _app.USAGE
    assert cli("compare", tmp_path / "nothing", "-b", "arduino-uno").exit_code == _app.FAILED
