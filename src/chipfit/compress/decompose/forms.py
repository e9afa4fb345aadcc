"""What a layer can be taken apart into: for each way its ranks, with what they cost, and the smaller layers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal, get_args

import numpy as np

from chipfit.compress.decompose.factors import (
    Target,
    lines,
    lines_rows,
    low_rank,
    low_rank_errors,
    products,
    products_rows,
    separable,
    separable_errors,
    separable_rows,
    signal_rank,
    tucker,
    tucker_errors,
)
from chipfit.graph import Array, Node
from chipfit.ops import op_of
from chipfit.ops._base import Op
from chipfit.ops.conv2d import Conv2D
from chipfit.ops.depthwise_conv2d import DepthwiseConv2D
from chipfit.ops.fully_connected import FullyConnected

Form = Literal["svd", "tucker", "lines", "cp", "cp-lines", "separable"]
FORMS: tuple[Form, ...] = get_args(Form)

SHARES = (0.1, 0.15, 0.2, 0.25, 0.33, 0.4, 0.5, 0.6, 0.75)
"""Of a layer's multiply-accumulates, for which the ranks of ways are tried that are found anew for each rank."""
_WORTH = 0.75
"""Of a layer's multiply-accumulates that its parts may have at most: several small layers take more instructions for
each, and memory for what flows between them."""
_WIDE, _STEP = 16, 4
"""Ranks of so wide layers are multiples of 4, which is how many channels kernels take at a time."""
_TRIED = 16
"""Numbers of mixed inputs that are tried for a window, at most."""


@dataclass(frozen=True, eq=False)
class Site:
    """A layer that can be taken apart. ``target``: its weights as (out, kh, kw, in), and what they are multiplied by;
    ``mean``: of that, (columns,); None: unknown."""

    node: Node
    target: Target
    mean: Array | None

    @property
    def name(self) -> str:
        return self.node.name

    @property
    def is_window(self) -> bool:
        return self.target.taps > 1

    @property
    def macs(self) -> int:
        return op_of(self.node).macs(self.node)

    @property
    def weights(self) -> int:
        return self.node["w"].type.size

    @property
    def places(self) -> tuple[int, int]:
        """Of the input, and of the output."""
        _, kh, kw, channels = self.target.w.shape
        inputs = self.node["x"].type.size // channels
        outputs = self.node["y"].type.size // len(self.target.w)
        return (inputs if kh * kw > 1 or isinstance(self.node.op, Conv2D) else outputs), outputs


@dataclass(frozen=True)
class Choice:
    """``ranks`` of a way to take a layer apart. ``error``: of its sums, as a share of their power."""

    form: Form
    ranks: tuple[int, ...]
    macs: int
    weights: int
    error: float


@dataclass(frozen=True, eq=False)
class Piece:
    """A smaller layer, its weights as its operator has them; the last one gets the activation and a bias."""

    op: Op
    w: Array


def choices(site: Site, form: Form) -> list[Choice]:
    """All with at most three quarters of the layer's multiply-accumulates.

    A layer without a window can only be of lower rank.
    """
    if not site.is_window:
        form = "svd"
    return [c for c in _choices(site, form) if c.macs <= _WORTH * site.macs]


def ways(site: Site, form: Form | Literal["auto"]) -> tuple[Form, ...]:
    """``auto``: those whose errors are known for all ranks at once."""
    return (form,) if form != "auto" else ("tucker", "lines", "svd") if site.is_window else ("svd",)


def signal_choice(site: Site, form: Form) -> Choice | None:
    """With as many ranks as there are more than noise; None: then nothing becomes less. Only ``svd`` and ``tucker``."""
    channels = site.target.w.shape[3]
    last = signal_rank(site.target.rows)
    ranks = (last,)
    if form == "tucker" and site.is_window:
        ranks = (signal_rank(np.moveaxis(site.target.w, 3, 0).reshape(channels, -1)), last)
    if 0 in ranks:
        return None
    made: Form = "tucker" if len(ranks) == 2 else "svd"
    found = _priced(site, made, ranks, error_of(site, made, ranks))
    return found if found.macs <= _WORTH * site.macs else None


