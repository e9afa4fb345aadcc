"""docs/tutorial-pictures.md, and README.md of pictures: their commands run as they stand there, on 16 pictures; what
``chipfit deploy`` prints can be typed."""

from __future__ import annotations

import json
import re
import shlex
import shutil
from pathlib import Path
from typing import Any

import pytest
from typer.testing import Result

import chipfit
from chipfit.errors import ChipfitError
from chipfit.model import Model
from chipfit.training import train as train_module
from chipfit.training.settings import TrainSettings
from deployment.typed import SMALLEST, type_in
from docs.update import README, ROOT
from importers.keras_nets import keras_or_skip
from training.photos import write_classes

PAGE = (ROOT / "docs" / "tutorial-pictures.md").read_text(encoding="utf-8")
HEADING = "## From a folder of pictures to a board\n"
SECTION = README.read_text(encoding="utf-8").partition(HEADING)[2].partition("\n## ")[0]


def commands_of(text: str) -> list[str]:
    return [line for block in re.findall(r"^```sh\n(.*?)^```", text, re.M | re.S) for line in block.splitlines()]


COMMANDS, SHORT = commands_of(PAGE), commands_of(SECTION)

# the only differences: a network and a training of seconds, and fewer runs on the emulated chip
SMALL = ("--epochs 8", f"{SMALLEST} --verify 3")
SMALL_TRAIN = ("train pictures", f"train pictures {SMALLEST}")
SMALL_DEPLOY = ("deploy run", "deploy run --verify 3")


@pytest.fixture(scope="module")
def tutorial(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Result]]:
    """The folder in which all commands of the page were typed, and what each printed."""
    keras_or_skip()
    folder = tmp_path_factory.mktemp("tutorial")
    write_classes(folder / "pictures", {"random": 8, "target": 8})
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        return folder, {command: type_in(command.replace(*SMALL)) for command in COMMANDS}


def test_the_pages_have_their_commands() -> None:
    assert [shlex.split(command)[1] for command in COMMANDS] == ["deploy", "evaluate", "run", "flash"]
    assert SMALL[0] in COMMANDS[0]
    assert SECTION, f"README.md has no section {HEADING}"
    assert [shlex.split(command)[1] for command in SHORT] == ["train", "deploy", "flash"]
    assert SMALL_TRAIN[0] in SHORT[0]
    assert SMALL_DEPLOY[0] in SHORT[1]


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


def test_the_commands_of_the_readme(
    tutorial: tuple[Path, dict[str, Result]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run is that of the tutorial, if the first command asks for the same."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(tutorial[0] / "sorter" / "run", "run")
    source = train_module.source_of(Path("run"))
    asked = asked_by(SHORT[0].replace(*SMALL_TRAIN), monkeypatch)
    assert asked == (Path("pictures"), Path("run"), source.settings, source.validation)
    deployed = type_in(SHORT[1].replace(*SMALL_DEPLOY))
    assert deployed.exit_code == 0, deployed.output
    assert "every output byte is that of the integer reference" in deployed.stdout
    flashed = type_in(SHORT[2])
    assert flashed.exit_code == 0, flashed.output
    assert "arduino-cli compile" in flashed.stdout
    for path in re.findall(r"`sorter/(.+?)`", SECTION):
        assert (tmp_path / "sorter" / path).exists(), path


def asked_by(command: str, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path, TrainSettings, Path | None]:
    """What ``chipfit train`` is asked for: pictures, the run's folder, settings, validation."""
    asked: list[tuple[Path, Path, TrainSettings, Path | None]] = []

    def train(data: Path, out: Path, settings: TrainSettings, *, validation: Path | None, **_: object) -> None:
        asked.append((data, out, settings.resolved(), validation))
        raise ChipfitError("N003", "enough")

    with monkeypatch.context() as patch:
        patch.setattr(train_module, "train", train)
        assert "enough" in type_in(command).stderr
    return asked[0]


def test_what_deploy_printed_can_be_typed(
    tutorial: tuple[Path, dict[str, Result]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """All steps are typed; training is not done again, but must be asked for what the run says was done."""
    folder, _ = tutorial
    monkeypatch.chdir(folder)
    report = json.loads((folder / "sorter" / "deploy.json").read_text())
    steps = {shlex.split(step["command"])[1]: step["command"] for step in report["steps"]}
    assert list(steps) == ["train", "quantize", "compile", "verify", "evaluate", "project"]
    run = Path("sorter") / "run"
    source = train_module.source_of(run)
    asked = asked_by(steps.pop("train"), monkeypatch)
    assert asked == (Path("pictures"), run, source.settings, source.validation)
    made = ("pictures.tflite", "firmware", "project")
    before = {name: (folder / "sorter" / name).rename(folder / f"before-{name}") for name in made}
    for command in steps.values():
        result = type_in(command)
        assert result.exit_code == 0, f"{command}: {result.output}"
    assert (folder / "sorter" / made[0]).read_bytes() == before[made[0]].read_bytes()
    for name in made[1:]:
        again = {p.relative_to(folder / "sorter" / name) for p in (folder / "sorter" / name).rglob("*")}
        assert again == {p.relative_to(before[name]) for p in before[name].rglob("*")}


def test_deploy_goes_on_with_what_is_there(
    tutorial: tuple[Path, dict[str, Result]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped as soon as it has what was trained and quantized."""
    monkeypatch.chdir(tutorial[0])
    command = COMMANDS[0].replace(*SMALL)

    def stop(self: Model, *_: Any, **options: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Model, "compile", stop)
    again = type_in(command)
    assert re.findall(r"= chipfit (\w+) .*\(done before\)", again.stderr) == ["train", "quantize"], again.output
    assert "the same command goes on" in again.stderr
    other = type_in(f"{command} --seed 1")
    assert other.exit_code == 2
    assert "was trained otherwise: seed" in other.stderr
