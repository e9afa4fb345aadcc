"""What kernels make of a layer's weights, made once for all nodes that share them: the slices of a layer by rows."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

from chipfit.graph import Array, Node, Value

T = TypeVar("T")

_Key = tuple[Hashable, ...]
_MADE: WeakKeyDictionary[Value, dict[_Key, tuple[Array, Array | None, Any]]] = WeakKeyDictionary()


def prepared(node: Node, what: Hashable, make: Callable[[], T]) -> T:
    """``make()``, or what it gave before under the name ``what`` for the same weights, bias, quantization, activation.

    It must depend on nothing else. Kept as long as the weights' value, and while its elements are the same array.
    """
    w, b = node["w"], node.get("b")
    elements = w.array, None if b is None else b.array
    made = _MADE.setdefault(w, {})
    key = (what, node.op.attributes()["act"], node["x"].type.quant, w.type.quant, node["y"].type.quant)
    found = made.get(key)
    if found is None or found[0] is not elements[0] or found[1] is not elements[1]:
        found = made[key] = (*elements, make())
    return found[2]
