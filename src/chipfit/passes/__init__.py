"""The passes: rewrites that shrink the work and change no output byte. PIPELINE is all of them in order."""

from chipfit.graph.rewrite import Pipeline
from chipfit.passes.fold_constants import FOLD_CONSTANTS
from chipfit.passes.fold_pad import FOLD_PAD
from chipfit.passes.remove_dead import REMOVE_DEAD
from chipfit.passes.remove_identity import REMOVE_IDENTITY

PIPELINE = Pipeline((FOLD_CONSTANTS, REMOVE_IDENTITY, FOLD_PAD, REMOVE_DEAD))

__all__ = ["FOLD_CONSTANTS", "FOLD_PAD", "PIPELINE", "REMOVE_DEAD", "REMOVE_IDENTITY"]
