"""What would fit a board, computed: each candidate is built, quantized, compiled and run like the model itself."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from chipfit.build import Aim
from chipfit.deployment.clock import Clock
from chipfit.deployment.figures import GOALS, Limits, Needs, first_that_fits, flash_bytes, nearest, weight_bytes
from chipfit.errors import ChipfitError
from chipfit.model import Model, load
from chipfit.quantization import quantize_model
from chipfit.quantize import STEPS, Samples
from chipfit.targets import Board, board_names, load_board
from chipfit.training.backbones import Network, backbone, build

SECONDS = 50.0
"""A candidate that would not be computed by then is left out."""

ENOUGH = 3
"""Candidates that fit, after which no more are looked for."""

SIDES = (224, 192, 160, 128, 96, 64, 48, 32)
ALPHAS = (1.0, 0.75, 0.5, 0.35, 0.25, 0.125)
"""What is tried instead of a picture's side and of a width multiplier: the next smaller ones."""

SMALL = (("mobilenet_v1", 0.25), ("mobilenet_v1", 0.125), ("ds_cnn", 0.5))
"""Backbones and alphas to fall back on, with the smallest pictures; the smallest network last."""

SMALL_MACS = 1_000_000
"""None of them has more."""

_PLAIN = " ".join(f"-{step}" for step in STEPS)
"""Quantize without any step that looks at real data: the layers are the same."""


@dataclass(frozen=True)
class Candidate:
    """``change``: what is other, in words; ``options``: the same for the command line; ``lost``: what is given up.
    ``network``: if it is another one."""

    change: str
    options: tuple[str, ...]
    lost: str
    needs: Needs
    network: Network | None = None


@dataclass(frozen=True)
class Advice:
    """``candidates``: cheapest loss first. ``skipped``: how many were not computed for lack of time."""

    candidates: tuple[Candidate, ...]
    skipped: int
    seconds: float

    @property
    def best(self) -> Candidate | None:
        return next((c for c in self.candidates if c.needs.fits), None)


Say = Callable[[str], None]


def advise(
    model: Model,
    board: Board,
    limits: Limits,
    tried: Sequence[Needs],
    *,
    network: Network | None = None,
    boards: Callable[[Board], bool] = lambda _: True,
    with_rows: bool = True,
    weights: str | None = None,
    took: float = 0.0,
    say: Say | None = None,
) -> Advice:
    """Candidates for a model that does not fit. ``model``: quantized; ``tried``: what is known of it already.

    ``network``: what it was built of, None: unknown, and only goals and boards can be other. ``boards``: those that
    will do. ``with_rows``: the picture may come row by row. ``weights``: what the network was to start with.
    ``took``: seconds that ``tried`` did.
    """
    clock = Clock(SECONDS, (took / max(1, len(tried)), model.macs))
    found: list[Candidate] = []
    left = 0
    tries = itertools.chain(
        _other_programs(model, board, limits, {n.optimize for n in tried}, with_rows, clock),
        _other_networks(network, model.macs, weights, board, limits, clock) if network is not None else (),
        _other_boards(model, board, limits, boards, clock),
    )
    too_many_weights = weight_bytes(model) > (limits.flash or flash_bytes(board))
    for one in tries:
        if too_many_weights and not one.has_fewer_weights:
            continue
        if one.network is not None and any(_is_within(one.network, c.network) for c in found if c.needs.fits):
            continue
        if sum(c.needs.fits for c in found) >= ENOUGH:
            break
        if not clock.has_time(one.macs, builds=one.network is not None):
            left += 1
            continue
        if say:
            say(one.change)
        try:
            with clock.watching(one.macs, builds=one.network is not None):
                needs = one.compute()
        except ChipfitError as error:
            if error.code not in ("O002", "U001"):
                raise
            continue
        chosen = nearest(needs)
        found.append(Candidate(one.change, one.options, one.lost, chosen, one.network))
    return Advice(tuple(found), left, clock.seconds)


