"""The memory map as a picture: time to the right, addresses up, a rectangle for every block.

Needs matplotlib (``pip install 'chipfit[report]'``), which is imported only when a picture is drawn. Colours are those
of Okabe and Ito (2008), which colour-blind readers tell apart; hatching says the same a second time.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from chipfit.errors import ChipfitError
from chipfit.plan import BlockInfo, PlanInfo
from chipfit.report.info import MemoryReport

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FORMATS = (".png", ".svg")

_COLOURS = {
    "input": "#0072B2",
    "output": "#009E73",
    "tensor": "#56B4E9",
    "rows": "#E69F00",
    "sums": "#CC79A7",
    "scratch": "#9A9A9A",
    "state": "#F0E442",
}
_KINDS = {
    "input": "input",
    "output": "output",
    "tensor": "tensor",
    "rows": "window of rows",
    "sums": "sums of a global pool",
    "scratch": "scratch of a kernel",
    "state": "state",
}
_NEXT_TENSOR = "#B4DCF5"
"""Every other tensor is paler: neighbours often overlap."""

_INK, _DIM, _PEAK = "#222222", "#555555", "#D55E00"

_EDGE = 0.7
"""Columns for what is there before the first step, and for what is left after the last."""

_LEAST_RUN = 4
"""Columns of a run of layers, at least."""

_OFF_MAP = 1.6
"""A bound that is higher than so many arenas is named above the map instead of drawn."""

_DPI = 150


def draw_memory_map(report: MemoryReport, path: str | Path) -> Path:
    """Draw the memory map of a report into a ``.png`` or ``.svg`` file; returns its path.

    Raises ChipfitError U001 for another ending, T001 without matplotlib.
    """
    target = Path(path)
    check_format(target)
    figure = memory_figure(report)
    from matplotlib import rc_context

    with rc_context({"svg.hashsalt": "chipfit"}):  # the same map gives the same file
        figure.savefig(target, metadata={"Date": None} if target.suffix == ".svg" else {"Software": None})
    return target


def check_format(path: Path) -> None:
    """Raise U001 if a picture cannot have that ending, T001 if none can be drawn at all."""
    if path.suffix not in FORMATS:
        raise ChipfitError("U001", f"a picture cannot be written to '{path}'", "name a file that ends in .png or .svg")
    try:
        import matplotlib  # noqa: F401  # pyright: ignore[reportUnusedImport]
    except ImportError as error:
        raise ChipfitError(
            "T001", "the picture needs matplotlib, which is not installed", "pip install 'chipfit[report]'"
        ) from error


def memory_figure(report: MemoryReport) -> Figure:
    """The picture as a matplotlib figure."""
    from matplotlib.figure import Figure

    plan = report.plan
    time = _Time(plan)
    figure = Figure(figsize=(time.inches + 2.6, 6.8), dpi=_DPI)
    widths = [time.inches, 0.35] if plan.state else [time.inches]
    grid = figure.add_gridspec(
        2, len(widths), height_ratios=[5, 1], width_ratios=widths, left=0.75 / figure.get_figwidth(),
        right=1 - 1.5 / figure.get_figwidth(), bottom=0.235, top=0.845, hspace=0.06, wspace=0.02,
    )  # fmt: skip
    memory = figure.add_subplot(grid[0, 0])
    needs = figure.add_subplot(grid[1, 0], sharex=memory)
    limit = _limit(plan)
    _draw_blocks(memory, plan, time)
    _draw_bounds(memory, plan, limit, is_last=not plan.state)
    _draw_steps(memory, needs, plan, time)
    _address_axis(memory, limit)
    memory.set_ylabel("address, KiB", fontsize=8)
    if plan.state:
        _draw_state(figure.add_subplot(grid[0, 1], sharey=memory), plan)
    _head(figure, report)
    _label_blocks(figure, memory, plan, time)
    for text in figure.findobj(lambda artist: hasattr(artist, "set_parse_math")):
        text.set_parse_math(False)  # pyright: ignore[reportAttributeAccessIssue]  # names are data: "$" too
    return figure


class _Time:
    """Where on the horizontal axis each step lies: a layer is one column, a run of layers is wider."""

    def __init__(self, plan: PlanInfo) -> None:
        self.widths = [1.0 if s.layers == 1 else float(max(_LEAST_RUN, s.layers)) for s in plan.steps]
        self.starts = [sum(self.widths[:k]) for k in range(len(self.widths) + 1)]
        self.total = self.starts[-1]
        self.inches = min(18.0, max(8.0, 0.36 * (self.total + 2 * _EDGE)))

    def span(self, step: int) -> tuple[float, float]:
        if step < 0:
            return -_EDGE, 0.0
        if step >= len(self.widths):
            return self.total, self.total + _EDGE
        return self.starts[step], self.starts[step + 1]

    def of(self, block: BlockInfo) -> tuple[float, float]:
        return self.span(block.first)[0], self.span(block.last)[1]


def _limit(plan: PlanInfo) -> float:
    """The highest address of the map: room for what is drawn above the arena."""
    top = max(plan.arena, plan.state, 1)
    drawn = plan.plain_bound if plan.plain_bound <= _OFF_MAP * top else 0
    return 1.06 * max(top, drawn)


# ---------------------------------------------------------------------------------------------- blocks


def _colours(plan: PlanInfo) -> list[str]:
    colours: list[str] = []
    tensors = 0
    for block in plan.blocks:
        kind = block.kind.split(",")[0]
        tensors += kind == "tensor"
        colours.append(_NEXT_TENSOR if kind == "tensor" and tensors % 2 == 0 else _COLOURS[kind])
    return colours


def _draw_blocks(axes: Axes, plan: PlanInfo, time: _Time) -> None:
    """A rectangle for each block's place, filled where its bytes are in use."""
    from matplotlib.patches import Rectangle

    live = {(step, item.block): item.changes for step, s in enumerate(plan.steps) for item in s.live}
    for i, (block, colour) in enumerate(zip(plan.blocks, _colours(plan), strict=True)):
        if not block.bytes:
            continue
        left, right = time.of(block)
        is_window = block.kind == "rows"
        axes.add_patch(
            Rectangle(
                (left, block.offset), right - left, block.bytes, gid=f"block-{i}", zorder=3, linewidth=0.6,
                facecolor=(*_rgb(colour), 0.12), edgecolor=_darker(colour),
                hatch="////" if is_window else None, hatch_linewidth=0.25,
            )
        )  # fmt: skip
        for step in range(block.first, block.last + 1):
            x0, x1 = time.span(step)
            changes = live.get((step, i), ((0, 0, block.bytes),))
            moments = plan.steps[step].moments if 0 <= step < len(plan.steps) else 1
            _fill(axes, block.offset, changes, (x0, x1), moments, colour)


