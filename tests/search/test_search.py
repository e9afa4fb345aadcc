"""Searches, with costs and accuracies that are made up."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from chipfit.deployment import Limits
from chipfit.errors import ChipfitError
from chipfit.search import Listener, Request, SearchReport, Trial, read_space, search
from chipfit.search import run as module
from chipfit.search.report import is_dominated
from chipfit.search.trial import Result, Task
from search import fakes

pytest.importorskip("optuna", reason="the optuna package is not installed")

LIMITS = Limits(ram=12 << 10)
"""Pictures of 32 pixels fit, those of 48 with an alpha of up to 0.25."""


@pytest.fixture(autouse=True)
def made_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "cost_of", fakes.cost)
    monkeypatch.setattr(module, "run_trial", fakes.trial)


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Names are enough."""
    for name in ("a", "b"):
        (tmp_path / "photos" / name).mkdir(parents=True)
        (tmp_path / "photos" / name / "1.png").write_bytes(b"")
    return tmp_path / "photos"


@pytest.fixture
def request_of(pictures: Path, tmp_path: Path) -> Callable[..., Request]:
    def make(name: str = "out", **changes: object) -> Request:
        request = Request(read_space("small"), pictures, "arduino-nano-33-ble", tmp_path / name, LIMITS, trials=4)
        return replace(request, **changes)  # pyright: ignore[reportArgumentType]

    return make


def found(report: SearchReport) -> list[tuple[str, float, bool]]:
    return [(t.point.key, t.integer, t.on_front) for t in report.trials]


class Killed(Exception):  # noqa: N818
    pass


def test_only_what_fits_is_trained_and_the_best_is_found(request_of: Callable[..., Request]) -> None:
    report = search(request_of())
    assert len(report.trials) == 4
    assert len({t.point for t in report.trials}) == 4
    assert all(t.needs.ram <= LIMITS.ram for t in report.trials if LIMITS.ram)
    assert report.refused > 0
    best = report.best_trial
    assert best is not None
    assert best.integer == max(t.integer for t in report.trials)
    fitting = [p for p in read_space("small").points() if not fakes.needs(p, LIMITS.ram).problem]
    # four of some hundreds, and it is better than nine of ten
    assert fakes.accuracy(best.point) > np.quantile([fakes.accuracy(p) for p in fitting], 0.9)
    assert f"trials/{best.number:03}/run" in report.offer
    assert "--max-ram 12" in report.offer


def test_it_begins_with_different_networks(request_of: Callable[..., Request], tmp_path: Path) -> None:
    text = 'alpha = [0.125, 0.25]\nsize = [32, 48]\ncompression = ["none", "cluster 4", "cluster 8", "cluster 16"]\n'
    (tmp_path / "alike.toml").write_text(text)
    report = search(request_of(space=read_space(tmp_path / "alike.toml"), trials=3))
    assert len({trial.point.network for trial in report.trials}) == 3
    assert report.costed < report.candidates == 16


def test_the_front_is_what_nothing_else_beats(request_of: Callable[..., Request]) -> None:
    report = search(request_of())
    for one in report.trials:
        better = [o for o in report.trials if beats(o, one)]
        assert one.on_front == (not better)
    assert report.front[0].number == report.best
    assert not is_dominated(report.trials[0], [report.trials[0]])


