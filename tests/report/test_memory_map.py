"""The memory map as a picture: complete, deterministic, and no text over another."""

from __future__ import annotations

import dataclasses
import itertools
import json
import re
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings

import chipfit
from chipfit.demo import model_path
from chipfit.errors import ChipfitError
from chipfit.inspection import memory_report
from chipfit.plan import PlanInfo, Unit, describe, find_views, plan_memory, schedule
from chipfit.report.info import Alternative, MemoryReport
from chipfit.report.memory_map import check_format, draw_memory_map, memory_figure
from cli.cli_reports import EVIL, LONG
from plan.nets import Net, graphs

pytest.importorskip("matplotlib")

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(scope="module", params=["balanced", "ram"])
def report(request: pytest.FixtureRequest) -> MemoryReport:
    """The demo model, as whole layers and in runs."""
    model = chipfit.load(model_path("int8"))
    return memory_report(model, "nucleo-l4r5zi", optimize=request.param, alternatives=False)


def made(plan: PlanInfo) -> MemoryReport:
    return MemoryReport(EVIL, "host", "balanced", False, False, plan)


def rectangles(path: Path) -> list[str]:
    """The names of the blocks that an SVG file shows."""
    tree = ElementTree.parse(path)
    return [g.attrib["id"] for g in tree.iter(f"{SVG}g") if g.attrib.get("id", "").startswith("block-")]


def test_png_and_svg(report: MemoryReport, tmp_path: Path) -> None:
    png, svg = draw_memory_map(report, tmp_path / "map.png"), draw_memory_map(report, tmp_path / "map.svg")
    assert png.read_bytes().startswith(b"\x89PNG\r\n\x1a\n")
    assert rectangles(svg) == [f"block-{i}" for i, b in enumerate(report.plan.blocks) if b.bytes]
    for path in (png, svg):  # nothing of the day or of chance
        assert draw_memory_map(report, tmp_path / f"again{path.suffix}").read_bytes() == path.read_bytes()


def test_rectangles_lie_where_the_blocks_lie(report: MemoryReport) -> None:
    axes = memory_figure(report).axes[0]
    boxes = {p.get_gid(): p.get_bbox() for p in axes.patches if str(p.get_gid()).startswith("block-")}  # pyright: ignore
    plan = report.plan
    for i, block in enumerate(plan.blocks):
        box = boxes[f"block-{i}"]
        assert (box.y0, box.y1) == (block.offset, block.offset + block.bytes)
        for j, other in enumerate(plan.blocks):  # what is alive together lies above each other, what is not does not
            together = block.first <= other.last and other.first <= block.last
            assert together == (box.x0 < boxes[f"block-{j}"].x1 and boxes[f"block-{j}"].x0 < box.x1)


def texts_that_meet(report: MemoryReport) -> list[tuple[str, str]]:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.text import Text

    figure = memory_figure(report)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    shown = [t for t in figure.findobj(Text) if t.get_visible() and t.get_text()]
    boxes = [(t.get_text(), t.get_window_extent(canvas.get_renderer())) for t in shown]
    outside = [(name, "outside") for name, b in boxes if b.x0 < 0 or b.y0 < 0]
    return outside + [
        (a, b)
        for (a, p), (b, q) in itertools.combinations(boxes, 2)
        if p.x0 < q.x1 - 1 and q.x0 < p.x1 - 1 and p.y0 < q.y1 - 1 and q.y0 < p.y1 - 1
    ]


def test_no_text_lies_over_another(report: MemoryReport) -> None:
    assert texts_that_meet(report) == []


@pytest.mark.parametrize(("steps", "name"), [(0, "x"), (1, EVIL), (5, LONG), (20, "$\\frac{"), (65, "x" * 100)])
def test_any_length_and_any_name(steps: int, name: str, tmp_path: Path) -> None:
    net = Net()
    value = net.input(900)
    for k in range(steps):
        (value,) = net.work([value], 40 + 97 * k % 800)
    graph = net.done(value)
    memory = plan_memory(graph, [Unit((node,), {node: 30}) for node in graph.nodes], find_views(graph))
    info = describe(memory)
    blocks = tuple(dataclasses.replace(b, name=name) for b in info.blocks)
    named = made(dataclasses.replace(info, blocks=blocks))
    assert texts_that_meet(named) == []
    assert len(rectangles(draw_memory_map(named, tmp_path / "map.svg"))) == len(blocks)


@settings(deadline=None, max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(graph=graphs())
def test_every_plan_has_a_picture(graph: chipfit.Graph, tmp_path: Path) -> None:
    info = describe(plan_memory(graph, [Unit((node,)) for node in schedule(graph)], find_views(graph)))
    svg = draw_memory_map(made(info), tmp_path / "map.svg")
    assert len(rectangles(svg)) == sum(b.bytes > 0 for b in info.blocks)
    assert bool(re.search(r"<!-- state -->", svg.read_text(encoding="utf-8"))) == (info.state > 0)


def test_what_cannot_be_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ChipfitError, match="U001") as refused:
        check_format(Path("map.jpg"))
    assert ".png or .svg" in refused.value.hint
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ChipfitError, match="T001") as missing:
        check_format(Path("map.png"))
    assert "chipfit[report]" in missing.value.hint


def test_the_report_survives_json(report: MemoryReport) -> None:
    whole = dataclasses.replace(report, alternatives=(Alternative("x", 3, ("--optimize", "ram")), Alternative("y", 2)))
    data = json.loads(json.dumps(whole.to_json()))
    assert MemoryReport.from_json(data) == whole
    with pytest.raises(ValueError, match="2"):
        MemoryReport.from_json({**data, "version": 2})
