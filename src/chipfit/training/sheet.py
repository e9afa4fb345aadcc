"""A picture of pictures: some of each class as the network gets them, and the same after augmentation.

Needs matplotlib (``pip install 'chipfit[report]'``), which is imported only when a sheet is drawn.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from chipfit.errors import ChipfitError
from chipfit.files import staged_file
from chipfit.graph import Array
from chipfit.training.augment import NONE, Augmentation
from chipfit.training.pictures import PictureSet
from chipfit.training.split import Split

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_INK, _DIM = "#222222", "#666666"
_MOST_CLASSES = 12
_COLUMNS = 9
_ROWS = 2
"""Rows of a class, where there are few classes."""
_CELL = 104
"""Pixels that a picture takes at least on the sheet, if whole enlargements allow."""
_GAP, _EDGE, _LABELS, _HEAD, _BLOCK = 6, 28, 190, 86, 44
"""Pixels: between pictures, around all, for the names, for the heading, above a block."""
_DPI = 100


@dataclass(frozen=True)
class _Block:
    """``rows``: of each class, (pictures, height, width, channels)."""

    title: str
    rows: tuple[Array, ...]


def draw_sheet(
    pictures: PictureSet, split: Split, path: str | Path, augmentation: Augmentation = NONE, seed: int = 0
) -> Path:
    """Write a sheet of training pictures as a ``.png`` file, whole or not at all; returns its path.

    Of more than 12 classes the first 12 are shown. The same pictures and seed give the same file. Raises ChipfitError
    T001 without matplotlib, P003 if the file cannot be written.
    """
    try:
        from matplotlib import rc_context
    except ImportError:
        raise ChipfitError("T001", "the sheet is drawn with matplotlib", "pip install 'chipfit[report]'") from None
    target = Path(path)
    figure = sheet_figure(pictures, split, augmentation, seed)
    data = io.BytesIO()
    with rc_context({"savefig.dpi": "figure"}):
        figure.savefig(data, format="png", metadata={"Software": None})
    with staged_file(target) as part:
        part.write_bytes(data.getvalue())
    return target


def sheet_figure(pictures: PictureSet, split: Split, augmentation: Augmentation = NONE, seed: int = 0) -> Figure:
    """The sheet as a matplotlib figure, one pixel of it for one of the file."""
    from matplotlib.figure import Figure

    rng = np.random.default_rng(seed)
    labels = range(min(len(pictures.classes), _MOST_CLASSES))
    per_class = _COLUMNS * (_ROWS if len(labels) <= _MOST_CLASSES // (2 * _ROWS) else 1)
    chosen = [_chosen(split.train[pictures.labels[split.train] == label], per_class, rng) for label in labels]
    blocks = [_Block("as the network gets them", tuple(pictures.pixels[i] for i in chosen))]
    if augmentation != NONE:
        changed = tuple(augmentation.apply(row, rng) for row in blocks[0].rows)
        blocks.append(_Block("as it learns from them: the same, changed anew each time", changed))
    height, width = _cell(pictures.shape)
    lines = -(-per_class // _COLUMNS)
    class_height = lines * (height + _GAP) + _GAP
    sheet_width = max(2 * _EDGE + _LABELS + _COLUMNS * (width + _GAP), 760)
    sheet_height = _EDGE + _HEAD + len(blocks) * (_BLOCK + len(labels) * class_height) + _EDGE
    figure = Figure(figsize=(sheet_width / _DPI, sheet_height / _DPI), dpi=_DPI, facecolor="white")
    page = _Page(figure, sheet_width, sheet_height)
    _draw_head(page, pictures, split)
    top = _EDGE + _HEAD
    for number, block in enumerate(blocks):
        page.text(_EDGE, top + 14, block.title, 10, _DIM)
        page.line(_EDGE, top + 34, sheet_width - _EDGE)
        top += _BLOCK
        for label, row in zip(labels, block.rows, strict=True):
            page.text(_EDGE, top + 2, _cut(pictures.classes[label], 20), 12, weight="bold")
            if number == 0:
                _draw_counts(page, top, pictures, split, label)
            for i, pixels in enumerate(row):
                line, column = divmod(i, _COLUMNS)
                x = _EDGE + _LABELS + column * (width + _GAP)
                page.picture(x, top + line * (height + _GAP), _resized(pixels, height, width))
            top += class_height
    return figure


@dataclass(frozen=True)
class _Page:
    """Draws at pixels from the upper left corner."""

    figure: Figure
    width: int
    height: int

    def text(self, x: int, y: int, text: str, size: float, colour: str = _INK, weight: str = "normal") -> None:
        """``y``: of the text's upper edge."""
        drawn = self.figure.text(
            x / self.width, 1 - y / self.height, _shown(text), fontsize=size, color=colour, fontweight=weight, va="top",
            family="DejaVu Sans",
        )  # fmt: skip
        drawn.set_parse_math(False)  # names are data: "$" too

    def line(self, x: int, y: int, to: int) -> None:
        from matplotlib.lines import Line2D

        place = 1 - (y - 0.5) / self.height
        ends = [x / self.width, to / self.width]
        self.figure.add_artist(Line2D(ends, [place, place], color="#DDDDDD", linewidth=0.8))

    def picture(self, x: int, y: int, pixels: Array) -> None:
        self.figure.figimage(pixels, x, self.height - y - pixels.shape[0], origin="upper")


