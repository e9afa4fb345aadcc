"""SUB."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from chipfit.graph import Node
from chipfit.ops._activation import Activation
from chipfit.ops._add import ADD_KERNELS, AddLike
from chipfit.ops._base import Kernel, for_types, register
from chipfit.ops._broadcast import binary_samples, int16_samples, int32_samples, scaled_sample
from chipfit.ops._steps import elements_in_order


@register
@dataclass(frozen=True)
class Sub(AddLike):
    """y = act(a - b), with numpy's broadcasting. int8, int16, float32, or int32 without quantization (wraps around).

    Source: TFLite SUB; int8 and int16 as in the TFLite Micro and LiteRT reference kernels: both operands are brought to
    one scale with 20 more bits (int16: 15), subtracted, and the result is rescaled; three double roundings. (LiteRT has
    another form for int16 whose scales are powers of two and said to be; TFLite Micro does not.)
    """

    name: ClassVar[str] = "sub"
    sign: ClassVar[int] = -1

    act: Activation = "none"

    kernels: ClassVar[tuple[Kernel, ...]] = (
        *ADD_KERNELS,
        Kernel("cf_sub_f32", for_types("float32"), traversal=elements_in_order),
        Kernel("cf_sub_s32", for_types("int32"), traversal=elements_in_order),
    )

    @property
    def activation(self) -> Activation:
        return self.act

    @classmethod
    def samples(cls, rng: np.random.Generator) -> Iterator[Node]:
        yield from binary_samples(rng, cls())
        yield from binary_samples(rng, cls("relu"), pairs=slice(2))
        yield from binary_samples(rng, cls("relu6"), pairs=slice(1, 4))
        yield from binary_samples(rng, cls("relu_n1_to_1"), 0.2, pairs=slice(1, 4))
        yield from binary_samples(rng, cls(), same_quant=True, pairs=slice(1, 4))
        yield scaled_sample(rng, cls(), 0.5, 0.5, 1.0)  # exact halves of both signs
        yield from int16_samples(rng, cls)
        yield from int32_samples(rng, cls())
