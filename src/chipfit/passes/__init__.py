"""The passes: rewrites that shrink the work and change no output byte. PIPELINE is all of them in order."""

from chipfit.graph.rewrite import Pipeline
from chipfit.passes.channels_last import with_channels_last
from chipfit.passes.dead_channels import dead_channels
from chipfit.passes.float_weights import float_weights
from chipfit.passes.fold_activation import FOLD_ACTIVATION
from chipfit.passes.fold_constants import FOLD_CONSTANTS
from chipfit.passes.fold_dilation import FOLD_DILATION
from chipfit.passes.fold_pad import FOLD_PAD
from chipfit.passes.fold_requantize import FOLD_REQUANTIZE
from chipfit.passes.fold_weight_dequantize import FOLD_WEIGHT_DEQUANTIZE
from chipfit.passes.integer_io import integer_io
from chipfit.passes.merge_depthwise import MERGE_DEPTHWISE
from chipfit.passes.remove_dead import REMOVE_DEAD
from chipfit.passes.remove_identity import REMOVE_IDENTITY
from chipfit.passes.remove_transposes import REMOVE_TRANSPOSES
from chipfit.passes.scans import SCAN_INLINE, SCAN_OUTPUTS, scan_bodies

DEAD_CHANNELS = dead_channels()
SCAN_BODIES = scan_bodies(lambda: PIPELINE)

# small weights are taken before they become float32 constants; what is constant, moves elements back and forth or does
# nothing goes next, so that neighbours meet; dead readers go before channels are counted
PIPELINE = Pipeline(
    (
        FOLD_WEIGHT_DEQUANTIZE,
        FOLD_CONSTANTS,
        REMOVE_TRANSPOSES,
        REMOVE_IDENTITY,
        FOLD_DILATION,
        FOLD_PAD,
        FOLD_REQUANTIZE,
        FOLD_ACTIVATION,
        MERGE_DEPTHWISE,
        SCAN_INLINE,
        SCAN_OUTPUTS,
        SCAN_BODIES,
        REMOVE_DEAD,
        DEAD_CHANNELS,
    )
)

__all__ = [
    "DEAD_CHANNELS",
    "FOLD_ACTIVATION",
    "FOLD_CONSTANTS",
    "FOLD_DILATION",
    "FOLD_PAD",
    "FOLD_REQUANTIZE",
    "FOLD_WEIGHT_DEQUANTIZE",
    "MERGE_DEPTHWISE",
    "PIPELINE",
    "REMOVE_DEAD",
    "REMOVE_IDENTITY",
    "REMOVE_TRANSPOSES",
    "SCAN_BODIES",
    "SCAN_INLINE",
    "SCAN_OUTPUTS",
    "dead_channels",
    "float_weights",
    "integer_io",
    "with_channels_last",
]
