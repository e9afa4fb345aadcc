"""What a decomposition did, for the report of a compression."""

from __future__ import annotations

from dataclasses import dataclass

from chipfit.compress.decompose.forms import Form


@dataclass(frozen=True)
class LayerParts:
    """A layer. ``form``: what it was taken apart as, with ``ranks``; None: it was not, and ``reason`` says why.
    Multiply-accumulates of a run and weights, before and after. ``error``: of its sums, before anything learned, as a
    share of their power."""

    name: str
    form: Form | None
    ranks: tuple[int, ...]
    macs: int
    macs_after: int
    weights: int
    weights_after: int
    error: float
    reason: str = ""


@dataclass(frozen=True)
class DecomposeDetails:
    """``rule``: by which ranks were chosen, in words; ``errors``: of what they are. ``loss``, ``accuracy``: of the
    whole, before anything learned, on ``samples`` samples; None: there are none. ``measured``: what they are."""

    rule: str
    errors: str
    layers: tuple[LayerParts, ...]
    measured: str = ""
    samples: int = 0
    loss: float | None = None
    accuracy: float | None = None