def _fill(
    axes: Axes,
    offset: int,
    changes: Sequence[tuple[int, int, int]],
    span: tuple[float, float],
    moments: int,
    colour: str,
) -> None:
    """The bytes in use during a step, as a staircase."""
    moment = (span[1] - span[0]) / moments
    x = [*(span[0] + at * moment for at, _, _ in changes), span[1]]
    low = [offset + a for _, a, _ in changes]
    high = [offset + b for _, _, b in changes]
    axes.fill_between(
        x, [*low, low[-1]], [*high, high[-1]], step="post", color=colour, alpha=0.7, linewidth=0, zorder=2
    )


def _rgb(colour: str) -> tuple[float, float, float]:
    r, g, b = (int(colour[k : k + 2], 16) / 255 for k in (1, 3, 5))
    return r, g, b


def _darker(colour: str) -> tuple[float, float, float]:
    r, g, b = _rgb(colour)
    return 0.4 * r, 0.4 * g, 0.4 * b


def _draw_state(axes: Axes, plan: PlanInfo) -> None:
    """Variables survive a run: a band of their own."""
    from matplotlib.patches import Rectangle

    ends = [*(v.offset for v in plan.variables[1:]), plan.state]
    for variable, end in zip(plan.variables, ends, strict=True):
        size = end - variable.offset
        axes.add_patch(
            Rectangle((0, variable.offset), 1, size, facecolor=_COLOURS["state"], edgecolor=_INK, linewidth=0.7)
        )
    axes.set_xlim(0, 1)
    axes.set_xticks([])
    axes.tick_params(left=False, labelleft=False)
    axes.set_xlabel("state", fontsize=8, color=_INK)
    for side in ("top", "right", "left", "bottom"):
        axes.spines[side].set_visible(False)


# ---------------------------------------------------------------------------------------------- axes and lines


