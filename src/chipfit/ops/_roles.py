"""How an operator is quantized, stated with the operator: the role that each of its ports plays.

``quant = weighted(axis=0)`` in an operator's class says what its int8 form asks of scales and zero points. A port that
is not named plays the role ``rest``. Only float tensors have a role: indices and shapes stay what they are.
"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Act:
    """An activation with a scale and a zero point of its own."""


@dataclass(frozen=True)
class Shared:
    """All tensors of the operator that play this role have one scale and zero point: stored integers are copied."""


@dataclass(frozen=True)
class Fixed:
    """An output whose scale and zero point the operator prescribes."""

    scale: float
    zero_point: int


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
    """Roles by port. ``rest`` is that of all other ports; None: the operator has no int8 form."""

    ports: dict[str, Role] = field(default_factory=dict[str, Role])
    rest: Role | None = None

    def of(self, port: str) -> Role | None:
        """The role of a port, named as in the operator's list of ports (``b?``, ``*xs``)."""
        return self.ports.get(port.strip("?*"), self.rest)


def weighted(axis: int) -> Roles:
    """x, weights with a scale for each output channel along ``axis``, a bias, and an output with a range of its own."""
    return Roles({"w": Weight(axis), "b": Bias()}, rest=Act())


def fixed_output(scale: float, zero_point: int) -> Roles:
    """An input of its own range, and an output y that the operator prescribes."""
    return Roles({"y": Fixed(scale, zero_point)}, rest=Act())


NO_ROLES = Roles()
"""No int8 form."""

OWN = Roles(rest=Act())
"""Every tensor has a range of its own: the operator rescales."""

SHARED = Roles(rest=Shared())
"""All tensors have one range: the operator moves or compares stored integers."""