def _choices(site: Site, form: Form) -> Iterator[Choice]:
    out, kh, kw, channels = site.target.w.shape
    if form == "svd":
        errors = low_rank_errors(site.target)
        for rank in _steps(min(out, kh * kw * channels)):
            yield _priced(site, form, (rank,), float(errors[rank - 1]))
    elif form == "tucker":
        firsts = _steps(channels)[:: -(-len(_steps(channels)) // _TRIED)]
        for first, errors in zip(firsts, tucker_errors(site.target, firsts), strict=True):
            for last in _steps(out):
                yield _priced(site, form, (first, last), float(errors[last - 1]))
    elif form == "separable" and site.target.spread is None:
        errors = separable_errors(site.target, min(out, kh * kw))
        for multiplier, error in enumerate(errors, 1):
            yield _priced(site, form, (multiplier,), float(error))
    else:
        for ranks in _tried(site, form):
            yield _priced(site, form, ranks, error_of(site, form, ranks))


def _steps(size: int) -> list[int]:
    return list(range(_STEP, size + 1, _STEP)) if size >= _WIDE else list(range(1, size + 1))


def _tried(site: Site, form: Form) -> list[tuple[int, ...]]:
    """Those that come next to the shares from below; costs grow in proportion to the rank."""
    each = _macs(site, form, (1,))
    ranks = [int(share * site.macs / each) for share in SHARES]
    most = min(site.target.taps, len(site.target.w)) if form == "separable" else max(ranks)
    wide = form != "separable" and max(ranks) >= _WIDE
    found = [r // _STEP * _STEP if wide and r > _STEP else r for r in ranks]
    return [(r,) for r in dict.fromkeys(found) if 0 < r <= most]


def _priced(site: Site, form: Form, ranks: tuple[int, ...], error: float) -> Choice:
    return Choice(form, ranks, _macs(site, form, ranks), _cost(site, form, ranks, 1, 1, 1), error)


def _macs(site: Site, form: Form, ranks: tuple[int, ...]) -> int:
    inputs, outputs = site.places
    # columns first: rows of the output, columns of the input
    between = outputs if not isinstance(site.node.op, Conv2D) else site.node["y"].shape[1] * site.node["x"].shape[2]
    return _cost(site, form, ranks, inputs, between, outputs)


def _cost(site: Site, form: Form, ranks: tuple[int, ...], inputs: int, between: int, outputs: int) -> int:
    """Multiply-accumulates, given places of what each part computes; with 1 each, numbers."""
    out, kh, kw, channels = site.target.w.shape
    rank = ranks[0]
    if form == "svd":
        return outputs * rank * (kh * kw * channels + out)
    if form == "tucker":
        first, last = ranks
        return inputs * channels * first + outputs * last * (kh * kw * first + out)
    if form == "lines":
        return between * kh * channels * rank + outputs * kw * rank * out
    if form == "separable":
        return outputs * rank * channels * (kh * kw + out)
    taps = between * kh + outputs * kw if form == "cp-lines" else outputs * kh * kw
    return rank * (inputs * channels + taps + outputs * out)


# ------------------------------------------------------------------------------------- smaller layers


def error_of(site: Site, form: Form, ranks: tuple[int, ...]) -> float:
    return site.target.error(pieces(site, form, ranks)[1])


def pieces(site: Site, form: Form, ranks: tuple[int, ...]) -> tuple[list[Piece], Array]:
    """The smaller layers in order, and the weights that they are together, (out, columns)."""
    target, op = site.target, site.node.op
    out, kh, kw, channels = target.w.shape
    if form == "svd":
        features, mix = low_rank(target, ranks[0])
        last = _mixing(op, mix)
        first = features.reshape(-1, kh, kw, channels) if isinstance(op, Conv2D) else features
        return [Piece(_plain(op), first), last], mix @ features
    assert isinstance(op, Conv2D)
    if form == "tucker":
        inputs, core, mix = tucker(target, *ranks)
        rows = np.einsum("or,rhwq,qi->ohwi", mix, core, inputs, optimize=True).reshape(out, -1)
        return [Piece(Conv2D(), inputs[:, None, None]), Piece(_plain(op), core), _mixing(op, mix)], rows
    if form == "lines":
        tall, wide = lines(target, ranks[0])
        down, along = _down(op), _along(op)
        rows = lines_rows(tall, wide)
        return [
            Piece(Conv2D(*down), tall[:, :, None]), Piece(Conv2D(*along, op.act), wide[:, None])
        ], rows  # fmt: skip
    if form == "separable":
        deep, mix = separable(target, ranks[0])
        windows = deep.reshape(-1, kh, kw).transpose(1, 2, 0)[None]
        first = Piece(DepthwiseConv2D(op.stride, op.pad, op.dilation), windows)
        return [first, _mixing(op, mix)], separable_rows(deep, mix)
    inputs, inner, mix = products(target, ranks[0], form == "cp-lines")
    rows = products_rows(inputs, inner, mix)
    if form == "cp-lines":
        tall, wide = inner
        middle = [
            Piece(DepthwiseConv2D(*_down(op)), tall.T[None, :, None]),
            Piece(DepthwiseConv2D(*_along(op)), wide.T[None, None]),
        ]
    else:
        middle = [Piece(DepthwiseConv2D(op.stride, op.pad, op.dilation), inner[0].transpose(1, 2, 0)[None])]
    return [Piece(Conv2D(), inputs[:, None, None]), *middle, _mixing(op, mix)], rows


Window = tuple[tuple[int, int], tuple[int, int, int, int], tuple[int, int]]


def _down(op: Conv2D) -> Window:
    """Stride, padding and dilation of the columns of a window, and of its rows alone."""
    return (op.stride[0], 1), (op.pad[0], 0, op.pad[2], 0), (op.dilation[0], 1)


def _along(op: Conv2D) -> Window:
    return (1, op.stride[1]), (0, op.pad[1], 0, op.pad[3]), (1, op.dilation[1])


def _plain(op: object) -> Op:
    """The same without its activation."""
    assert isinstance(op, Conv2D | FullyConnected)
    return replace(op, act="none")


def _mixing(op: object, mix: Array) -> Piece:
    """The last of them, which mixes channels."""
    if isinstance(op, Conv2D):
        return Piece(Conv2D(act=op.act), mix[:, None, None])
    assert isinstance(op, FullyConnected)
    return Piece(op, mix)
