"""How an operator is quantized, stated with the operator: the role that each of its ports plays.

``quant = weighted(axis=0)`` in an operator's class says what its integer forms ask of scales and zero points. A port
that is not named plays the role ``rest``. Only float tensors have a role: indices and shapes stay what they are.

There are two integer forms: int8 activations of any zero point, and int16 ones, whose zero point is 0.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from chipfit.graph import DType, Quant


@dataclass(frozen=True)
class Act:
    """An activation with a scale and a zero point of its own."""


@dataclass(frozen=True)
class Shared:
    """All tensors of the operator that play this role have one scale and zero point: stored integers are copied."""


@dataclass(frozen=True)
class Fixed:
    """An output whose quantization the operator prescribes.

    ``scale`` and ``zero_point`` are those of int8, ``scale16`` is the scale of int16; None: it has no int16 form.
    """

    scale: float
    zero_point: int
    scale16: float | None = None

    def of(self, dtype: DType) -> Quant | None:
        """What is prescribed for an output of this element type, None where nothing is."""
        if dtype is DType.INT16 and self.scale16 is not None:
            return Quant.per_tensor(self.scale16)
        return Quant.per_tensor(self.scale, self.zero_point) if dtype is DType.INT8 else None


@dataclass(frozen=True)
class Weight:
    """Constant weights, symmetric, with a scale for each index along ``axis`` (the output channels)."""

    axis: int


@dataclass(frozen=True)
class Bias:
    """int32 in units of the accumulator: the input's scale times the weight's."""


Role = Act | Shared | Fixed | Weight | Bias


@dataclass(frozen=True)
class Roles:
    """Roles by port. ``rest`` is that of all other ports; None: the operator has no integer form.

    ``int16``: whether it has a form on int16 activations beside that on int8.
    """

    ports: dict[str, Role] = field(default_factory=dict[str, Role])
    rest: Role | None = None
    int16: bool = True

    def of(self, port: str) -> Role | None:
        """The role of a port, named as in the operator's list of ports (``b?``, ``*xs``)."""
        return self.ports.get(port.strip("?*"), self.rest)


def weighted(axis: int) -> Roles:
    """x, weights with a scale for each output channel along ``axis``, a bias, and an output with a range of its own."""
    return Roles({"w": Weight(axis), "b": Bias()}, rest=Act())


def fixed_output(y: Fixed) -> Roles:
    """An input of its own range, and an output y that the operator prescribes."""
    return Roles({"y": y}, rest=Act(), int16=y.scale16 is not None)


NO_ROLES = Roles(int16=False)
"""No integer form."""

OWN = Roles(rest=Act())
"""Every tensor has a range of its own: the operator rescales."""

OWN_INT8 = Roles(rest=Act(), int16=False)
"""The same, in int8 alone."""

SHARED = Roles(rest=Shared())
"""All tensors have one range: the operator moves or compares stored integers."""
