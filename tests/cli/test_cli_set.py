"""Several models and several memories on the command line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from typer.testing import Result

import chipfit

Call = Callable[..., Result]
BOARD = "stm32f746-disco"


@pytest.fixture(scope="module")
def folder(cli: Call, demo_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("set") / "two"
    result = cli("compile", demo_model, demo_model, "-b", BOARD, "-o", out, "--kernels")
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert lines[0].startswith("Compiled 2 models to ")
    for name in ("digits_int8", "digits_int8_2", "together", "dtcm", "sdram"):
        assert any(line.startswith(name) for line in lines), name
    assert "one arena saves 2." in result.stdout
    assert lines[-1].startswith("Next: chipfit run ")
    return out


def test_run(cli: Call, folder: Path, demo_model: Path, tmp_path: Path) -> None:
    result = cli("run", folder, "--random", "2", "--seed", "7", "--save", tmp_path / "out.npz", columns=160)
    assert result.exit_code == 0, result.output
    assert result.stdout.count("proof  ") == 2
    assert "of the whole program" in result.stdout
    model = chipfit.load(demo_model)
    expected = model.run_samples(model.samples(2, seed=7))[0]
    with np.load(tmp_path / "out.npz") as saved:
        for name in ("digits_int8", "digits_int8_2"):
            assert saved[f"{name}.{model.outputs[0].name}"].tobytes() == expected.tobytes()
    data = json.loads(cli("run", folder, "--json").stdout)
    assert [m["samples"] for m in data["models"]] == [1, 1]


@pytest.mark.parametrize(
    ("words", "text"), [(["-b", BOARD], "takes no -b"), (["--input", "x.npy"], "takes no --input")], ids=["-b", "input"]
)
def test_what_several_models_do_not_take(words: list[str], text: str, cli: Call, folder: Path) -> None:
    result = cli("run", folder, *words)
    assert result.exit_code == 2
    assert text in result.stderr


def test_arenas_apart(cli: Call, demo_model: Path, tmp_path: Path) -> None:
    words = ("compile", demo_model, "-b", BOARD, "-o", tmp_path / "x", "--separate-arenas")
    assert cli(*words).exit_code == 2
    result = cli(*words, demo_model)
    assert result.exit_code == 0, result.output
    assert "each model has its own arena" in result.stdout


def test_place(cli: Call, demo_model: Path, tmp_path: Path) -> None:
    result = cli("compile", demo_model, "-b", BOARD, "-o", tmp_path / "x", "--place", "arena=sdram", "--json")
    assert result.exit_code == 0, result.output
    data = json.loads(result.stdout)
    used = {m["name"]: m["used"] for m in data["memories"]}
    assert used["sdram"] == data["ram"]["arena"]
    result = cli("compile", demo_model, "-b", BOARD, "-o", tmp_path / "x", "--place", "arena=ccm")
    assert result.exit_code == 2
    assert "it has flash, dtcm, sram, sdram, qspi" in result.stderr


def test_board_shows_what_is_to_be_set_up(cli: Call) -> None:
    assert "set up the FMC" in cli("board", "show", BOARD).stdout
