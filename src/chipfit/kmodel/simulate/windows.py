"""Windows that slide over images, as the convolutions and poolings of the CPU take them."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from chipfit.graph import Array
from chipfit.kmodel.format.window import Axis


def taps(rows: Axis, columns: Axis) -> Iterator[tuple[int, tuple[slice, slice], tuple[slice, slice]]]:
    """Each tap's index, where in the output it counts, and what of the image it meets."""
    across = [columns.inside(tap) for tap in range(columns.taps)]
    for row in range(rows.taps):
        to_row, from_row = rows.inside(row)
        for column, (to_column, from_column) in enumerate(across):
            yield row * columns.taps + column, (to_row, to_column), (from_row, from_column)


def convolve(
    x: Array, weights: Array, start: Array, groups: int, rows: Axis, columns: Axis, *, taps_first: bool = False
) -> Array:
    """(n, c, h, w) with (out, c / groups, taps), all in the type to compute in; outside the image nothing counts.

    ``start``: (out,), what each sum begins with. Sums go over channels, then taps, one after the other (``taps_first``:
    the other way round): of floats this is the order of the runtime, so that they are rounded alike.
    """
    n, channels = x.shape[:2]
    share = len(weights) // groups
    y = np.empty((n, groups, share, rows.positions, columns.positions), x.dtype)
    y[:] = start.reshape(groups, share, 1, 1)
    image = x.reshape(n, groups, channels // groups, *x.shape[2:])
    filters = np.ascontiguousarray(weights).reshape(groups, share, channels // groups, -1, 1, 1)
    met = list(taps(rows, columns))
    inner = range(channels // groups)
    order = ((c, one) for one in met for c in inner) if taps_first else ((c, one) for c in inner for one in met)
    for channel, (tap, to, of) in order:
        part = image[:, :, channel, None, of[0], of[1]]
        y[:, :, :, to[0], to[1]] += part * filters[:, :, channel, tap]
    return y.reshape(n, groups * share, rows.positions, columns.positions)


def transposed_convolve(x: Array, weights: Array, groups: int, out: int, rows: Axis, columns: Axis) -> Array:
    """The adjoint: each pixel of (n, c, h, w) is spread by (out, c / groups, taps). The axes are those of the output.

    In the order of the runtime: channels, then pixels, which for one pixel of the output means taps backwards.
    """
    n, channels = x.shape[:2]
    y = np.zeros((n, groups, out // groups, rows.size, columns.size), x.dtype)
    image = x.reshape(n, groups, channels // groups, *x.shape[2:])
    filters = weights.reshape(groups, out // groups, channels // groups, -1, 1, 1)
    met = list(taps(rows, columns))[::-1]
    for channel in range(channels // groups):
        for tap, of, to in met:
            part = image[:, :, channel, None, of[0], of[1]]
            y[:, :, :, to[0], to[1]] += part * filters[:, :, channel, tap]
    return y.reshape(n, out, rows.size, columns.size)