def _draw_bounds(axes: Axes, plan: PlanInfo, limit: float, is_last: bool) -> None:
    """Lines for the arena and for what is needed at least, named at the right margin."""
    lines = [(plan.plain_bound, "tensors alone,\nnothing shared", ":", _DIM)]
    if plan.lower_bound == plan.arena:
        lines.append((plan.arena, "arena\n= lower bound", "-", _PEAK))
    else:
        lines += [(plan.lower_bound, "lower bound", "--", _DIM), (plan.arena, "arena", "-", _PEAK)]
    named: list[tuple[float, str, str]] = []
    for nbytes, name, style, colour in lines:
        if nbytes <= limit:
            axes.axhline(nbytes, linestyle=style, color=colour, linewidth=1.4, zorder=5)
            named.append((nbytes, f"{name}\n{nbytes:,} B", colour))
        else:
            named.append((limit, f"{name}\n{nbytes:,} B \N{UPWARDS ARROW}", colour))
    for region in plan.regions if len(plan.regions) > 1 else ():
        axes.axhline(region.offset, linestyle="-.", color=_INK, linewidth=1, zorder=5)
        name = printable(f"{region.memory} from here on")
        axes.text(
            0.995, region.offset + 0.006 * limit, name, transform=axes.get_yaxis_transform(), fontsize=7.5, ha="right"
        )
    right = 1.01 if is_last else 1.07
    height, below = 0.0, limit
    for at, text, colour in sorted(named, reverse=True):
        height = limit * (0.012 + 0.031 * (text.count("\n") + 1))
        y = min(at + height / 2, below)
        axes.text(
            right, y, text, transform=axes.get_yaxis_transform(), fontsize=7.5, color=colour, va="top", linespacing=1.1
        )
        below = y - height - 0.02 * limit


def _draw_steps(memory: Axes, needs: Axes, plan: PlanInfo, time: _Time) -> None:
    """Columns with their names, the bytes that each needs, and the busiest of them marked."""
    from matplotlib.ticker import MaxNLocator

    middles = [sum(time.span(k)) / 2 for k in range(len(plan.steps))]
    for k, step in enumerate(plan.steps):
        left, right = time.span(k)
        is_busiest = k == plan.busiest
        needs.bar((left + right) / 2, step.bound / 1024, right - left - 0.14, color=_PEAK if is_busiest else "#B8B8B8")
        if is_busiest:
            for axes in (memory, needs):
                axes.axvspan(left, right, color=_PEAK, alpha=0.09, zorder=0, linewidth=0)
    for left in time.starts:
        memory.axvline(left, color="#DDDDDD", linewidth=0.5, zorder=1)
    names = [f"{k}  {s.op if s.layers == 1 else f'{s.layers} layers by rows'}" for k, s in enumerate(plan.steps)]
    at = [-_EDGE / 2, *middles, time.total + _EDGE / 2]
    needs.set_xticks(at, ["in", *names, "out"], rotation=90, fontsize=7)
    busiest = plan.busiest + 1
    if plan.steps:
        needs.get_xticklabels()[busiest].set_color(_PEAK)
        needs.get_xticklabels()[busiest].set_fontweight("bold")
    memory.tick_params(labelbottom=False, bottom=False)
    needs.set_ylabel("needed at\nleast, KiB", fontsize=8)
    needs.set_xlim(-_EDGE, time.total + _EDGE)
    needs.set_ylim(0, 1.3 * max([s.bound / 1024 for s in plan.steps], default=0) or 1)
    needs.yaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 5, 10], prune="upper"))
    needs.tick_params(axis="y", labelsize=7)
    for axes in (memory, needs):
        axes.spines[["top", "right"]].set_visible(False)


def _address_axis(axes: Axes, limit: float) -> None:
    """Ticks at round KiB."""
    wanted = limit / 1024 / 8
    step = next(s for s in (2.0**k * f for k in range(-8, 24) for f in (1.0,)) if s >= wanted)
    count = int(limit / 1024 / step) + 1
    axes.set_yticks([k * step * 1024 for k in range(count)], [f"{k * step:g}" for k in range(count)], fontsize=8)
    axes.set_ylim(0, limit)


def _head(figure: Figure, report: MemoryReport) -> None:
    from matplotlib.patches import Patch

    plan = report.plan
    figure.text(0.012, 0.975, printable(report.title), fontsize=12, fontweight="bold", va="top", color=_INK)
    note = "filled: bytes in use; outlined: their place. A layer may write its output over input that it has read."
    figure.text(0.012, 0.935, note, fontsize=8, va="top", color=_DIM)
    kinds = {b.kind.split(",")[0] for b in plan.blocks} | ({"state"} if plan.state else set())
    patches = [
        Patch(
            facecolor=(*_rgb(_COLOURS[kind]), 0.65), edgecolor=_INK, linewidth=0.7, label=name,
            hatch="////" if kind == "rows" else None,
        )
        for kind, name in _KINDS.items()
        if kind in kinds
    ]  # fmt: skip
    busiest = Patch(facecolor=(*_rgb(_PEAK), 0.2), edgecolor="none", label="busiest step")
    figure.legend(
        handles=[*patches, busiest], loc="upper left", bbox_to_anchor=(0.006, 0.915), ncols=8, fontsize=7.5,
        frameon=False, handlelength=1.4, columnspacing=1.3, borderaxespad=0,
    )  # fmt: skip


