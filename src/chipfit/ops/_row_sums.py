"""Global pools row by row: a kernel adds each row to sums of the channels, another makes outputs of the sums."""

from __future__ import annotations

from collections.abc import Mapping

from chipfit.graph import DType, Node
from chipfit.ops._base import Accumulator, Call, Port, RowSums

_SUFFIXES = {DType.INT8: "s8", DType.INT16: "s16"}


def image_row_sums(node: Node, finish: str, params: Mapping[str, int]) -> RowSums | None:
    """For an operator on sums over all of an int8 or int16 image (1, h, w, c); None for any other input.

    ``finish``, ``params``: which kernel makes outputs of the sums, with what besides the number of channels.
    """
    x = node["x"]
    suffix = _SUFFIXES.get(x.dtype)
    if suffix is None or len(x.shape) != 4 or x.shape[0] != 1:
        return None
    _, _, width, channels = x.shape
    add = Call([Port("x"), Accumulator()], {"width": width, "channels": channels})
    end = Call([Accumulator(), Port("y")], {"channels": channels, **params})
    return RowSums(4 * channels, (f"cf_row_sums_{suffix}", add), (f"cf_row_sums_finish_{finish}_{suffix}", end))
