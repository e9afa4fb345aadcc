"""What the tests of the command line share: a way to call it, the demo model compiled once, and golden texts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from chipfit.cli import app
from chipfit.demo import model_path

GOLDEN = Path(__file__).parent / "golden"
Call = Callable[..., Result]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="write the golden texts of tests/cli anew")


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Callable[[str, str], None]:
    """``golden(name, text)``: the text is the one in golden/<name>.txt."""

    def check(name: str, text: str) -> None:
        path = GOLDEN / f"{name}.txt"
        if request.config.getoption("--update-golden", default=False):
            path.parent.mkdir(exist_ok=True)
            path.write_text(text, encoding="utf-8", newline="\n")
        expected = path.read_text(encoding="utf-8") if path.is_file() else ""
        assert text == expected, f"{path.name} differs; if that is right: pytest tests/cli --update-golden"

    return check


def call_cli(*words: object, columns: int = 80) -> Result:
    return CliRunner(env={"COLUMNS": str(columns), "NO_COLOR": "1"}).invoke(app, [str(w) for w in words])


@pytest.fixture(scope="session")
def cli() -> Call:
    """``cli("run", folder)``: stdout, stderr and exit code of a command in this process."""
    return call_cli


@pytest.fixture(scope="session")
def demo_model() -> Path:
    return model_path("int8")


@pytest.fixture(scope="session")
def demo_folder(demo_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo model, compiled for a chip."""
    folder = tmp_path_factory.mktemp("cli") / "digits"
    result = call_cli("compile", demo_model, "-b", "arduino-nano-33-ble", "-o", folder)
    assert result.exit_code == 0, result.output
    return folder
