"""The table of operators: the name of an ATen operator -> the function that makes our nodes of it."""

from __future__ import annotations

from chipfit.importers.torch.activations import ACTIVATIONS
from chipfit.importers.torch.call import Function
from chipfit.importers.torch.elementwise import ELEMENTWISE
from chipfit.importers.torch.matrices import MATRICES
from chipfit.importers.torch.normalization import NORMALIZATION
from chipfit.importers.torch.recurrent import RECURRENT
from chipfit.importers.torch.reductions import REDUCTIONS
from chipfit.importers.torch.shapes import SHAPES
from chipfit.importers.torch.windows import WINDOWS

OPERATORS: dict[str, Function] = {
    **ELEMENTWISE,
    **ACTIVATIONS,
    **WINDOWS,
    **NORMALIZATION,
    **SHAPES,
    **REDUCTIONS,
    **MATRICES,
    **RECURRENT,
}

SHAPE_ONLY = frozenset(
    ("zeros_like", "ones_like", "full_like", "empty_like", "new_zeros", "new_ones", "new_full", "new_empty", "fill")
)
"""Operators whose results do not depend on the elements of their first argument."""

WITHOUT_EFFECT = frozenset(
    ("_assert_tensor_metadata", "_assert_async", "_assert_scalar", "sym_constrain_range_for_size")
)

_VOLUME = "use two of the three axes"

#: operator -> the nearest thing the user can do
ADVICE: dict[str, str] = {
    **dict.fromkeys(("conv3d", "conv_transpose3d", "max_pool3d", "max_pool3d_with_indices", "avg_pool3d"), _VOLUME),
    **dict.fromkeys(("_upsample_bicubic2d_aa", "_upsample_bilinear2d_aa"), "use antialias=False"),
    **dict.fromkeys(("quantize_per_tensor", "quantize_per_channel"), "load the float model, quantize it with chipfit"),
    **dict.fromkeys(("cumsum", "cumprod"), "multiply by a constant triangular matrix"),
    **dict.fromkeys(("nonzero", "masked_select", "unique"), "sizes must not depend on numbers: use torch.where"),
    **dict.fromkeys(("sort", "topk", "argsort"), "sort in the application; argmax gives the greatest"),
}
NATIVE = frozenset({*OPERATORS, *SHAPE_ONLY, *WITHOUT_EFFECT, *ADVICE})
"""What torch leaves as it is when it decomposes a program."""

DEFAULT_ADVICE = "replace it by operators of docs/importing.md, or move it out of the model into the application"
