"""Convolution on cores with DSP instructions: order of the weights, scratch, and when the kernels can be used.

The C side is runtime/include/cf_conv_dsp.h (which input bytes a pixel sees, in which order) and cf_tile_conv.h (what
is done with them).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import groupby

import numpy as np

from chipfit.fixedpoint import Int
from chipfit.graph import Array, Node
from chipfit.ops._activation import activation_range
from chipfit.ops._base import Call, Const, Function, Port, Scratch
from chipfit.ops._channels import constant_operands
from chipfit.ops._coded import Coded
from chipfit.ops._conv_forms import LINE, K, Pair, conv_channels, pairs_of, plain_reason
from chipfit.ops._prepared import prepared
from chipfit.ops._traversal import Traversal, window_spans, windows_traversal

_UNITS, _UNITS_LONG = 8, 18
"""How many units of 8 values the tile runs through in one go, and the one of the direct kernel."""

_DIRECT_SCRATCH = 8192
"""Bytes up to which the direct kernel may keep rows: it saves a tenth of the instructions."""

_TILE, _TILE_SCRATCH = 8, 2048
"""Pixels of a tile of the direct kernel at most, and the bytes for which it has fewer (2 at least)."""


# ---------------------------------------------------------------------------------------------- when, call


def conv_dsp_reason(node: Node, wide: bool) -> bool | str:
    """True, or why the kernel cannot be used."""
    reason = constant_operands(node)
    if reason is not True:
        return reason
    x, w = node["x"], node["w"]
    if x.shape[3] != w.shape[3]:
        return "it has groups"
    lanes = _lanes(conv_channels(node).w, wide)
    if lanes.min() < -(1 << 15):
        return "a weight of -128 beside a negative one does not fit their common 16 bits"
    return next((text for c in conv_channels(node).stairs if (text := plain_reason(c))), True)


def conv_direct_reason(node: Node, tiled: bool = False) -> bool | str:
    """True, or why the direct kernel cannot be used, or is not better than the one that builds windows."""
    shape, y = Shape.of(node), node["y"]
    kernel_h, kernel_w, channels = (shape.fields[name] for name in ("kernel_h", "kernel_w", "in_c"))
    attributes = node.op.attributes()
    if attributes["stride"] != (1, 1) or attributes["dilation"] != (1, 1):
        return "neighbouring windows do not share columns: stride or dilation is not 1"
    if kernel_h * kernel_w == 1 or channels % 4:
        return "it is for kernels larger than 1x1 on a multiple of 4 channels"
    # half a pair is wasted in each row; building windows costs 1.2 instructions a value, once for all output channels
    if y.shape[2] % 2 and 3 * y.shape[2] < 2 * y.shape[3]:
        return "rows have an odd number of pixels and are short"
    tile = shape.tile()
    if tiled and tile >= y.shape[2]:
        return f"rows of {y.shape[2]} pixels are one tile"
    scratch = shape.direct_scratch(tile if tiled else y.shape[2])
    if scratch > _DIRECT_SCRATCH:
        return f"it needs {scratch:,} B of scratch, more than {_DIRECT_SCRATCH:,}"
    return conv_dsp_reason(node, wide=False)


def conv_dsp_call(node: Node, wide: bool, part: slice | None = None) -> Call:
    """Arguments of ``cf_conv2d_s8_dsp`` and ``_wide``; ``part``: of these output channels alone."""
    shape = Shape.of(node)
    tile = "cf_pairs_wide" if wide else "cf_pairs"
    return _call(node, shape, shape.order, shape.lanes * 4 + shape.row_copy(), tile, _UNITS, part=part)


def conv_phase_call(node: Node) -> Call:
    """Arguments of ``cf_transpose_conv_s8_dsp`` for one phase, which is a convolution; without where its pixels lie."""
    shape = Shape.of(node, flatten=False)
    return _call(node, shape, shape.order, shape.lanes * 4 + shape.row_copy(), "cf_pairs", _UNITS)


def conv_direct_call(node: Node, tiled: bool = False, part: slice | None = None) -> Call:
    """Arguments of ``cf_conv2d_s8_dsp_direct``; ``tiled``: it keeps tiles of a row, and not whole rows; ``part``: of
    these output channels alone."""
    shape = Shape.of(node)
    tile = shape.tile() if tiled else 0
    scratch = shape.direct_scratch(min(tile, shape.fields["out_w"]) or shape.fields["out_w"])
    return _call(node, shape, shape.direct_order, scratch, "cf_pairs_long", _UNITS_LONG, tile, part)


def _call(
    node: Node,
    shape: Shape,
    order: Callable[[], list[int | None]],
    scratch: int,
    function: str,
    in_one_go: int,
    tile: int = 0,
    part: slice | None = None,
) -> Call:
    y, w = node["y"], node["w"]
    s, pairs = prepared(node, "pairs of channels", lambda: _pairs(node))
    first, end, _ = (part or slice(None)).indices(w.shape[0])

    def stream() -> tuple[Array, Array]:
        rows, of_rows = conv_channels(node).w[first:end], pairs[first // 2 : (end + 1) // 2]
        return _stream(_ordered(rows, order()), of_rows, function == "cf_pairs_wide", in_one_go)

    low, high = activation_range(node.op.attributes()["act"], y.dtype, y.q)
    is_pointwise = shape.flat and shape.run % 4 == 0 and (end - first) % 2 == 0 and (low, high) == y.dtype.range
    params: dict[str, int | float | tuple[int, ...]] = {
        **shape.params(),
        "out_c": end - first,
        "out_pixel": w.shape[0],
        "pointwise": int(is_pointwise),
        "units": shape.lanes // 8,
        "half": shape.lanes % 8 // 4,
        "tile": tile,
        "in_zero": node["x"].q.zp,
        "act_min": low,
        "act_max": high,
        "backward": 0,
    }
    words, where = prepared(node, (function, shape.columns, first, end), stream)
    coded = None if function == "cf_pairs_wide" else Coded(where, "lanes")
    weights = Const("w", words, "weights", coded)
    args = [Port("x"), weights, Port("y", offset=first), Scratch(scratch), Function(f"{function}_{s}")]
    return Call(args, params, "cf_conv2d_dsp_params")


def _pairs(node: Node) -> tuple[int, list[Pair]]:
    channels = conv_channels(node)
    return pairs_of(channels.stairs, channels.start.tolist())


# ---------------------------------------------------------------------------------------------- traversal


def conv_dsp_traversal(node: Node, backward: bool) -> Traversal | None:
    """Pairs of pixels, across the ends of rows."""
    return windows_traversal(node, block=2, staged=True, backward=backward)


def conv_rows_traversal(node: Node, backward: bool) -> Traversal | None:
    """Output rows; before each the input rows that no row before it needed are read. Stride and dilation are 1."""
    if backward:
        return None
    n, h, w, c = node["x"].shape
    out_h, out_row = node["y"].shape[1], node["y"].shape[2] * node["y"].shape[3]
    ends = np.clip(np.arange(out_h) + node["w"].shape[1] - node.op.attributes()["pad"][0], 0, h)
    image = np.arange(n)[:, None] * h
    low, high = (((image + rows) * w * c).reshape(-1) for rows in (np.append(0, ends[:-1]), ends))
    at = np.arange(n * out_h) * out_row
    return Traversal({"x": (low, high)}, (at, at + out_row), staged=True)


def conv_tiles_traversal(node: Node, backward: bool) -> Traversal | None:
    """Tiles of an output row, each with all that its windows see."""
    if backward:
        return None
    n, out_h, out_w, out_c = node["y"].shape
    firsts = np.arange(0, out_w, Shape.of(node).tile())
    low, high = window_spans(node)
    image = np.arange(n)[:, None] * (node["x"].type.nbytes // n)
    low = (image + np.minimum.reduceat(low, firsts, axis=1).reshape(-1)).reshape(-1)
    high = (image + np.maximum.reduceat(high, firsts, axis=1).reshape(-1)).reshape(-1)
    rows = np.arange(n * out_h)[:, None] * out_w
    start, end = (((rows + x) * out_c).reshape(-1) for x in (firsts, np.append(firsts[1:], out_w)))
    return Traversal({"x": (low, high)}, (start, end), staged=True)


# ---------------------------------------------------------------------------------------------- shape


@dataclass(frozen=True)
class Shape:
    """Sizes as the kernel sees them. A window is ``rows`` times ``columns`` runs of ``run`` neighbouring bytes.

    ``padded``: whether any window reaches over the border; ``flat``: 1x1 with stride 1, all pixels are in one row.
    """

    fields: dict[str, int]
    rows: int
    columns: int
    run: int
    padded: bool
    flat: bool

    @classmethod
    def of(cls, node: Node, flatten: bool = True) -> Shape:
        """``flatten``: whether pixels may count as those of one row, whose outputs lie side by side."""
        x, w, y = node["x"], node["w"], node["y"]
        attributes = node.op.attributes()
        (stride_h, stride_w), (dilation_h, dilation_w) = attributes["stride"], attributes["dilation"]
        top, left = attributes["pad"][:2]
        n, in_h, in_w, in_c = x.shape
        _, out_h, out_w, _ = y.shape
        _, kernel_h, kernel_w, _ = w.shape
        flat = (kernel_h, kernel_w, stride_h, stride_w, *attributes["pad"]) == (1, 1, 1, 1, 0, 0, 0, 0)
        flat = flat and flatten
        if flat:
            n, in_h, in_w, out_h, out_w = 1, 1, n * in_h * in_w, 1, n * out_h * out_w
        joined = dilation_w == 1
        span_h, span_w = (kernel_h - 1) * dilation_h + 1, (kernel_w - 1) * dilation_w + 1
        beyond_h, beyond_w = (out_h - 1) * stride_h + span_h - top, (out_w - 1) * stride_w + span_w - left
        fields = {
            "n": n,
            "in_h": in_h,
            "in_w": in_w,
            "in_c": in_c,
            "out_h": out_h,
            "out_w": out_w,
            "kernel_h": kernel_h,
            "kernel_w": kernel_w,
            "stride_h": stride_h,
            "stride_w": stride_w,
            "dilation_h": dilation_h,
            "dilation_w": dilation_w,
            "pad_top": top,
            "pad_left": left,
        }
        return cls(
            fields,
            kernel_h,
            1 if joined else kernel_w,
            in_c * (kernel_w if joined else 1),
            top > 0 or left > 0 or beyond_h > in_h or beyond_w > in_w,
            flat,
        )

    @property
    def taps(self) -> int:
        """Input bytes that a pixel sees."""
        return self.rows * self.columns * self.run

    @property
    def lanes(self) -> int:
        """Values of an expanded window."""
        return max(8, -(-self.taps // 4) * 4)

    def row_copy(self) -> int:
        """Bytes in which a run of a window that reaches over the border is put together, where words do not do."""
        return -(-self.run // 4) * 4 if self.padded and self.fields["in_c"] % 4 else 0

    def params(self) -> dict[str, int]:
        return {**self.fields, "columns": self.columns, "run": self.run, "padded": int(self.padded)}

    def order(self) -> list[int | None]:
        """Which tap lies in each lane of the expanded window; None: nothing does.

        First the whole words of each run, bytes (0, 2), (1, 3) of each; then the bytes that are left of each run.
        """
        starts = range(0, self.taps, self.run)
        whole = self.run // 4 * 4
        words = [start + at + lane for start in starts for at in range(0, whole, 4) for lane in (0, 2, 1, 3)]
        left = [start + at for start in starts for at in range(whole, self.run)]
        order: list[int | None] = [*words, *left]
        return order + [None] * (self.lanes - len(order))

    def direct_order(self) -> list[int | None]:
        """The same for the direct kernel, whose blocks hold a column of the window each."""
        f = self.fields
        pixels = [f["kernel_w"] * ky + kx for kx in range(f["kernel_w"]) for ky in range(f["kernel_h"])]
        return [
            pixel * f["in_c"] + c + lane for pixel in pixels for c in range(0, f["in_c"], 4) for lane in (0, 2, 1, 3)
        ]

    def direct_scratch(self, pixels: int) -> int:
        """Bytes of the direct kernel's blocks for so many output pixels in a row."""
        f = self.fields
        blocks = -(-pixels // 2) * 2 - 2 + f["kernel_w"]
        return blocks * f["kernel_h"] * f["in_c"] * 4

    def tile(self) -> int:
        """Output pixels of a tile of the direct kernel."""
        sizes = range(_TILE, 2, -2)
        return next((pixels for pixels in sizes if self.direct_scratch(pixels) <= _TILE_SCRATCH), 2)


def _ordered(w: Int, order: list[int | None]) -> Int:
    """(out, taps) to (out, lanes); 0 where nothing lies."""
    with_zero = np.concatenate([w, np.zeros((len(w), 1), np.int64)], axis=1)
    return with_zero[:, [-1 if tap is None else tap for tap in order]]


def _lanes(w: Int, wide: bool) -> Int:
    """(out, n) to the lanes of each pair: (pairs, 1, n) narrow, (pairs, 2, n) wide. An odd channel stands with 0."""
    if len(w) % 2:
        w = np.concatenate([w, np.zeros((1, w.shape[1]), np.int64)])
    both = w.reshape(len(w) // 2, 2, -1)
    return K * both if wide else K * both[:, :1] + both[:, 1:]


def _stream(w: Int, pairs: list[Pair], wide: bool, in_one_go: int) -> tuple[Array, Array]:
    """The stream of runs, as cf_tile_conv.h states it, and which words of it are weights; a single last channel is a
    stream of its own."""
    lanes = _lanes(w, wide)
    words = (lanes[..., 0::2] & 0xFFFF) | lanes[..., 1::2] << 16
    units = words.reshape(len(lanes), lanes.shape[1], -1, 2).transpose(0, 2, 1, 3).reshape(len(lanes), -1).tolist()
    single = len(w) % 2
    count = len(pairs) - single
    has_rest = w.shape[1] % 8 != 0 or w.shape[1] // 8 > in_one_go
    stream = _Stream(wide, has_rest)
    if count:
        stream.add(pairs[:count], units[:count])
    if single:
        stream.add(pairs[count:], units[count:])
    # the low 32 bits: sums in the kernel wrap likewise
    return np.array(stream.words, np.int64).astype(np.int32), np.array(stream.where, np.bool_)


class _Stream:
    """``words``, and ``where``: whether each is of weights."""

    def __init__(self, wide: bool, has_rest: bool) -> None:
        self.wide, self.has_rest = wide, has_rest
        self.words: list[int] = []
        self.where: list[bool] = []

    def add(self, pairs: list[Pair], units: list[list[int]]) -> None:
        """The runs of these pairs, with the 0 at their end."""
        for form, run in groupby(zip(pairs, units, strict=True), key=lambda both: both[0].form):
            members = list(run)
            detour = self.has_rest or form != LINE
            self._put([-len(members), 1, form] if detour else [len(members), -1, form])
            for pair, weights in members:
                c_a, c_b, after = pair.words()
                self._put([c_a, c_b] if self.wide else [c_a])
                self._put(weights, True)
                self._put(after if self.wide else [c_b, *after])
        self._put([0])

    def _put(self, words: list[int], are_weights: bool = False) -> None:
        self.words += words
        self.where += [are_weights] * len(words)