def _chosen(indices: Array, count: int, rng: np.random.Generator) -> Array:
    return np.sort(rng.choice(indices, min(count, len(indices)), replace=False))


def _cell(shape: tuple[int, int, int]) -> tuple[int, int]:
    """Height and width on the sheet: small pictures are enlarged by a whole number, large ones are halved."""
    height, width, _ = shape
    least = min(height, width)
    factor = max(1, round(_CELL / least)) if max(height, width) <= 1.5 * _CELL else 0.5
    return round(height * factor), round(width * factor)


def _resized(pixels: Array, height: int, width: int) -> Array:
    if height >= pixels.shape[0]:
        factor = height // pixels.shape[0]
        big = pixels.repeat(factor, 0).repeat(factor, 1)
    else:  # the mean of 2 x 2; of an odd side the last pixel goes
        even = pixels[: height * 2, : width * 2].astype(np.uint16)
        big = ((even[::2, ::2] + even[1::2, ::2] + even[::2, 1::2] + even[1::2, 1::2] + 2) // 4).astype(np.uint8)
    return np.broadcast_to(big, (*big.shape[:2], 3))


def _draw_head(page: _Page, pictures: PictureSet, split: Split) -> None:
    height, width, channels = pictures.shape
    page.text(_EDGE, _EDGE, pictures.folder.resolve().name or str(pictures.folder), 16, weight="bold")
    classes = len(pictures.classes)
    shown = "" if classes <= _MOST_CLASSES else f" (the first {_MOST_CLASSES} are shown)"
    told = f" of {classes} classes{shown}" if classes > 1 else ""
    broken = f", {len(pictures.broken)} broken files left out" if pictures.broken else ""
    said = (
        f"{len(pictures):,} pictures{told}, {width} x {height} pixels, {'colour' if channels == 3 else 'grey'}{broken}"
    )
    page.text(_EDGE, _EDGE + 32, said, 10, _DIM)
    page.text(
        _EDGE, _EDGE + 52,
        f"{len(split.train):,} to train with, {len(split.validation):,} to validate with ({split.how})", 10, _DIM,
    )  # fmt: skip


def _draw_counts(page: _Page, top: int, pictures: PictureSet, split: Split, label: int) -> None:
    train, validation = pictures.counts(split.train)[label], pictures.counts(split.validation)[label]
    page.text(_EDGE, top + 24, f"{train:,} to train with", 9, _DIM)
    page.text(_EDGE, top + 40, f"{validation:,} to validate with", 9, _DIM)


def _cut(name: str, most: int) -> str:
    return name if len(name) <= most else name[: most - 1] + "…"


def _shown(text: str) -> str:
    """What the font can show."""
    from matplotlib.font_manager import FontProperties, findfont, get_font

    font = get_font(findfont(FontProperties(family="DejaVu Sans")))
    return "".join(c if font.get_char_index(ord(c)) else "?" for c in text)
