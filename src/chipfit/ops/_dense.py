"""What the fully connected layer's integer meaning and its kernels share."""

from __future__ import annotations

import numpy as np

from chipfit.graph import Array, Node
from chipfit.ops._activation import activation_range
from chipfit.ops._channels import Channels, channels_of
from chipfit.ops._prepared import prepared
from chipfit.ops._window import output_multipliers


def dense_multipliers(node: Node) -> tuple[Array, Array]:
    """``(m, shift)``, one for each output or one for all, from the product of the scales in double precision.

    The TFLite Micro sources of 2026-08 round the product of input and weight scale to float32 first where there is one
    weight scale; the wheel of 2026-10 does not, which shows at ties (tests/ops/test_fully_connected.py).
    """
    x, w, y = node["x"], node["w"], node["y"]
    m, shift = output_multipliers(x, w, y, len(w.q.scale))
    return m, shift.astype(np.int8)


def dense_range(node: Node) -> tuple[int, int]:
    """Least and greatest output that the fused activation allows."""
    return activation_range(node.op.attributes()["act"], node["y"].dtype, node["y"].q)


def dense_channels(node: Node) -> Channels:
    return prepared(
        node,
        "dense channels",
        lambda: channels_of(node, node["w"].array, *dense_multipliers(node), dense_range(node)),
    )
