"""The roundings of :mod:`chipfit.fixedpoint` in ``keras.ops``, in float64, with few passes over a tensor.

Whole numbers come in and go out, and nothing has a gradient. No product needs more than the 53 bits of float64, so each
result is the kernels', whatever computes it.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from chipfit.fixedpoint import IntLike, as_int64
from chipfit.graph import Array

_LOWER = 16
"""Bits of the lower part of a number of 32 bits; float32 holds either part."""

_AWAY = 1 + 2.0**-40
"""Numbers below 2**31 with less than 32 bits behind the point, times this: a half lies beyond the half, on either side
of zero, and all else is where it was. Then ``round`` rounds halves away from zero. (Of all roundings in ``keras.ops``
it is the one that leaves float64 what it is.)"""


def whole(k: Any, x: Any) -> Any:
    """``x``: whole numbers in float32."""
    return k.cast(k.stop_gradient(x), "float64")


def in_parts(x: IntLike) -> Array:
    """(2, *shape): integers as two numbers each, float32; :func:`joined` is the inverse."""
    x = as_int64(x)
    return np.stack([x >> _LOWER, x & ((1 << _LOWER) - 1)]).astype(np.float32)


def joined(k: Any, parts: Any) -> Any:
    high, low = (k.cast(parts[i], "float64") for i in range(2))
    return high * 2.0**_LOWER + low


def factors(m: IntLike, shift: IntLike) -> Array:
    """(4, n): what :func:`multiplied` takes for multipliers ``m * 2**(shift - 31)``, float32."""
    shift = np.atleast_1d(as_int64(shift))
    first, second = 2.0 ** (np.maximum(shift, 0) - 31), 2.0 ** np.minimum(shift, 0)
    return np.concatenate([in_parts(np.atleast_1d(as_int64(m))), np.stack([first, second])]).astype(np.float32)


def multiplied(k: Any, x: Any, by: Any, *, is_wide: bool = False) -> Any:
    """As :func:`~chipfit.fixedpoint.multiply_by_quantized_multiplier`. ``x``: float64.

    ``by``: :func:`factors`; the last axis of ``x`` is theirs. Without ``is_wide`` it is exact for ``x`` below 2**21 as
    it is shifted left, with it for all of int32.
    """
    first, second = (k.cast(by[i], "float64") for i in (2, 3))
    if is_wide:
        x, (high, low) = x * first, (k.cast(by[i], "float64") for i in range(2))
        lower = _floor(k, x * low * 2.0 ** (31 - _LOWER) + 2.0 ** (30 - _LOWER), _LOWER)
        x = _floor(k, x * high * 2.0**_LOWER + lower * 2.0 ** (_LOWER - 31), 31 - _LOWER)
    else:
        x = k.round(x * (joined(k, by[:2]) * first) + 2.0**-32)  # halves go up
    return k.round(x * (second * _AWAY))


def _floor(k: Any, x: Any, bits: int) -> Any:
    """Of numbers with so many bits behind the point."""
    return k.round(x + (2.0 ** (-1 - bits) - 0.5))


def divided(k: Any, x: Any, by: Any) -> Any:
    """``x / by``, halves away from zero; ``by``: above 0."""
    return k.round(x * _AWAY / by)
