"""Where the weights lie in the constants of a kernel, and in which form: what compressed weights are made from.

Constants that kernels bring hold more than weights: biases, multipliers, headers. A kernel that marks which words are
weights can have them compressed (:mod:`chipfit.codegen.compress`): they are made again in scratch before it runs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from chipfit.graph import Array

WordForm = Literal["bytes", "lanes", "scaled"]
"""How a word of 32 bits holds weights: four bytes; two lanes ``256 * a + b`` of two weights each; or two lanes
``factor * w``."""


@dataclass(frozen=True, eq=False)
class Coded:
    """``where``: (words,) bool, which words of a constant hold weights. ``factors``: (words,) int, for ``scaled``."""

    where: Array
    form: WordForm = "bytes"
    factors: Array | None = None


def all_bytes(data: Array) -> Coded:
    """Of an array of bytes, every one a weight."""
    return Coded(np.ones(-(-data.nbytes // 4), np.bool_))
