"""Which layers may spend flash on wider weights: where it buys most, within what there is."""

from __future__ import annotations

import math
from collections.abc import Sequence

from chipfit.graph import Node
from chipfit.ops import NARROW, Kernel, op_of


def weight_widths(order: Sequence[Node], features: frozenset[str], flash: int | None) -> list[float]:
    """For each node the bytes per weight that it may use.

    ``flash``: bytes for all weights together; None: nobody widens. Starts with the widest for all, then takes back,
    step by step, the choice that saves the fewest instructions per byte of flash, until the rest fits.
    """
    if flash is None:
        return [NARROW] * len(order)
    widths = [math.inf] * len(order)
    chosen = [_usable(node, features, math.inf) for node in order]
    while sum(_bytes(n, k) for n, k in zip(order, chosen, strict=True)) > flash:
        steps = [_step_back(n, k, features) for n, k in zip(order, chosen, strict=True)]
        index = min(range(len(steps)), key=lambda i: steps[i][0])
        if math.isinf(steps[index][0]):
            break
        widths[index], chosen[index] = steps[index][1], steps[index][2]
    return widths


def _usable(node: Node, features: frozenset[str], width: float) -> Kernel | None:
    candidates = op_of(node).candidates(node)
    return next((k for k in candidates if k.reason_against(node, features, width) is None), None)


def _weights(node: Node) -> int:
    return max((v.type.size for v in node.operands if v.is_const), default=0)


def _bytes(node: Node, kernel: Kernel | None) -> float:
    return _weights(node) * (kernel.weight_bytes if kernel else 1.0)


def _step_back(node: Node, kernel: Kernel | None, features: frozenset[str]) -> tuple[float, float, Kernel | None]:
    """``(cost, width, kernel)`` of the next narrower choice: instructions lost per byte saved; infinite: none."""
    if kernel is None or kernel.weight_bytes <= NARROW or not _weights(node):
        return math.inf, math.inf, kernel
    width = kernel.weight_bytes - 0.01
    narrower = _usable(node, features, width)
    if narrower is None or narrower.weight_bytes >= kernel.weight_bytes:
        return math.inf, math.inf, kernel
    lost = op_of(node).macs(node) * ((narrower.per_mac or 1.0) - (kernel.per_mac or 1.0))
    return lost / (_weights(node) * (kernel.weight_bytes - narrower.weight_bytes)), width, narrower