# ---------------------------------------------------------------------------------------------- names in the map


def _label_blocks(figure: Figure, axes: Axes, plan: PlanInfo, time: _Time) -> None:
    """Name blocks, the largest first, where the name fits and meets no other name."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.patheffects import withStroke

    renderer: Any = FigureCanvasAgg(figure).get_renderer()
    shown = [text.get_window_extent(renderer) for text in axes.texts]
    taken = [((b.x0 + b.x1) / 2, (b.y0 + b.y1) / 2, b.width, b.height) for b in shown]
    names = short_names([b.name for b in plan.blocks])
    halo = [withStroke(linewidth=1.8, foreground=(1, 1, 1, 0.65))]
    ranked = sorted(range(len(plan.blocks)), key=lambda i: -plan.blocks[i].bytes * _length(time, plan.blocks[i]))
    for i in ranked:
        block = plan.blocks[i]
        if not block.bytes:
            continue
        left, right = time.of(block)
        box = axes.transData.transform([(left, block.offset), (right, block.offset + block.bytes)])
        (x0, y0), (x1, y1) = box
        for text, rotation in _variants(block, names[block.name]):
            label = axes.text(
                0, 0, text, fontsize=6.5, rotation=rotation, ha="center", va="center", color=_INK, zorder=6,
                linespacing=1.05, parse_math=False, path_effects=halo,
            )  # fmt: skip
            extent = label.get_window_extent(renderer)
            spot = _spot((x0, y0, x1, y1), extent.width, extent.height, taken)
            if spot is not None:
                x, y = axes.transData.inverted().transform(spot)
                label.set_position((x, y))
                taken.append((spot[0], spot[1], extent.width, extent.height))
                break
            label.remove()


def _length(time: _Time, block: BlockInfo) -> float:
    left, right = time.of(block)
    return right - left


def _variants(block: BlockInfo, short: str) -> list[tuple[str, int]]:
    """What may be written into a block, with the angle, the best first."""
    name = short if block.kind != "scratch" else "scratch"
    size = f"{block.bytes:,} B"
    rows = f"{block.rows} of {block.height} rows, " if block.rows is not None else ""
    return [
        (f"{name}\n{rows}{size}", 0),
        (f"{name}  {rows}{size}", 0),
        (f"{name}\n{size}", 90),
        (name, 0),
        (name, 90),
        (size, 0),
        (size, 90),
    ]


def _spot(
    box: tuple[float, float, float, float], width: float, height: float, taken: Sequence[tuple[float, ...]]
) -> tuple[float, float] | None:
    """Where in a box the middle of a text can lie that meets no other: near the box's own middle, if possible."""
    x0, y0, x1, y1 = box
    margin = 3.0
    slack_x, slack_y = (x1 - x0) - width - 2 * margin, (y1 - y0) - height - 2 * margin
    if slack_x < 0 or slack_y < 0:
        return None
    middle = (x0 + x1) / 2, (y0 + y1) / 2
    shifts = (0, -0.25, 0.25, -0.5, 0.5)
    for dy in shifts:
        for dx in shifts:
            x, y = middle[0] + dx * slack_x, middle[1] + dy * slack_y
            if all(
                abs(x - tx) >= (width + tw) / 2 + margin or abs(y - ty) >= (height + th) / 2 + margin
                for tx, ty, tw, th in taken
            ):
                return x, y
    return None


def short_names(names: Sequence[str]) -> dict[str, str]:
    """The part of each name that tells it from others: of the first of its joined names the last two levels, not
    counting levels that a third of all names have."""
    levels = {name: name.split(";")[0].split("/") for name in names}
    counts = Counter(level for parts in levels.values() for level in set(parts))
    rare = {name: [p for p in parts if 3 * counts[p] <= len(levels)] for name, parts in levels.items()}
    return {name: printable("/".join((rare[name] or parts)[-2:]))[:40] for name, parts in levels.items()}


def printable(text: str) -> str:
    """What the font can show."""
    return "".join(c if c.isprintable() and ord(c) < 0x250 else "?" for c in text)
