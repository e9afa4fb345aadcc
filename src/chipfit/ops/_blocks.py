"""What SPACE_TO_BATCH_ND and BATCH_TO_SPACE_ND share: blocks of one or two axes behind that of the images."""

from __future__ import annotations

from math import prod

from chipfit.errors import ChipfitError
from chipfit.graph import Node, Shape, Value
from chipfit.ops._base import Op

Margins = tuple[tuple[int, int], ...]
"""Elements (before, after) along each axis of a block."""


def require_blocks(op: Op, x: Value, block: tuple[int, ...], margins: Margins) -> None:
    """Raise G003 unless the blocks and margins are such of x, and O002 where there is no kernel for so many axes."""
    fits = len(margins) == len(block) < len(x.shape)
    if not fits or any(b < 1 for b in block) or any(n < 0 for pair in margins for n in pair):
        raise ChipfitError(
            "G003", f"{op.name}: blocks {list(block)} with margins {list(margins)} do not fit '{x.name}' ({x.type})"
        )
    if not 1 <= len(block) <= 2:
        raise ChipfitError("O002", f"{op.name}: '{x.name}' ({x.type}) has blocks of {len(block)} axes, 1 or 2 can be")


def image_shape(shape: Shape, axes: int) -> tuple[int, int, int, int]:
    """Images, rows, columns and elements of a pixel; one axis of blocks is a row of columns."""
    rows, columns = shape[1 : 1 + axes] if axes == 2 else (1, shape[1])
    return shape[0], rows, columns, prod(shape[1 + axes :])


def block_params(node: Node, block: tuple[int, ...], before: tuple[int, ...]) -> dict[str, int]:
    """Fields of both kernels. ``before``: elements before the first, along each axis of a block."""
    x, y, axes = node["x"], node["y"], len(block)
    _, in_h, in_w, pixel = image_shape(x.shape, axes)
    _, out_h, out_w, _ = image_shape(y.shape, axes)
    (block_h, block_w), (top, left) = ((1, 1)[axes:] + block), ((0, 0)[axes:] + before)
    return {
        "n": min(x.shape[0], y.shape[0]),
        "in_h": in_h,
        "in_w": in_w,
        "out_h": out_h,
        "out_w": out_w,
        "pixel": pixel * x.dtype.bytes,
        "block_h": block_h,
        "block_w": block_w,
        "top": top,
        "left": left,
    }
