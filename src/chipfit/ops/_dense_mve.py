"""The fully connected layer on cores with MVE: arguments of ``cf_fully_connected_s8_mve``."""

from __future__ import annotations

from chipfit.graph import Node
from chipfit.ops._base import Call, Const, Port
from chipfit.ops._dense import dense_channels, dense_range
from chipfit.ops._mve import requantization
from chipfit.ops._prepared import prepared


def dense_mve_call(node: Node) -> Call:
    """Arguments of ``cf_fully_connected_s8_mve``; weights stay as they are."""
    scale = prepared(node, "mve requantization", lambda: requantization(dense_channels(node)))
    out, columns = node["w"].shape
    low, high = dense_range(node)
    params: dict[str, int | float | tuple[int, ...]] = {
        "rows": node["y"].type.size // out,
        "in": columns,
        "out": out,
        "form": scale.form,
        "right": scale.right,
        "out_zero": node["y"].q.zp,
        "act_min": low,
        "act_max": high,
    }
    return Call([Port("x"), Port("w"), Const("table", scale.table, "weights"), Port("y")], params)
