"""Kinds of operations that nodes of version 4 name by number, and the forms of their fields."""

from __future__ import annotations

from enum import IntEnum
from typing import Annotated

import numpy as np

from chipfit.kmodel.format.codec import integers

Shape = tuple[int, int, int, int]
ShapeField = Annotated[Shape, integers(4)]
PadField = Annotated[tuple[int, int], integers(2)]

NO_MIN, NO_MAX = float(np.finfo(np.float32).min), float(np.finfo(np.float32).max)
"""Bounds of a fused activation that is none."""


class BinaryOp(IntEnum):
    ADD, SUB, MUL, DIV, MIN, MAX = range(6)


class ReduceOp(IntEnum):
    MEAN, MIN, MAX, SUM = range(4)


class UnaryOp(IntEnum):
    ABS, CEIL, COS, EXP, FLOOR, LOG, NEG, RSQRT, SIN, SQUARE = range(10)


class ResizeMode(IntEnum):
    BILINEAR, NEAREST = range(2)
