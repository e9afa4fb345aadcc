"""What ``chipfit quantize --explain`` says: every tensor, the most expensive roundings, advice."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.text import Text

from chipfit.quantize.diagnose import Advice, Diagnosis, Histogram, Sensitivity, TensorDetails
from chipfit.report.memory_map import short_names
from chipfit.report.text import Column, count, facts, plural, safe, table

BARS = " ▁▂▃▄▅▆▇█"
"""Eighths; a blank stands for no element at all."""

CELLS = 12
"""Of a histogram in a line."""

_RANKED = 8
_EXACT = "exact"


def diagnosis_text(diagnosis: Diagnosis, width: int) -> RenderableType:
    names = short_names([t.name for t in diagnosis.tensors])
    return Group(
        _tensors(diagnosis.tensors, names, width),
        Text(legend(diagnosis), style="dim"),
        Text(""),
        _ranking(diagnosis, names, width),
        *_advice(diagnosis.advice, names),
    )


def decibels(sqnr: float | None) -> str:
    return _EXACT if sqnr is None else f"{sqnr:.1f}"


def sparkline(histogram: Histogram, cells: int = CELLS) -> str:
    """Counts as bars, by their square root, so that rare elements are seen, too."""
    counts, bins = histogram.counts, len(histogram.counts)
    sums = [sum(counts[i * bins // cells : (i + 1) * bins // cells]) for i in range(cells)]
    most = max(sums) or 1
    return "".join(BARS[0 if n == 0 else 1 + round(7 * (n / most) ** 0.5)] for n in sums)


def _tensors(tensors: Sequence[TensorDetails], names: dict[str, str], width: int) -> RenderableType:
    columns = [
        Column("tensor", flexible=True),
        Column("op", wide=130, style="dim"),
        Column("network", "right"),
        Column("inherited", "right", wide=96),
        Column("weights", "right"),
        Column("rounding", "right"),
        Column("made here", "right", wide=72),
        Column("range", "right", wide=112),
        Column("used", "right"),
        Column("clipped", "right", wide=104),
        Column("spread", "right", wide=120),
        Column("dead", "right", wide=140),
        Column("histogram", wide=80),
    ]
    rows = [
        (
            names[t.name],
            t.op,
            decibels(t.sqnr),
            "" if t.op == "input" else decibels(t.inherited),
            "" if t.weights is None else decibels(t.weights.sqnr),
            decibels(t.rounding),
            _percent(t.made, 0),
            "" if t.low is None or t.high is None else f"{t.low:.3g}..{t.high:.3g}",
            _percent(t.used, 0),
            clipped(t),
            f"{t.spread:.1f}x",
            f"{t.dead}/{t.channels}" if t.dead else "",
            sparkline(t.histogram),
        )
        for t in tensors
    ]
    return table(columns, rows, width)


def clipped(t: TensorDetails) -> str:
    """Share of the elements beyond the integers, empty where there are none."""
    share = 100 * (t.clipped or 0.0)
    return "" if share == 0.0 else "<0.01%" if share < 0.01 else f"{share:.2f}%"


def _percent(part: float | None, digits: int) -> str:
    return "" if part is None else f"{100 * part:.{digits}f}%"


def _ranking(diagnosis: Diagnosis, names: dict[str, str], width: int) -> RenderableType:
    """Bars grow with the noise: full for the most expensive rounding."""
    ranked = [s for s in diagnosis.ranking if s.sqnr is not None][:_RANKED]
    columns = [
        Column(f"rounded alone ({plural(diagnosis.samples, 'sample')})", flexible=True),
        Column("what"),
        Column("left, dB", "right"),
        Column("share of noise", wide=72),
    ]
    rows = [(names.get(s.name, s.name), s.part, decibels(s.sqnr), _bar(s, diagnosis)) for s in ranked]
    return table(columns, rows, width)


def _bar(one: Sensitivity, diagnosis: Diagnosis) -> str:
    """Of the noise of all roundings on their own."""
    powers = [10 ** (-s.sqnr / 10) for s in diagnosis.ranking if s.sqnr is not None]
    share = 10 ** (-(one.sqnr or 0.0) / 10) / sum(powers)
    return f"{100 * share:3.0f}% {BARS[-1] * round(20 * share)}"


def _advice(advice: Sequence[Advice], names: dict[str, str]) -> list[RenderableType]:
    if not advice:
        return [Text(""), facts([("advice", "none: nothing that was tried or looked at would pay")])]
    lines: list[tuple[str, RenderableType]] = []
    for i, item in enumerate(advice):
        about = safe(names.get(item.about, item.about))
        text = Text.assemble((about, "bold"), f": {safe(item.text)}")
        if item.recipe is not None:
            text.append("\nrecipe  ", "dim")
            text.append(safe(item.recipe), "cyan")
        lines.append(("advice" if i == 0 else "", text))
    return [Text(""), facts(lines)]


def legend(diagnosis: Diagnosis) -> str:
    """What the columns mean."""
    return (
        f"dB of signal to noise on {count(diagnosis.samples)} samples: in the whole network; inherited from the layers "
        "before; of the layer's weights alone; of its rounding alone. Made here: share of its noise that is its own."
    )
