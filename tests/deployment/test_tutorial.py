"""docs/tutorial-pictures.md: its commands run as they stand there, on 40 pictures; what they print can be typed."""

from __future__ import annotations

import json
import re
import shlex
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

import chipfit
from chipfit.cli import app
from docs.update import ROOT
from importers.keras_nets import keras_or_skip
from training.photos import write_classes

PAGE = (ROOT / "docs" / "tutorial-pictures.md").read_text(encoding="utf-8")
COMMANDS = [line for block in re.findall(r"^```sh\n(.*?)^```", PAGE, re.M | re.S) for line in block.splitlines()]

# the only difference: a network and a training of seconds
SMALL = ("--epochs 8", "--epochs 1 --backbone ds_cnn --alpha 0.25 --size 32 --verify 8")


def type_in(command: str) -> Result:
    program, *words = shlex.split(command)
    assert program == "chipfit"
    return CliRunner(env={"COLUMNS": "120", "NO_COLOR": "1"}).invoke(app, words)


@pytest.fixture(scope="module")
def tutorial(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Result]]:
    """The folder in which all commands of the page were typed, and what each printed."""
    keras_or_skip()
    folder = tmp_path_factory.mktemp("tutorial")
    write_classes(folder / "pictures", {"random": 20, "target": 20})
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        return folder, {command: type_in(command.replace(*SMALL)) for command in COMMANDS}


def test_the_page_has_its_commands() -> None:
    assert [shlex.split(command)[1] for command in COMMANDS] == ["deploy", "evaluate", "run", "flash"]
    assert SMALL[0] in COMMANDS[0]


def test_every_command_does_what_it_says(tutorial: tuple[Path, dict[str, Result]]) -> None:
    folder, results = tutorial
    for command, result in results.items():
        assert result.exit_code == 0, f"{command}: {result.output}"
    deployed, _, _, flashed = results.values()
    assert "every output byte is that of the integer reference" in deployed.stdout
    assert "arduino-cli compile" in flashed.stdout
    for name in re.findall(r"^\| (`.*?) \|", PAGE.partition("## What came out")[2], re.MULTILINE):
        for path in re.findall(r"`([^`]+)`", name):
            assert (folder / "sorter" / path).exists(), path
    assert chipfit.load(folder / "sorter" / "pictures.tflite").inputs[0].dtype == "int8"


def test_what_deploy_printed_can_be_typed(
    tutorial: tuple[Path, dict[str, Result]], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, _ = tutorial
    monkeypatch.chdir(folder)
    report = json.loads((folder / "sorter" / "deploy.json").read_text())
    made = ("run", "pictures.tflite", "firmware", "project")
    for name in made:
        (folder / "sorter" / name).rename(folder / f"before-{name}")
    for step in report["steps"]:
        result = type_in(step["command"])
        assert result.exit_code == 0, f"{step['command']}: {result.output}"
    assert [shlex.split(step["command"])[1] for step in report["steps"]] == [
        *("train", "quantize", "compile", "verify", "evaluate", "project"),
    ]
    for name in made:
        assert (folder / "sorter" / name).exists(), name
        before = folder / f"before-{name}"
        shutil.rmtree(before) if before.is_dir() else before.unlink()


def test_deploy_goes_on_with_what_is_there(
    tutorial: tuple[Path, dict[str, Result]], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, _ = tutorial
    monkeypatch.chdir(folder)
    best = (folder / "sorter" / "run" / "best.keras").read_bytes()
    command = COMMANDS[0].replace(*SMALL)
    type_in(command)
    again = type_in(command)
    assert again.exit_code == 0, again.output
    assert re.findall(r"= chipfit (\w+) .*\(done before\)", again.stderr) == ["train", "quantize"]
    assert (folder / "sorter" / "run" / "best.keras").read_bytes() == best
    other = type_in(f"{command} --seed 1")
    assert other.exit_code == 2
    assert "was trained otherwise: seed" in other.stderr
