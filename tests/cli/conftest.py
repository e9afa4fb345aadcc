"""What the tests of the command line share: a way to call it, the demo model compiled once, and golden texts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from chipfit.cli import app
from chipfit.demo import model_path
from golden import check_golden

GOLDEN = Path(__file__).parent / "golden"
Call = Callable[..., Result]


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Callable[[str, str], None]:
    """``golden(name, text)``: the text is the one in golden/<name>.txt."""

    def check(name: str, text: str) -> None:
        check_golden(request.config, GOLDEN / f"{name}.txt", text)

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
