"""What is set against what, and which model no other one beats."""

from __future__ import annotations

from dataclasses import replace

import pytest

from chipfit.comparison import Accuracy, Change, Entry, OnBoard
from chipfit.comparison.report import is_on_front
from chipfit.evaluation.statistics import share_of
from chipfit.report.text_compare import percent, points
from comparison.reports import made_up

FIRST = OnBoard("nano", "balanced", "plain", 1000, 500, True, 10_000, 1.0, 0.5)


def entry(right: int, board: OnBoard, judged: int = 0) -> Entry:
    accuracy = Accuracy(judged, None, share_of(right, 100))
    return Entry("a", "a", "model", "", None, None, 1, 1, accuracy, "", (board,))


def test_changes() -> None:
    other = replace(FIRST, flash=480, ram=500, instructions=15_000, milliseconds=None)
    change = Change.between(FIRST, other)
    assert (change.flash, change.ram, change.instructions) == (pytest.approx(-0.52), 0.0, 0.5)
    assert (change.milliseconds, change.energy) == (None, 0.0)
    assert Change.between(FIRST, replace(other, is_whole=False)) == Change()
    assert Change.between(replace(FIRST, is_whole=False), other) == Change()
    assert [percent(x) for x in (-0.52, 0.0952, 1.5, -0.0001, None)] == ["-52%", "+9.5%", "+150%", "0%", ""]


@pytest.mark.parametrize(
    ("right", "changes", "judged", "expected"),
    [
        (90, {}, 0, True),  # as good in all
        (91, {}, 0, False),
        (91, {}, 1, True),  # by other samples
        (90, {"flash": 999}, 0, False),
        (90, {"ram": 499}, 0, False),
        (90, {"instructions": 9_999}, 0, False),
        (90, {"milliseconds": 0.1}, 0, True),
        (95, {"ram": 501}, 0, True),
        (95, {"problem": "too large"}, 0, True),
        (95, {"instructions": None}, 0, True),
    ],
)
def test_the_front(right: int, changes: dict[str, object], judged: int, expected: bool) -> None:
    one = entry(90, FIRST)
    other = entry(right, replace(FIRST, **changes), judged)  # pyright: ignore[reportArgumentType]
    assert is_on_front(one, (one, other), 0) is expected


def test_who_is_not_on_the_front() -> None:
    one = entry(90, FIRST)
    assert is_on_front(entry(90, replace(FIRST, problem="too large")), (one,), 0) is False
    assert is_on_front(replace(one, accuracy=None), (one,), 0) is None
    assert is_on_front(entry(90, replace(FIRST, instructions=None)), (one,), 0) is None


def test_noise_is_in_brackets() -> None:
    accuracies = [e.accuracy for e in made_up(12, ("nano",)).entries]
    said = [points(a) for a in accuracies]
    assert said[0] == ""
    for text, accuracy in zip(said[1:], accuracies[1:], strict=True):
        assert accuracy is not None
        assert accuracy.difference is not None
        assert text.startswith("(") == accuracy.difference.is_noise
    assert {text.startswith("(") for text in said[1:]} == {True, False}