def _is_within(network: Network, other: Network | None) -> bool:
    """Whether the other one has no less of anything: then nothing speaks for this one."""
    if other is None or network.backbone != other.backbone or network.alpha > other.alpha:
        return False
    return network.height <= other.height and network.channels <= other.channels


@dataclass(frozen=True)
class _Try:
    """A candidate that is not computed yet; ``macs``: it has no more; ``has_fewer_weights``: or an other board."""

    change: str
    options: tuple[str, ...]
    lost: str
    macs: int
    compute: Callable[[], list[Needs]]
    has_fewer_weights: bool = True
    network: Network | None = None


def _other_programs(
    model: Model, board: Board, limits: Limits, known: set[Aim], with_rows: bool, clock: Clock
) -> Iterator[_Try]:
    """The same model on the same board."""
    for goal in GOALS:
        goals: tuple[Aim, ...] = (goal,)
        if goal not in known:
            compute = partial(first_that_fits, model, board, goals, limits)
            yield _Try(f"the goal is {goal}", ("--optimize", goal), "", model.macs, compute, False)
    if with_rows and _takes_rows(model):
        goals = ("balanced", "ram")
        compute = partial(first_that_fits, model, board, goals, limits, rows=True, until=clock.until)
        options, lost = ("--input", "rows"), "the camera hands rows over"
        yield _Try("the picture comes row by row", options, lost, model.macs, compute, False)


def _other_networks(
    network: Network, macs: int, weights: str | None, board: Board, limits: Limits, clock: Clock
) -> Iterator[_Try]:
    for other in smaller(network):
        compute = partial(_needs_of, other, board, limits, clock.until)
        fewer = not fits_weights(network, other)
        lost = "some accuracy"
        if weights is not None and fewer:
            lost += f", and the weights of {weights}: they are for {network.backbone} {network.alpha:g}"
        yield _Try(
            _difference(network, other),
            options_of(network, other),
            lost,
            most_macs(network, macs, other),
            compute,
            fewer,
            other,
        )


def fits_weights(network: Network, other: Network) -> bool:
    """Whether what was trained for the one can start the other."""
    return (other.backbone, other.alpha) == (network.backbone, network.alpha)


def most_macs(network: Network, macs: int, other: Network) -> int:
    """A bound for the other one, of what the one has: they fall with the pixels, and no slower than with alpha."""
    if other.backbone != network.backbone:
        return SMALL_MACS
    pixels = other.height * other.width / (network.height * network.width)
    return int(macs * min(1.0, pixels) * other.alpha / network.alpha)


def _other_boards(
    model: Model, board: Board, limits: Limits, will_do: Callable[[Board], bool], clock: Clock
) -> Iterator[_Try]:
    """Those with the least RAM first. Limits that were stated for the other board's memories are left out."""
    own = replace(limits, flash=None, ram=None)
    for other in sorted(map(load_board, board_names()), key=lambda b: (b.ram.size, b.name)):
        if other.is_host or other.name == board.name or _is_too_small(model, other) or not will_do(other):
            continue
        compute = partial(first_that_fits, model, other, GOALS, own, until=clock.until)
        yield _Try(f"the board is {other.name}", ("--board", other.name), "another board", model.macs, compute)


def _takes_rows(model: Model) -> bool:
    shape = model.graph.inputs[0].shape
    return len(model.graph.inputs) == 1 and len(shape) == 4 and shape[1] > 1


def _is_too_small(model: Model, board: Board) -> bool:
    """Without compiling: weights must be in flash, the input and the first layer's output in RAM."""
    graph = model.graph
    first = sum(v.type.nbytes for v in (*graph.inputs, *graph.nodes[0].outputs))
    return weight_bytes(model) > flash_bytes(board) or first > sum(m.size for m in board.memories if m.kind == "ram")


# ---------------------------------------------------------------------------------------------- smaller networks


