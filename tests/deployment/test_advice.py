"""Advice: candidates in order, computed as the model itself is, and none that cannot help."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from chipfit.build import Aim, compile_graph
from chipfit.deployment import advice as advice_module
from chipfit.deployment import clock, figures
from chipfit.deployment.advice import SMALL, advise, most_macs, options_of, smaller, untrained
from chipfit.deployment.clock import Clock
from chipfit.deployment.figures import GOALS, Limits, Needs, first_that_fits, needs
from chipfit.deployment.request import Request
from chipfit.model import Model, load
from chipfit.targets import Board, load_board
from chipfit.training.backbones import Network, build
from chipfit.training.settings import TrainSettings
from importers.keras_nets import keras_or_skip

LEAST = Network("ds_cnn", 0.25, 32, 32)

TINY = """
name = "tiny"
title = "A board with little memory"
core = "cortex-m4f"
clock_hz = 64_000_000
[memory]
flash = {{ origin = 0x0, size = "{flash}K" }}
ram = {{ origin = 0x2000_0000, size = "{ram}K" }}
[frameworks]
zephyr = {{ board = "tiny" }}
"""


def tiny(folder: Path, flash: int, ram: int) -> Board:
    path = folder / "tiny.toml"
    path.write_text(TINY.format(flash=flash, ram=ram))
    return load_board(path)


@pytest.fixture(scope="module")
def small() -> Model:
    keras_or_skip()
    return untrained(LEAST)


def only(monkeypatch: pytest.MonkeyPatch, *boards: str) -> None:
    """Of the catalogue, so that a test takes seconds."""
    monkeypatch.setattr(advice_module, "board_names", lambda: boards)


def test_smaller_networks_lose_least_first() -> None:
    said = [options_of(Network(), other) for other in smaller(Network())]
    assert said[:5] == [
        ("--grey",),
        ("--size", "48"),
        ("--alpha", "0.125"),
        ("--size", "32"),
        ("--alpha", "0.125", "--size", "48"),
    ]
    assert ("--backbone", "ds_cnn", "--alpha", "0.5", "--size", "32") in said
    assert len(said) == len(set(said))
    grey = Network("efficientnet_b0", 1.0, 32, 32, 1)
    assert all("--grey" not in options_of(grey, other) for other in smaller(grey))
    assert next(iter(smaller(grey))).backbone == "mobilenet_v1"


def test_an_untrained_network_needs_what_it_says(small: Model, tmp_path: Path) -> None:
    model = small
    board = load_board("arduino-nano-33-ble")
    found = needs(model, board, "balanced", Limits())
    report = compile_graph(model.graph, board, tmp_path / "out").report
    assert (found.flash, found.ram) == (report.flash.total, report.ram.total)
    assert found.fits
    assert found.instructions
    assert model.inputs[0].scale == pytest.approx(2 / 255)
    assert Limits(milliseconds=0.01).exceeded(found)[0].endswith("ms of 0.0 ms")


def test_what_is_larger_than_the_board_is_planned(small: Model, tmp_path: Path) -> None:
    found = needs(small, tiny(tmp_path, 64, 4), "balanced", Limits())
    assert not found.is_whole
    assert not found.fits
    assert found.ram > 4096
    assert found.problem.startswith("RAM")


def test_another_board(small: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    only(monkeypatch, "nucleo-l4r5zi", "maix-bit", "arduino-due")
    monkeypatch.setattr(advice_module, "ENOUGH", 1)
    model, board = small, tiny(tmp_path, 64, 4)
    tried = first_that_fits(model, board, GOALS, Limits())
    assert [n.optimize for n in tried] == list(GOALS)
    said: list[str] = []
    found = advise(
        model, board, Limits(), tried, boards=lambda b: "zephyr" in b.frameworks, with_rows=False, say=said.append
    )
    assert said == ["the board is arduino-due"]
    assert found.best is not None
    assert found.best.options == ("--board", "arduino-due")
    asked = Request(Path("pictures"), board, "tiny.toml", Path("out-tiny"))
    assert asked.with_candidate(found.best, None).command == "chipfit deploy pictures -b arduino-due -o out-arduino-due"


def test_weights_that_are_too_many_are_not_helped_by_smaller_pictures(
    small: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    only(monkeypatch)
    model, board, network = small, tiny(tmp_path, 2, 64), LEAST
    tried = first_that_fits(model, board, GOALS, Limits())
    assert len(tried) == 1
    said: list[str] = []
    monkeypatch.setattr(advice_module, "SECONDS", 0.0)
    assert advise(model, board, Limits(), tried, network=network, say=said.append).skipped > 0
    monkeypatch.undo()
    only(monkeypatch)
    assert said == []
    monkeypatch.setattr(advice_module, "untrained", lambda network: model)  # pyright: ignore[reportUnknownLambdaType]
    found = advise(model, board, Limits(), tried, network=network, weights="w.h5", say=said.append)
    assert said[0] == "alpha 0.125"
    assert all("alpha" in text for text in said)
    assert all(c.lost.endswith("the weights of w.h5: they are for ds_cnn 0.25") for c in found.candidates)
    assert found.best is None or found.best.needs.flash <= 2048


@dataclass
class Time:
    """Passes when it is told to."""

    now: float = 0.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def time(monkeypatch: pytest.MonkeyPatch) -> Time:
    passing = Time()
    monkeypatch.setattr(clock, "time", passing)
    monkeypatch.setattr(figures, "time", passing)
    return passing


def test_what_would_overrun_is_not_begun(time: Time) -> None:
    one = Clock(50.0)
    time.now = 40.0
    assert one.has_time(1_000_000, builds=True)
    assert not one.has_time(1_000_000_000, builds=False)
    with one.watching(1_000_000, builds=False):  # which shows that this computer is slow
        time.now += 6.0
    assert not one.has_time(1_000_000, builds=False)
    assert one.seconds == 46.0
    assert not Clock(50.0, (40.0, 1_000_000)).has_time(1_000_000, builds=True)


def test_no_goal_is_tried_that_would_overrun(small: Model, time: Time, monkeypatch: pytest.MonkeyPatch) -> None:
    def slow(model: Model, board: Board, goal: Aim, limits: Limits, **options: bool) -> Needs:
        time.now += 10.0
        return Needs(board.name, goal, False, 1, 1, is_whole=True, problem="too slow")

    monkeypatch.setattr(figures, "needs", slow)
    board = load_board("arduino-nano-33-ble")
    assert [n.optimize for n in first_that_fits(small, board, GOALS, Limits(), until=25.0)] == list(GOALS[:2])
    assert len(first_that_fits(small, board, GOALS, Limits())) == len(GOALS)


def test_a_smaller_network_has_no_more_to_compute_than_was_thought(small: Model) -> None:
    """Of those that are estimated by their own backbone, and of the largest to fall back on."""
    narrow = replace(LEAST, alpha=0.125, channels=1)
    for other in (narrow, Network(*SMALL[0], 32, 32)):
        assert load(build(other)).macs <= most_macs(LEAST, small.macs, other)


def test_the_command_for_another_network_keeps_weights_that_fit() -> None:
    board = load_board("arduino-nano-33-ble")
    settings = TrainSettings(weights="w.h5", epochs=3)
    asked = Request(Path("tests"), board, board.name, Path("out"), settings=settings)
    found = Needs(board.name, "balanced", False, 1, 1, is_whole=True)
    by_size = advice_module.Candidate("", (), "", found, Network(height=48, width=48))
    by_alpha = advice_module.Candidate("", (), "", found, Network(alpha=0.125))
    start = f"chipfit deploy tests -b {board.name} "
    assert (
        asked.with_candidate(by_size, Path("tests")).command
        == f"{start}--size 48 --alpha 0.25 --weights w.h5 --epochs 3 -o out"
    )
    assert asked.with_candidate(by_alpha, Path("tests")).command == f"{start}--alpha 0.125 --epochs 3 -o out"
