"""The picture of a comparison says what its report says."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from chipfit.comparison import CompareReport
from chipfit.errors import ChipfitError
from chipfit.report.compare_chart import comparison_figure, draw_comparison
from comparison.reports import made_up

pytest.importorskip("matplotlib")


def drawn(report: CompareReport) -> Any:
    figure: Any = comparison_figure(report)
    figure.draw_without_rendering()
    return figure


def texts(figure: Any) -> list[Any]:
    from matplotlib.text import Text

    # ticks beyond the ends of an axis have labels that are not drawn
    beyond: set[Text] = set()
    for axes in figure.axes:
        for axis, (low, high) in ((axes.xaxis, axes.get_xlim()), (axes.yaxis, sorted(axes.get_ylim()))):
            beyond |= {t.label1 for t in axis.get_major_ticks() if not low <= t.get_loc() <= high}
    return [t for t in figure.findobj(Text) if t.get_text() and t.get_visible() and t not in beyond]


def test_a_block_for_each_board() -> None:
    figure = drawn(made_up(3, ("nano", "uno"), large={(1, 1)}))
    assert len(figure.axes) == 2 * 5
    titles = [axes.get_title(loc="left") for axes in figure.axes]
    assert titles[::5] == ["accuracy on nano", "accuracy on uno"]
    assert titles[1:5] == ["flash", "RAM", "instructions", "time of a run"]
    said = {t.get_text() for t in texts(figure)}
    assert {"1  model0", "2  model1", "3  model2"} <= said
    assert any(t.startswith(">") for t in said)
    nano, uno = figure.axes[0], figure.axes[5]
    assert [len(axes.collections) for axes in (nano, uno)] == [3, 2]


def test_marks_lie_where_the_figures_are() -> None:
    report = made_up(4, ("nano",))
    axes = drawn(report).axes[0]
    marks = {tuple(np.round(c.get_offsets()[0], 6)): float(c.get_sizes()[0]) for c in axes.collections}
    areas: list[tuple[int, float]] = []
    for entry in report.entries:
        assert entry.accuracy is not None
        found = entry.boards[0]
        assert found.instructions is not None
        at = (round(found.instructions / 1e6, 6), round(100 * entry.accuracy.integer.share, 6))
        areas.append((found.flash or 0, marks[at]))
    assert [area for _, area in sorted(areas)] == sorted(marks.values())


@pytest.mark.parametrize(("count", "seed"), [(2, 0), (7, 0), (12, 1)])
def test_no_text_covers_another_one(count: int, seed: int) -> None:
    figure = drawn(made_up(count, ("arduino-nano-33-ble",), groups=2, seed=seed, large={(1, 0)}))
    boxes = [(t.get_text(), t.get_window_extent()) for t in texts(figure)]
    for (a, one), (b, other) in combinations(boxes, 2):
        width = min(one.x1, other.x1) - max(one.x0, other.x0)
        height = min(one.y1, other.y1) - max(one.y0, other.y0)
        assert min(width, height) < 3, f"'{a}' and '{b}'"
    size = figure.get_size_inches() * figure.dpi
    assert all(b.x0 >= 0 and b.y0 >= 0 and b.x1 <= size[0] and b.y1 <= size[1] for _, b in boxes)


def test_numbers_of_equal_models_lie_side_by_side() -> None:
    report = made_up(5, ("nano",))
    first = report.entries[0]
    equal = tuple(replace(e, accuracy=first.accuracy, boards=first.boards) for e in report.entries)
    axes = drawn(replace(report, entries=equal)).axes[0]
    boxes = [t.get_window_extent() for t in axes.texts]
    assert [t.get_text() for t in axes.texts] == ["1", "2", "3", "4", "5"]
    assert not any(a.overlaps(b) for a, b in combinations(boxes, 2))


def test_other_samples_have_other_marks() -> None:
    def shapes(groups: int) -> tuple[int, list[str]]:
        axes = drawn(made_up(4, ("nano",), groups=groups)).axes[0]
        legend = axes.get_legend()
        shown = {c.get_paths()[0].vertices.tobytes() for c in axes.collections if len(c.get_offsets())}
        return len(shown), [] if legend is None else [t.get_text() for t in legend.get_texts()]

    assert shapes(1) == (1, [])
    assert shapes(2) == (2, ["judged by 412 samples of photos0", "judged by 412 samples of photos1"])


def test_without_accuracy_there_are_bars() -> None:
    report = made_up(2, ("nano",))
    bare = replace(report, judged=(), entries=tuple(replace(e, accuracy=None) for e in report.entries))
    figure = drawn(bare)
    assert figure.axes[0].get_title(loc="left") == "flash on nano"
    assert len(figure.axes) == 4


def test_energy_is_shown_where_it_is_known(tmp_path: Path) -> None:
    assert drawn(made_up(2, ("nano",), energy=True)).axes[-1].get_title(loc="left") == "energy of a run"
    path = draw_comparison(made_up(2, ("nano",)), tmp_path / "a.png")
    assert path.read_bytes()[1:4] == b"PNG"
    with pytest.raises(ChipfitError, match="U001"):
        draw_comparison(made_up(2, ("nano",)), tmp_path / "a.gif")