def smaller(network: Network) -> Iterator[Network]:
    """Networks that need less, those that lose least first: grey, smaller pictures, fewer channels; then several of
    these together; then other backbones."""
    side = max(network.height, network.width)
    sides = [s for s in SIDES if s < side][:2]
    alphas = [] if backbone(network.backbone).alphas else [a for a in ALPHAS if a < network.alpha][:2]
    seen = {network}
    changes: list[dict[str, Any]] = []
    if network.channels == 3:
        changes.append({"channels": 1})
    for k in range(2):
        changes += [{"height": s, "width": s} for s in sides[k : k + 1]]
        changes += [{"alpha": a} for a in alphas[k : k + 1]]
    changes += [{"height": s, "width": s, "alpha": a} for s, a in zip(sides, alphas, strict=False)]
    least = {"height": min([side, *SIDES]), "width": min([side, *SIDES])}
    if alphas:
        changes.append({**least, "alpha": ALPHAS[-1]})
        changes.append({**least, "alpha": ALPHAS[-1], "channels": 1})
    for name, alpha in SMALL if network.backbone != SMALL[-1][0] else SMALL[-1:]:
        if name != network.backbone or alpha < network.alpha:
            changes.append({"backbone": name, "alpha": alpha, **least})
    for change in changes:
        other = replace(network, **change)
        if other not in seen:
            seen.add(other)
            yield other


def _difference(network: Network, other: Network) -> str:
    said: list[str] = []
    if other.backbone != network.backbone:
        said.append(other.backbone)
    if other.alpha != network.alpha:
        said.append(f"alpha {other.alpha:g}")
    if (other.height, other.width) != (network.height, network.width):
        said.append(f"pictures {other.height}x{other.width}")
    if other.channels != network.channels:
        said.append("grey pictures")
    return ", ".join(said)


def options_of(network: Network, other: Network) -> tuple[str, ...]:
    """The options of ``chipfit deploy`` and ``chipfit train`` that make the other of the one."""
    options: list[str] = []
    if other.backbone != network.backbone:
        options += ["--backbone", other.backbone]
    if other.alpha != network.alpha:
        options += ["--alpha", f"{other.alpha:g}"]
    if (other.height, other.width) != (network.height, network.width):
        options += ["--size", str(other.height)]
    if other.channels != network.channels:
        options.append("--grey")
    return tuple(options)


def _needs_of(network: Network, board: Board, limits: Limits, until: float) -> list[Needs]:
    return first_that_fits(untrained(network), board, GOALS, limits, until=until)


def untrained(network: Network, name: str = "model", *, recipe: str = "int8") -> Model:
    """The network with random weights, quantized with random pictures: what it needs is what a trained one needs.

    Raises ChipfitError U001 for a network that cannot be built, T001 without Keras.
    """
    model, samples = random_network(network, name)
    return plainly_quantized(model, samples, recipe)


def random_network(network: Network, name: str = "model") -> tuple[Model, Samples]:
    """The float network with random weights, and random pictures. Raises ChipfitError as :func:`untrained` does."""
    keras_model = build(network, "model")
    rng = np.random.default_rng(0)
    for layer in keras_model.layers:
        is_depthwise = "Depthwise" in type(layer).__name__
        for weight in layer.weights:
            shape = tuple(int(n) for n in weight.shape)
            if len(shape) > 1:
                # as He et al. (2015) start: signals keep their size through any number of layers
                inputs = int(np.prod(shape[:2] if is_depthwise else shape[:-1]))
                weight.assign(rng.normal(0.0, (2.0 / inputs) ** 0.5, shape))
    model = load(keras_model, name=name)
    how = network.preprocessing
    pixels = rng.integers(0, 256, (2, network.height, network.width, network.channels), dtype=np.uint8)
    value = model.graph.inputs[0]
    return model, Samples((how.apply(pixels).reshape(2, *value.shape),), (how.range(network.channels),), how)


def plainly_quantized(model: Model, samples: Samples, recipe: str = "int8") -> Model:
    """With the layers that it would have, and nothing fitted."""
    return quantize_model(model, samples, f"{recipe} {_PLAIN}").model
