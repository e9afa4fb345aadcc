"""deploy: models without training, what is refused, what is kept, and what is left when something breaks."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from chipfit.cli import app
from chipfit.demo import model_path
from chipfit.deployment import Limits, Listener, Request, advice, deploy
from chipfit.deployment.figures import needs
from chipfit.deployment.kept import Kept
from chipfit.deployment.source import in_turns, save_arrays
from chipfit.errors import ChipfitError
from chipfit.firmware import Firmware
from chipfit.graph import Array
from chipfit.model import load
from chipfit.quantization import read_data
from chipfit.quantize import Preprocessing
from chipfit.report.data import RunReport
from chipfit.targets import load_board

BOARD = "arduino-nano-33-ble"


def call(*words: object) -> Result:
    return CliRunner(env={"COLUMNS": "120", "NO_COLOR": "1"}).invoke(app, [str(w) for w in words])


def request(source: Path, folder: Path, **options: object) -> Request:
    return Request(source, load_board(BOARD), BOARD, folder, verified=4, **options)  # pyright: ignore[reportArgumentType]


class Heard(Listener):
    """``stop_at``: the step before which the user interrupts."""

    def __init__(self, stop_at: str = "") -> None:
        self.steps: list[tuple[str, str]] = []
        self._stop_at = stop_at

    def step(self, command: str, state: str) -> None:
        self.steps.append((command.split()[1], state))
        if self._stop_at in (command.split()[1], state):
            raise KeyboardInterrupt


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Digits with labels, as the float model takes them."""
    with np.load(model_path("float32").with_name("digits_test.npz")) as kept:
        images, labels = kept["images"].reshape(-1, 8, 8, 1), kept["labels"]
    path = tmp_path_factory.mktemp("data") / "digits.npz"
    save_arrays(path, {"image": images.astype(np.float32) / 16, "labels": labels})
    return path


