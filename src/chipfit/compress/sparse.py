"""Sparsity: many int8 weights are 0, anywhere or in a pattern, and take one bit in flash each."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from chipfit.compress.codebook import LIMIT
from chipfit.compress.fine import fine_tuned, folded_copy, learned_in_integers, outcome, require_epochs, tuning_words
from chipfit.compress.run import Outcome, Session
from chipfit.compress.weights import Chosen, Rows, fed_back, layers_of, real_weights, reweighted, with_weights
from chipfit.compress.weights_report import details_of
from chipfit.errors import ChipfitError
from chipfit.graph import Array, Graph
from chipfit.quantize.layers import LAYERS, Layer
from chipfit.trainable.tune import TuneSettings
from chipfit.trainable.weights import Masked

_ROUNDS = 6
"""In which weights go, fewer each time."""
_MOST_COLUMNS = 768
"""Of a layer that sums up more, weights are chosen by what each gives alone."""
_ELEMENTS = 1 << 22
"""Of matrices that are inverted at a time."""


@dataclass(frozen=True)
class Sparsify:
    """``sparsity``: share of each layer's weights that become 0; or ``pattern``: ``N:M``, so many of M neighbours along
    the input channels stay. Depthwise layers, whose few weights matter much, stay as they are unless ``depthwise``.
    ``tuning``: None: nothing learns; ``aware``: in the integers that it is deployed with (see
    :mod:`chipfit.compress.qat`). Raises ChipfitError U001."""

    sparsity: float | None = 0.75
    pattern: str | None = None
    depthwise: bool = False
    tuning: TuneSettings | None = None
    aware: bool = False
    name: str = "sparsify"

    def __post_init__(self) -> None:
        if (self.sparsity is None) == (self.pattern is None):
            raise ChipfitError(
                "U001", "either a share becomes 0, or a pattern stays", "--sparsity 0.75 or --pattern 2:4"
            )
        if self.sparsity is not None and not 0 < self.sparsity < 1:
            raise ChipfitError("U001", f"--sparsity {self.sparsity:g} is no share", "such as 0.75")
        parse_pattern(self.pattern)
        require_epochs(self.aware, self.tuning)

    @property
    def words(self) -> list[str]:
        words = ["--sparsity", f"{self.sparsity:g}"] if self.pattern is None else ["--pattern", self.pattern]
        flags = {"--depthwise": self.depthwise, "--qat": self.aware}
        return [*words, *(flag for flag, is_set in flags.items() if is_set), *tuning_words(self.tuning)]

    @property
    def epochs(self) -> int:
        return 0 if self.tuning is None else self.tuning.epochs

    def apply(self, session: Session) -> Outcome:
        whole, samples = session.subject.model.graph, session.subject.require_calibration()
        whole = folded_copy(whole) if self.aware else whole
        skipped = {
            n["w"].name for n in whole.nodes if isinstance(n.op, LAYERS) and Layer(n).depthwise and not self.depthwise
        }
        chosen: dict[str, Chosen] = {}
        masks: dict[str, Array] = {}
        errors: dict[str, float] = {}

        def choose(name: str, rows: Rows) -> tuple[Array, Array]:
            if name in skipped:
                kept, real = np.ones(rows.real.shape, bool), rows.real
            else:
                kept, real = sparse_rows(rows, self.sparsity or 0.0, parse_pattern(self.pattern))
            q, scales = masked_codes(rows, kept, real)
            masks[name], errors[name] = kept, rows.error(q * scales[..., None])
            chosen[name] = Chosen(q, scales, rows.real)
            return q, scales

        int8 = reweighted(whole, samples, choose, session.progress)
        graph = with_weights(whole, samples, real_weights(whole, chosen))
        rule = f"{self.pattern} of neighbours stay" if self.pattern else f"{100 * (self.sparsity or 0):g} % are 0"
        forms = _forms(graph, masks)
        if self.aware:
            made = learned_in_integers(session, graph, self.tuning, forms)
            if made is not None:
                return outcome(made.graph, made.int8, details_of(made.int8, rule, errors), made.progress, made.recipe)
        tuned = fine_tuned(session, graph, self.tuning, forms)
        if tuned is not None:
            graph = tuned.graph

            def keep(name: str, rows: Rows) -> tuple[Array, Array]:
                return masked_codes(rows, masks[name], rows.real)

            int8 = reweighted(graph, samples, keep, session.progress)
        return outcome(graph, int8, details_of(int8, rule, errors), tuned and tuned.progress)


def parse_pattern(text: str | None) -> tuple[int, int] | None:
    if text is None:
        return None
    found = re.fullmatch(r"(\d+):(\d+)", text)
    kept, of = (int(found.group(1)), int(found.group(2))) if found else (0, 0)
    if not 0 < kept < of:
        raise ChipfitError("U001", f"--pattern {text} is none", "N:M, such as 2:4: two of four neighbours stay")
    return kept, of


def sparse_rows(rows: Rows, share: float, pattern: tuple[int, int] | None) -> tuple[Array, Array]:
    """Which weights stay, (groups, channels, columns), bool, and what they become: the least squares for the sums.

    In rounds, in each of which those go that the others can make up for best (optimal brain surgery; Frantar and
    Alistarh, 2022), until a ``share`` is gone, or of each M neighbours all but N.
    """
    kept: Array = np.ones(rows.real.shape, bool)
    rounds = _ROUNDS if pattern is None else pattern[1] - pattern[0]
    real, worth = _refitted(rows, kept)
    for number in range(1, rounds + 1):
        if pattern is None:
            wanted = share * (1 - (1 - number / rounds) ** 3)
            _drop(kept.reshape(len(kept), -1), worth.reshape(len(kept), -1), round(wanted * kept[0].size))
        else:
            for at in range(0, kept.shape[2], pattern[1]):
                block = slice(at, at + pattern[1])
                over = kept.shape[2] - at < pattern[1]
                gone = max(0, kept[..., block].shape[2] - pattern[0]) if over else number
                _drop(kept[..., block], worth[..., block], min(gone, number))
        real, worth = _refitted(rows, kept)
    return kept, real


def _drop(kept: Array, worth: Array, count: int) -> None:
    """Along the last axis ``count`` are gone then, in place: those of the least worth, and those that are already."""
    order = np.argsort(np.where(kept, worth, -1.0), axis=-1, kind="stable")
    np.put_along_axis(kept, order[..., :count], False, axis=-1)


def _refitted(rows: Rows, kept: Array) -> tuple[Array, Array]:
    """Weights that stay, fitted, and what each is worth: the error of the sums without it, the others fitted anew."""
    if rows.spread is None or rows.real.shape[2] > _MOST_COLUMNS:
        real = np.where(kept, rows.real, 0.0)
        return real, np.square(real) * rows.energy
    real, worth = np.zeros(rows.real.shape), np.zeros(rows.real.shape)
    columns = rows.real.shape[2]
    step = max(1, _ELEMENTS // columns**2)
    for group, spread in enumerate(rows.spread):
        for first in range(0, rows.real.shape[1], step):
            part = slice(first, first + step)
            mask = kept[group, part].astype(np.float64)
            inner = spread * mask[:, :, None] * mask[:, None, :]
            inner[:, np.arange(columns), np.arange(columns)] += 1.0 - mask  # what is gone stands for itself
            inverse = np.linalg.inv(inner)
            target = mask * (rows.real[group, part] @ spread)
            real[group, part] = mask * (inverse @ target[..., None])[..., 0]
            worth[group, part] = np.square(real[group, part]) / np.einsum("rcc->rc", inverse)
    return real, worth


def masked_codes(rows: Rows, kept: Array, real: Array) -> tuple[Array, Array]:
    """Integers that are 0 where nothing is kept, near to real weights, and the scales of channels."""
    scales = np.abs(real).max(axis=2) / LIMIT
    scales = np.where(rows.dead | (scales == 0), rows.scales, np.maximum(scales, rows.least))
    if rows.has_one_scale:
        scales = np.full(scales.shape, scales.max())

    def column(k: int, left: Array, upper: Array) -> Array:
        del upper
        q = np.clip(np.rint(left[:, :, k] / scales), -LIMIT, LIMIT)
        return np.where(kept[:, :, k], q, 0.0)

    return fed_back(replace(rows, real=real), scales, column), scales


def _forms(graph: Graph, masks: Mapping[str, Array]) -> dict[str, Masked]:
    return {name: Masked(layer.weights_of(masks[name])) for name, layer in layers_of(graph).items()}