def test_what_needs_more_than_it_should_is_not_the_best(
    request_of: Callable[..., Request], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The most accurate one, which is the best in all else, takes half as long again as it may once it is trained."""
    told: list[tuple[float, float]] = []

    class Listening(module.Study):
        def tell(self, number: int, accuracy: float, violation: float) -> None:
            told.append((accuracy, violation))
            super().tell(number, accuracy, violation)

    def larger(task: Task) -> Result:
        result = fakes.trial(task)
        if task.number:
            return result
        needs = replace(result.needs, ram=1, instructions=1, flash=1, milliseconds=30.0, problem="30.0 ms of 20.0 ms")
        return replace(result, integer=0.999, needs=needs)

    monkeypatch.setattr(module, "Study", Listening)
    monkeypatch.setattr(module, "run_trial", larger)
    report = search(request_of(limits=replace(LIMITS, milliseconds=20.0)))
    assert report.trials[0].number == 0
    assert (report.best, report.trials[0].on_front) != (0, True)
    # it takes no other one from the front either
    assert report.front
    assert report.front[0].number == report.best != 0
    assert dict(told)[0.999] == 0.5
    assert all(violation == 0 for accuracy, violation in told if accuracy < 0.999)


def beats(one: Trial, other: Trial) -> bool:
    a, b = figures(one), figures(other)
    return a != b and all(x <= y for x, y in zip(a, b, strict=True))


def figures(trial: Trial) -> tuple[float, ...]:
    return (-trial.integer, trial.needs.instructions or 0, trial.needs.ram, trial.needs.flash)


@pytest.mark.parametrize("after", [1, 2])
def test_a_search_that_was_killed_goes_on_as_if_it_had_not_been(
    request_of: Callable[..., Request], monkeypatch: pytest.MonkeyPatch, after: int
) -> None:
    whole = search(request_of("whole"))
    done = 0

    def dying(task: Task) -> Result:
        nonlocal done
        if done == after:
            raise Killed
        done += 1
        return fakes.trial(task)

    monkeypatch.setattr(module, "run_trial", dying)
    with pytest.raises(Killed):
        search(request_of())
    ran: list[int] = []

    def counted(task: Task) -> Result:
        ran.append(task.number)
        return fakes.trial(task)

    monkeypatch.setattr(module, "run_trial", counted)
    assert found(search(request_of())) == found(whole)
    assert len(ran) <= 4


def test_more_trials_go_on_with_what_is_there(request_of: Callable[..., Request]) -> None:
    few = search(request_of(trials=2))
    told: list[int] = []

    class Counting(Listener):
        def trial(self, trial: Trial, done: int, total: int) -> None:
            told.append(done)

    more = search(request_of(trials=4), Counting())
    assert told == [3, 4]
    assert {t.point for t in few.trials} <= {t.point for t in more.trials}


def test_another_search_does_not_go_on_there(request_of: Callable[..., Request]) -> None:
    search(request_of(trials=2))
    with pytest.raises(ChipfitError, match="another limits") as caught:
        search(request_of(trials=2, limits=Limits(ram=20 << 10)))
    assert caught.value.code == "P001"


def test_a_folder_of_others_is_not_touched(request_of: Callable[..., Request], tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.txt").write_text("mine")
    with pytest.raises(ChipfitError, match="is no search of chipfit"):
        search(request_of())
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["thesis.txt"]


def test_nothing_fits(request_of: Callable[..., Request], tmp_path: Path) -> None:
    (tmp_path / "four.toml").write_text("size = [48, 64]\nalpha = [0.125, 0.25]\n")
    report = search(request_of(space=read_space(tmp_path / "four.toml"), limits=Limits(ram=1 << 10)))
    assert (report.trials, report.best) == ((), None)
    assert report.refused == report.costed == report.candidates == 4


def test_a_small_space_is_searched_to_its_end(request_of: Callable[..., Request], tmp_path: Path) -> None:
    (tmp_path / "two.toml").write_text("size = [32]\nalpha = [0.125, 0.25]\n")
    report = search(request_of(space=read_space(tmp_path / "two.toml")))
    assert len(report.trials) == 2


def test_the_report_is_on_the_disk(request_of: Callable[..., Request], tmp_path: Path) -> None:
    report = search(request_of(trials=3))
    kept = json.loads((tmp_path / "out" / "search.json").read_text())
    assert (kept["schema"], kept["finished"], kept["best"]) == ("chipfit.search", True, report.best)
    assert [t["number"] for t in kept["trials"]] == [t.number for t in report.trials]