@pytest.fixture(scope="module")
def digits(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A float model of pictures, deployed."""
    folder = tmp_path_factory.mktemp("deploy") / "digits"
    result = call("deploy", model_path("float32"), "-b", BOARD, "--data", data, "--verify", 5, "-o", folder)
    assert result.exit_code == 0, result.output
    return folder


def test_a_float_model(digits: Path) -> None:
    report = json.loads((digits / "deploy.json").read_text())
    assert report["problem"] is None
    assert (report["proof"]["samples"], report["proof"]["identical"]) == (5, True)
    assert report["accuracy"]["chip_pictures"] == 5
    assert report["accuracy"]["float32"] > 0.9
    assert abs(report["accuracy"]["float32"] - report["accuracy"]["int8"]) < 0.05
    assert report["offer"].startswith("chipfit project ")
    assert [step["command"].split()[1] for step in report["steps"]] == ["quantize", "compile", "verify", "evaluate"]


def test_what_has_not_changed_is_kept(digits: Path, data: Path) -> None:
    """Each call is stopped at the first step that is not kept."""
    asked = request(model_path("float32"), digits, data=data)
    for wanted in (["kept", "ran"], ["ran"]):
        heard = Heard("ran")
        with pytest.raises(KeyboardInterrupt):
            deploy(asked, heard)
        assert [state for _, state in heard.steps] == wanted
        assert heard.steps[0][0] == "quantize"
        next(digits.glob("*.tflite")).write_bytes(b"damaged")


def test_an_integer_model_without_data(tmp_path: Path) -> None:
    report = deploy(request(model_path("int8"), tmp_path / "out"))
    assert (report.accuracy, report.problem) == (None, None)
    assert report.proof is not None
    assert report.proof.identical
    assert [step.command.split()[1] for step in report.steps] == ["compile", "verify"]


def test_one_wrong_byte_on_the_chip_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = Firmware.run

    def wrong(self: Firmware, samples: Any, **options: Any) -> RunReport:
        report = run(self, samples, **options)
        changed = report.outputs[0].copy()
        changed.flat[-1] ^= 1
        return replace(report, outputs=(changed,))

    monkeypatch.setattr(Firmware, "run", wrong)
    with pytest.raises(ChipfitError, match="V001") as caught:
        deploy(request(model_path("int8"), tmp_path / "out"))
    assert "sample 3" in caught.value.message


def test_rows(tmp_path: Path) -> None:
    report = deploy(request(model_path("int8"), tmp_path / "out", rows=True))
    assert "--input rows" in report.steps[0].command
    assert report.steps[1].command.startswith("chipfit run ")


def test_limits_of_ones_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(advice, "board_names", lambda: ("arduino-due",))
    result = call("deploy", model_path("int8"), "-b", BOARD, "--max-flash", 1, "--verify", 2, "-o", tmp_path / "out")
    assert result.exit_code == 1
    assert "does not fit arduino-nano-33-ble: flash" in result.stdout
    assert "of 1.0 KiB" in result.stdout
    assert json.loads((tmp_path / "out" / "deploy.json").read_text())["problem"]
    assert "Next: chipfit deploy" in result.stdout
    assert "-b arduino-due" in result.stdout
    assert not (tmp_path / "out" / "firmware").exists()


def test_the_next_goal_is_taken_where_the_first_does_not_fit(tmp_path: Path) -> None:
    model, board = load(model_path("int8")), load_board(BOARD)
    balanced, size = (needs(model, board, goal, Limits()).flash for goal in ("balanced", "size"))
    limits, heard = Limits(flash=(balanced + size) // 2), Heard("verify")
    with pytest.raises(KeyboardInterrupt):
        deploy(request(model_path("int8"), tmp_path / "c", limits=limits), heard)
    manifest = json.loads((tmp_path / "c" / "firmware" / "chipfit.json").read_text())
    assert manifest["report"]["optimize"] == "size"


def test_what_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ChipfitError, match="F001"):
        deploy(request(tmp_path / "nothing", tmp_path / "out"))
    with pytest.raises(ChipfitError, match=r"Q001.*float model"):
        deploy(request(model_path("float32"), tmp_path / "out"))
    with pytest.raises(ChipfitError, match="U001"):
        deploy(request(model_path("int8"), tmp_path / "other", framework="cmake", rows=True))
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    (theirs / "thesis.txt").touch()
    with pytest.raises(ChipfitError, match="P001"):
        deploy(request(model_path("int8"), theirs))
    assert [p.name for p in theirs.iterdir()] == ["thesis.txt"]


def test_options_that_would_change_nothing(tmp_path: Path) -> None:
    result = call("deploy", model_path("int8"), "-b", BOARD, "--alpha", 0.5, "-o", tmp_path / "out")
    assert result.exit_code == 2
    assert "--alpha has no meaning for" in result.stderr
    (tmp_path / "pictures").mkdir()
    result = call("deploy", tmp_path / "pictures", "-b", BOARD, "--scale", "1/255", "-o", tmp_path / "out")
    assert "--scale has no meaning for" in result.stderr


@pytest.mark.parametrize("stop_at", ["compile", "verify"])
def test_an_interruption_leaves_nothing_half_written(stop_at: str, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        deploy(request(model_path("int8"), tmp_path / "out"), Heard(stop_at))
    left = {p.name for p in (tmp_path / "out").iterdir()}
    assert left == {"deploy.json"} | ({"firmware", "inputs.npz"} if stop_at == "verify" else set())
    assert json.loads((tmp_path / "out" / "deploy.json").read_text())["problem"] == "not finished"
    assert deploy(request(model_path("int8"), tmp_path / "out")).problem is None


def test_the_command_says_what_was_asked(tmp_path: Path) -> None:
    asked = request(
        model_path("float32"),
        tmp_path / "o",
        data=Path("x.npz"),
        goal="ram",
        limits=Limits(2048, 4096, 1.5),
        framework="cmake",
    )
    words = f"-b {BOARD} -f cmake --data x.npz --optimize ram --max-flash 2 --max-ram 4 --max-ms 1.5 --verify 4"
    assert asked.command == f"chipfit deploy {asked.source} {words} -o {asked.folder}"


def test_pixels_of_a_file_are_quantized_like_those_of_pictures(tmp_path: Path) -> None:
    """Bytes are pixels where it is said what becomes of them: the input then holds all that a pixel can be."""
    model = load(model_path("float32"))
    pixels = np.full((3, *model.inputs[0].shape[1:]), 100, np.uint8)
    save_arrays(tmp_path / "x.npz", {model.inputs[0].name: pixels})
    how = Preprocessing(scale=1 / 127.5, mean=(1.0,))
    samples = read_data(model, tmp_path / "x.npz", how)
    assert samples.ranges[0] is not None
    assert (samples.ranges[0].low, samples.ranges[0].high) == (-1.0, 1.0)
    assert np.array_equal(samples.arrays[0], how.apply(pixels)[:, None])
    assert read_data(model, tmp_path / "x.npz", Preprocessing()).ranges == (None,)


def test_pictures_come_in_turns() -> None:
    labels: Array = np.array([0] * 7 + [1] * 2 + [2] * 3)
    order = in_turns(labels, np.arange(12), 0)
    assert sorted(order.tolist()) == list(range(12))
    assert [sorted(labels[order[i : i + 3]].tolist()) for i in (0, 3)] == [[0, 1, 2], [0, 1, 2]]
    assert labels[order[6:]].tolist() == [0, 2, 0, 0, 0, 0]
    assert in_turns(labels, np.arange(12), 1).tolist() != order.tolist()


def test_kept_only_as_long_as_nothing_changes(tmp_path: Path) -> None:
    source, made = tmp_path / "in", tmp_path / "out.bin"
    source.write_bytes(b"1")
    made.write_bytes(b"a")
    kept = Kept(tmp_path, ("make",), (source,), made)
    assert not kept.is_current
    kept.note()
    assert Kept(tmp_path, ("make",), (source,), made).is_current
    assert not Kept(tmp_path, ("make", "-B"), (source,), made).is_current
    made.write_bytes(b"b")
    assert not Kept(tmp_path, ("make",), (source,), made).is_current
    made.write_bytes(b"a")
    source.write_bytes(b"2")
    assert not Kept(tmp_path, ("make",), (source,), made).is_current
