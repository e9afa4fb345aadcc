"""A search with real trainings on small pictures: what is found is what is deployed."""

from __future__ import annotations

import json
import shlex
from collections.abc import Generator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from chipfit.build import Aim
from chipfit.cli import app
from chipfit.compress import BoardFigures, ModelFigures
from chipfit.deployment import Limits
from chipfit.emulate import toolchain
from chipfit.model import load
from chipfit.ops.conv2d import Conv2D
from chipfit.search import Request, SearchReport, Space, read_space, search
from chipfit.search import run as module
from chipfit.search.cost import untrained
from chipfit.search.trial import Result, Task, run_trial
from deployment.compiled import remembering
from importers.keras_nets import keras_or_skip
from search import fakes
from training.photos import write_classes

pytest.importorskip("optuna", reason="the optuna package is not installed")
pytest.importorskip("threadpoolctl", reason="the threadpoolctl package is not installed")

BOARD = "arduino-nano-33-ble"
TEXT = """backbone = ["ds_cnn"]
alpha = [0.125]
size = [32]
colour = ["grey"]
depth = [0.5]
quantization = ["{quantization}"]
compression = ["{compression}"]
[train]
epochs = 1
qat_epochs = 1
[compress]
epochs = 1
"""


@pytest.fixture(autouse=True, scope="module")
def compiled_once() -> Generator[None]:
    keras_or_skip()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(toolchain, "_compile", remembering(toolchain._compile))  # pyright: ignore[reportPrivateUsage]
        yield


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_classes(tmp_path_factory.mktemp("pictures") / "photos", {"a": 8, "b": 8})


def space(folder: Path, quantization: str = "int8", compression: str = "none") -> Space:
    file = folder / "one.toml"
    file.write_text(TEXT.format(quantization=quantization, compression=compression), encoding="utf-8")
    return read_space(file)


def searched(folder: Path, photos: Path, goal: Aim | None = None, **choice: str) -> SearchReport:
    limits = Limits(flash=60 << 10, ram=10 << 10)
    return search(Request(space(folder, **choice), photos, BOARD, folder / "out", limits, goal=goal))


def deployed_by(report: SearchReport) -> dict[str, Any]:
    """What the last line of the search's report says when it is called."""
    program, *words = shlex.split(report.offer)
    done = CliRunner().invoke(app, [*words, "--verify", "1", "--json"])
    assert (program, done.exit_code) == ("chipfit", 0), done.output
    return json.loads(done.stdout)


def check_deployed(report: SearchReport, run: str) -> list[str]:
    """The program is that of the best trial; returns the command that compiled it."""
    best = report.best_trial
    assert best is not None
    assert best.file == f"{run}/photos_int8.tflite"
    deployed, needs = deployed_by(report), best.needs
    assert (deployed["flash"]["total"], deployed["ram"]["total"]) == (needs.flash, needs.ram)
    assert (deployed["instructions"], deployed["optimize"]) == (needs.instructions, needs.optimize)
    commands = [shlex.split(step["command"])[1:] for step in deployed["steps"]]
    # the integers are taken as they are
    assert [words[0] for words in commands] == ["compile", "verify", "evaluate"]
    assert Path(commands[0][1]) == Path(best.folder) / best.file
    return commands[0]


def test_the_last_line_deploys_what_was_found(tmp_path: Path, photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a recipe that a deployment would not choose by itself, and a goal that it would try last."""
    monkeypatch.setattr(module, "cost_of", fakes.cost)
    report = searched(tmp_path, photos, goal="size", quantization="int8 weights=tensor")
    assert "plain" not in check_deployed(report, "run")
    found = load(tmp_path / "out" / "trials" / "000" / "run" / "photos_int8.tflite")
    assert all(n["w"].q.axis is None for n in found.graph.nodes if isinstance(n.op, Conv2D))


def test_what_was_killed_in_a_compression_goes_on_there(
    tmp_path: Path, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(Exception):  # noqa: N818
        pass

    def dying(*_: Any, **__: Any) -> None:
        raise Killed

    def unjudged(*_: Any, **__: Any) -> tuple[ModelFigures, None]:
        return ModelFigures(0, 0, 0, None, None, None, None, BoardFigures(BOARD, 0, 0, 0, 0, 0.0, True)), None

    monkeypatch.setattr(module, "cost_of", fakes.cost)
    monkeypatch.setattr("chipfit.compress.run.figures", unjudged)
    with monkeypatch.context() as patch:
        patch.setattr("chipfit.compress.run._finished", dying)
        with pytest.raises(Killed):
            searched(tmp_path, photos, compression="cluster 16")
    state = next((tmp_path / "out").glob("trials/*/cluster/state-tune/last.npz"))
    kept = state.read_bytes()
    seen: list[bytes] = []

    def looking(task: Task) -> Result:
        seen.append(state.read_bytes())
        return run_trial(task)

    monkeypatch.setattr(module, "run_trial", looking)
    report = searched(tmp_path, photos, compression="cluster 16")
    assert (len(report.trials), seen) == (1, [kept])
    assert not state.exists()
    assert "compressed" in check_deployed(report, "cluster")


def test_costs_are_of_the_compressed_network(tmp_path: Path) -> None:
    spaces = space(tmp_path, compression="cluster 4")
    (point,) = spaces.points()
    model = untrained(point, spaces.settings_of(point).network(2), BOARD)
    weights = [n["w"].array for n in model.graph.nodes if isinstance(n.op, Conv2D)]
    assert weights
    assert all(len(np.unique(w)) <= 4 for w in weights)
