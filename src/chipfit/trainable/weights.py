"""In which form a constant of a graph learns: as it is, with zeros that stay, or as one of few values for each element.

A form belongs to one constant. ``keras.ops`` sees it as a tensor in the shape that the graph has it in.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import numpy as np

from chipfit.graph import Array


class Weight(ABC):
    """A constant that learns. It is made without Keras, and built once, when its model is."""

    @abstractmethod
    def build(self, owner: Any, name: str, start: Array) -> None:
        """Make the variables. ``owner``: the Keras layer that they belong to; ``start``: the graph's float32 elements,
        which it begins with as far as the form allows."""

    @abstractmethod
    def value(self, k: Any) -> Any:
        """What the layer computes with. ``k``: ``keras.ops``."""

    @abstractmethod
    def array(self) -> Array:
        """The same as float32 elements."""


def add_variable(owner: Any, name: str, start: Array, *, learns: bool = True, dtype: str = "float32") -> Any:
    """A Keras variable with these elements. ``name``: any text."""
    own = "".join(c if c.isalnum() else "_" for c in name)
    variable = owner.add_weight(
        name=own, shape=start.shape, dtype=dtype, initializer="zeros", trainable=learns, autocast=False
    )
    variable.assign(start.astype(dtype))
    return variable


class Plain(Weight):
    """Every element learns."""

    def build(self, owner: Any, name: str, start: Array) -> None:
        self.variable = add_variable(owner, name, start)

    def value(self, k: Any) -> Any:
        return self.variable

    def array(self) -> Array:
        return numpy_of(self.variable)


class Frozen(Plain):
    """Nothing learns; all stays as it is."""

    def build(self, owner: Any, name: str, start: Array) -> None:
        self.variable = add_variable(owner, name, start, learns=False)


class Masked(Plain):
    """Elements where ``mask`` is False are 0 and stay so. :meth:`restrict` takes a new mask while it learns: what
    comes back has the value that it went with."""

    def __init__(self, mask: Array) -> None:
        self._mask = mask

    def build(self, owner: Any, name: str, start: Array) -> None:
        super().build(owner, name, start)
        self.mask = add_variable(owner, f"{name}_mask", self._mask, learns=False)

    def restrict(self, mask: Array) -> None:
        """``mask``: bool, in the constant's shape."""
        self.mask.assign(mask.astype(np.float32))

    def value(self, k: Any) -> Any:
        return self.variable * self.mask

    def array(self) -> Array:
        return numpy_of(self.variable) * numpy_of(self.mask)


class Clustered(Weight):
    """Every element is one of few values, which learn; which one it is stays.

    ``indices``: int, in the constant's shape, into ``centroids``, (values,). ``scales``: what they are multiplied by,
    in a shape that broadcasts against the constant's: with the scales of int8 weights, centroids are their integers.
    ``fixed``: indices of centroids that do not learn, such as a zero.
    """

    def __init__(self, indices: Array, centroids: Array, scales: Array | None = None, fixed: tuple[int, ...] = ()):
        self._indices, self._centroids, self._scales = indices, centroids.astype(np.float32), scales
        self._unit = np.float32(np.abs(self._centroids).max(initial=0.0) or 1.0)
        self._moves = np.ones(len(centroids), np.float32)
        self._moves[list(fixed)] = 0.0

    def build(self, owner: Any, name: str, start: Array) -> None:
        # of the size of weights, so that they learn at the rate of weights
        self.centroids = add_variable(owner, f"{name}_centroids", self._centroids / self._unit)
        self._where = self._indices.reshape(-1).astype(np.int32)
        self._shape = start.shape

    def value(self, k: Any) -> Any:
        moves, start = k.convert_to_tensor(self._moves), k.convert_to_tensor(self._centroids * (1 - self._moves))
        values = self.centroids * (moves * self._unit) + start
        w = k.reshape(k.take(values, self._where, axis=0), self._shape)
        return w if self._scales is None else w * k.convert_to_tensor(self._scales.astype(np.float32))

    def array(self) -> Array:
        learned = np.where(self._moves > 0, numpy_of(self.centroids) * self._unit, self._centroids)
        w = learned[self._where].reshape(self._shape)
        return w if self._scales is None else w * self._scales.astype(np.float32)


def numpy_of(variable: Any) -> Array:
    """Its elements now, in an array of their own."""
    value = variable.value
    return np.array(value.detach().cpu().numpy() if hasattr(value, "detach") else value, dtype=np.float32)
