"""Where the pixels of a tensor lie in a feature map of the KPU, and which layers can work on them there.

The KPU always convolves with stride 1 and a border of one pixel, and keeps every second pixel only where its pooling
unit does so. What a graph asks for is a part of that: a layer without padding gives a map whose border means nothing, a
stride gives one of which every second pixel counts. Such a map need not be cut out: the next layer may well work on it
as it lies.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from chipfit.kmodel.format.layout import MapLayout

Pads = tuple[int, int, int, int]

LEFT_TOP, RIGHT_TOP, LEFT_TOP_4 = 5, 6, 7


@dataclass(frozen=True)
class View:
    """Pixel (i, j) of ``rows`` x ``columns`` lies at (top + i * step, left + j * step) of a map ``height`` x ``width``.

    ``zeros``: what surrounds it in the map, at least one pixel below and to the right, stands for 0.
    """

    channels: int
    height: int
    width: int
    rows: int
    columns: int
    top: int = 0
    left: int = 0
    step: int = 1
    zeros: bool = False

    @staticmethod
    def whole(channels: int, height: int, width: int) -> View:
        return View(channels, height, width, height, width)

    @property
    def is_whole(self) -> bool:
        """Whether the map is the tensor."""
        return self.step == 1 and (self.rows, self.columns) == (self.height, self.width)

    @property
    def layout(self) -> MapLayout:
        return MapLayout(self.channels, self.height, self.width)

    def convolved(self, channels: int, kernel: int, stride: int, pad: Pads, rows: int, columns: int) -> View | str:
        """Where the results lie before pooling, or why this layer cannot work on the map as it lies."""
        if kernel == 3 and self.step > 1:
            return "only every second pixel of its input counts"
        shift = 1 if kernel == 3 else 0
        top, left = self.top + shift - pad[0], self.left + shift - pad[1]
        if kernel == 3:
            for pads, first, size, length, count in (
                (pad[0], self.top, self.rows, self.height, rows),
                (pad[1], self.left, self.columns, self.width, columns),
            ):
                last = first + (count - 1) * stride + 2 - pads
                end = first + size
                if pads and first:
                    return "the zeros around its input would lie inside the map"
                if last > end or (last == end and end != length and not self.zeros):
                    return "the zeros around its input would lie inside the map"
        return replace(
            self,
            channels=channels,
            top=top,
            left=left,
            step=self.step * stride,
            rows=rows,
            columns=columns,
            zeros=False,
        )

    def part(self, top: int, left: int, step: int, rows: int, columns: int) -> View:
        """Of its own pixels ``rows`` x ``columns`` from (top, left) on, every ``step``-th."""
        return replace(
            self,
            top=self.top + top * self.step,
            left=self.left + left * self.step,
            step=self.step * step,
            rows=rows,
            columns=columns,
            zeros=False,
        )

    def kept(self) -> tuple[int, View] | None:
        """The pooling that keeps just the pixels that count, and what it leaves; None: there is none."""
        if self.step == 4 and self.top % 4 == 0 and self.left % 4 == 0:
            pool = LEFT_TOP_4
        elif self.step == 2 and self.top % 2 == 0:
            pool = LEFT_TOP if self.left % 2 == 0 else RIGHT_TOP
        else:
            return None
        return self._shrunk(pool, self.step)

    def pooled(self, pool: int, size: int, rows: int, columns: int) -> tuple[int, View] | None:
        """The same for windows of ``size`` that lie side by side."""
        if self.step != 1 or self.top % size or self.left % size:
            return None
        return replace(self, rows=rows, columns=columns)._shrunk(pool, size)

    def _shrunk(self, pool: int, size: int) -> tuple[int, View] | None:
        height, width = self.height // size, self.width // size
        top, left = self.top // size, self.left // size
        if top + self.rows > height or left + self.columns > width:
            return None
        small = View(self.channels, height, width, self.rows, self.columns, top, left)
        return pool, small
