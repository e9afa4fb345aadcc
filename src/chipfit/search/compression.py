"""What makes a network of a search smaller behind its training, in words: ``cluster 16``, ``prune 0.5``."""

from __future__ import annotations

import difflib

from chipfit.compress.channels.prune import Prune
from chipfit.compress.cluster import Cluster
from chipfit.compress.run import Method
from chipfit.compress.sparse import Sparsify
from chipfit.errors import ChipfitError
from chipfit.quantize import Recipe, parse_recipe
from chipfit.trainable.tune import TuneSettings

NONE, QAT = "none", "qat"
"""Nothing is made smaller; and, of quantization, integers that are learned."""

_EXAMPLES = {
    NONE: NONE, "cluster": "cluster 16", "sparsify": "sparsify 0.75 or sparsify 2:4", "prune": "prune 0.5",
}  # fmt: skip


def method_of(text: str, tuning: TuneSettings | None, *, aware: bool = False) -> Method | None:
    """``cluster VALUES``, ``sparsify SHARE`` or ``sparsify N:M``, ``prune SHARE`` (of the instructions stays), as of
    ``chipfit compress``; None for ``none``. ``tuning``: how it learns then; None: it does not.
    ``aware``: where the method chooses integers, it learns in them.

    Raises ChipfitError U001 for any other text.
    """
    word, *rest = text.split() or [""]
    if word not in _EXAMPLES:
        near = difflib.get_close_matches(word, _EXAMPLES, 1)
        hint = f"did you mean {_EXAMPLES[near[0]]}?" if near else f"there are {', '.join(_EXAMPLES.values())}"
        raise ChipfitError("U001", f"compression '{text}' is unknown", hint)
    if len(rest) != (word != NONE):
        raise ChipfitError("U001", f"compression '{text}' is none", f"such as {_EXAMPLES[word]}")
    if word == NONE:
        return None
    (argument,) = rest
    try:
        if word == "cluster":
            return Cluster(int(argument), tuning, aware)
        if word == "sparsify" and ":" in argument:
            return Sparsify(None, argument, tuning=tuning, aware=aware)
        share = float(argument)
    except ValueError:
        raise ChipfitError("U001", f"compression '{text}' is none", f"such as {_EXAMPLES[word]}") from None
    if not 0 < share < 1:
        raise ChipfitError(
            "U001", f"compression '{text}' is none: {argument} is no share", f"such as {_EXAMPLES[word]}"
        )
    if word == "sparsify":
        return Sparsify(share, tuning=tuning, aware=aware)
    return Prune({"instructions": f"{share!r}"}, stages=1, tuning=tuning)


def has_codes(compression: str) -> bool:
    """Whether it chooses the int8 weights itself, which then take less flash compressed."""
    return compression.split()[0] in ("cluster", "sparsify")


def conflict(quantization: str, compression: str) -> str:
    """Why the two do not go together; empty: they do."""
    if not has_codes(compression) or quantization == QAT or parse_recipe(quantization) == Recipe():
        return ""
    return f"{compression} chooses int8 weights, and the recipe is {quantization}"
