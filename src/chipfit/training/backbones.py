"""The networks that can be trained: a backbone, which may be pretrained, and a head of one's own.

Layers have the names and shapes that ``keras.applications`` gives them, so that its weights fit. None of them has a
layer for normalisation: what a picture's pixels become is :attr:`Backbone.preprocessing`, outside of the network.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from chipfit.errors import ChipfitError
from chipfit.importers.keras.framework import import_keras
from chipfit.quantize import Preprocessing
from chipfit.training.pictures import LARGEST_SIDE, SMALLEST_SIDE

ALPHAS = (0.125, 1.0)
"""Least and greatest width multiplier."""

KPU_ROWS = 4
"""The KPU of the K210 computes no feature map with fewer rows or columns."""

HEAD = ("head_pool", "head_dropout", "head_dense", "head")
"""Names of the layers that are trained anew; all others are the backbone's."""

Target = Literal["any", "k210"]
Outputs = Literal["classes", "numbers"]


@dataclass(frozen=True)
class Network:
    """What a network is like. ``height``, ``width``: pixels; ``channels``: 1 (grey) or 3 (red, green, blue).

    ``outputs``: of the last layer, a softmax over ``classes`` or a linear layer of ``numbers``. ``dropout``: share of
    the pooled features that training drops; ``dense``: units of a hidden layer behind them, 0: none. ``target``:
    ``k210`` for a form that its KPU computes (mobilenet_v1 alone). ``depth``: share of the backbone's blocks; the
    others are left out, those that change the size of a feature map never.
    Raises ChipfitError U001 for what cannot be built.
    """

    backbone: str = "mobilenet_v1"
    alpha: float = 0.25
    height: int = 64
    width: int = 64
    channels: int = 3
    outputs: int = 2
    kind: Outputs = "classes"
    dropout: float = 0.1
    dense: int = 0
    target: Target = "any"
    depth: float = 1.0

    def __post_init__(self) -> None:
        one = backbone(self.backbone)
        if not 0 < self.depth <= 1 or (self.depth < 1 and not one.optional):
            hint = f"1, or less for {', '.join(b.name for b in BACKBONES.values() if b.optional)}: --depth"
            raise ChipfitError("U001", f"{one.name} has no depth {self.depth:g}", hint)
        if self.alpha not in one.alphas and not (not one.alphas and ALPHAS[0] <= self.alpha <= ALPHAS[1]):
            known = " or ".join(map(str, one.alphas)) if one.alphas else f"{ALPHAS[0]} to {ALPHAS[1]:g}"
            raise ChipfitError("U001", f"{one.name} has no alpha {self.alpha:g}", f"it has {known}: --alpha")
        if not all(SMALLEST_SIDE <= side <= LARGEST_SIDE for side in (self.height, self.width)):
            asked, hint = (
                f"{self.height}x{self.width}",
                f"each side may have {SMALLEST_SIDE} to {LARGEST_SIDE} pixels: --size",
            )
            raise ChipfitError("U001", f"pictures of {asked} pixels are none for {one.name}", hint)
        if self.channels not in (1, 3):
            raise ChipfitError("U001", f"pictures have 1 or 3 channels, not {self.channels}")
        if self.outputs < (2 if self.kind == "classes" else 1):
            raise ChipfitError("U001", f"a network cannot have {self.outputs} {self.kind}")
        if not 0 <= self.dropout < 1 or self.dense < 0:
            raise ChipfitError("U001", f"dropout {self.dropout:g} with {self.dense} hidden units make no head")
        if self.target == "k210" and self.backbone != "mobilenet_v1":
            hint = "--backbone mobilenet_v1, or without --for"
            raise ChipfitError("U001", f"{self.backbone} has no form for the K210", hint)

    @property
    def preprocessing(self) -> Preprocessing:
        """How the network's input is made of a picture's pixels."""
        return backbone(self.backbone).preprocessing[self.channels]

    @property
    def left_out(self) -> tuple[int, ...]:
        """Numbers of the blocks that the depth leaves out."""
        one = backbone(self.backbone)
        return one.optional[: round((1 - self.depth) * one.blocks)]

    @property
    def title(self) -> str:
        """``mobilenet_v1 0.25, 64x64 RGB``."""
        deep = "" if self.depth == 1 else f" depth {self.depth:g}"
        alpha = "" if backbone(self.backbone).alphas == (1.0,) else f" {self.alpha:g}"
        return f"{self.backbone}{alpha}{deep}, {self.height}x{self.width} {'RGB' if self.channels == 3 else 'grey'}"


@dataclass(frozen=True)
class Backbone:
    """``features``: Keras and a network to the model that gives its feature maps. ``alphas``: 1.0 alone, or none: any.

    ``pretrained``: Keras, an alpha and a side in pixels to its model with the weights of ImageNet, which are
    downloaded; None: there are none. ``preprocessing``: by channels. ``blocks``: how many there are; ``optional``:
    those that may be left out, in this order.
    """

    name: str
    features: Callable[[Any, Network], Any]
    pretrained: Callable[[Any, float, int], Any] | None
    preprocessing: dict[int, Preprocessing]
    alphas: tuple[float, ...] = ()
    blocks: int = 0
    optional: tuple[int, ...] = ()


def backbone(name: str) -> Backbone:
    """Raises ChipfitError U001 for a name that is none."""
    if name not in BACKBONES:
        raise ChipfitError("U001", f"there is no backbone '{name}'", f"there are {', '.join(BACKBONES)}")
    return BACKBONES[name]


def build(network: Network, name: str = "model") -> Any:
    """An untrained Keras model: (n, height, width, channels), float32, to (n, outputs).

    Its weights are random, by the seed of ``keras.utils.set_random_seed``. Raises ChipfitError T001 where Keras or a
    backend of it is missing.
    """
    keras = import_keras()
    layers = keras.layers
    features = BACKBONES[network.backbone].features(keras, network)
    x = layers.GlobalAveragePooling2D(name="head_pool")(features.output)
    x = layers.Dropout(network.dropout, name="head_dropout")(x)
    if network.dense:
        x = layers.Dense(network.dense, "relu", name="head_dense")(x)
    last = "softmax" if network.kind == "classes" else "linear"
    return keras.Model(features.input, layers.Dense(network.outputs, last, name="head")(x), name=name)


# ---------------------------------------------------------------------------------------------- mobilenet_v1

_POINTWISE = (64, 128, 128, 256, 256, 512, 512, 512, 512, 512, 512, 1024, 1024)
_HALVED = (2, 4, 6, 12)
"""Numbers of the blocks with stride 2. Source: Howard et al., 2017, table 1."""
_SPARE = (11, 10, 9, 8, 7, 13, 5, 3)
"""Blocks that give as many channels as they take, with stride 1: the five alike first."""


def _mobilenet_v1(keras: Any, network: Network) -> Any:
    """As ``keras.applications.MobileNet``, or the same weights in the form of the KPU.

    That form pads all sides alike, as the KPU does. It has no stride in a depthwise layer, which the KPU lacks, but in
    the 1x1 layer behind it: that picks the same pixels. The KPU halves odd sizes downwards: the last row or column is
    cut off before such a stride. A stride that would leave fewer than 4 rows or columns is left out.
    """
    layers, for_kpu = keras.layers, network.target == "k210"

    def normed(x: Any, name: str) -> Any:
        return layers.ReLU(6.0, name=f"{name}_relu")(layers.BatchNormalization(name=f"{name}_bn")(x))

    def width(filters: int) -> int:
        return int(filters * network.alpha)

    inputs = layers.Input((network.height, network.width, network.channels), name="input")
    # below and to the right of an odd size there is no pixel that the first stride takes
    around = tuple((1, 1 - side % 2) for side in (network.height, network.width))
    x = layers.ZeroPadding2D(around, name="conv1_pad")(inputs) if for_kpu else inputs
    first = layers.Conv2D(width(32), 3, 2, padding="valid" if for_kpu else "same", name="conv1", use_bias=False)
    x = normed(first(x), "conv1")
    for block, filters in enumerate(_POINTWISE, 1):
        if block in network.left_out:
            continue
        stride = 2 if block in _HALVED else 1
        if for_kpu and min(x.shape[1:3]) // 2 < KPU_ROWS:
            stride = 1
        deep, shallow = (1, stride) if for_kpu else (stride, 1)
        if deep == 2:
            x = layers.ZeroPadding2D(((0, 1), (0, 1)), name=f"conv_pad_{block}")(x)
        padding = "valid" if deep == 2 else "same"
        depthwise = layers.DepthwiseConv2D(3, deep, padding=padding, name=f"conv_dw_{block}", use_bias=False)
        x = normed(depthwise(x), f"conv_dw_{block}")
        odd = [side % 2 for side in x.shape[1:3]]
        if shallow == 2 and any(odd):
            x = layers.Cropping2D(tuple((0, rest) for rest in odd), name=f"conv_crop_{block}")(x)
        x = normed(
            layers.Conv2D(width(filters), 1, shallow, name=f"conv_pw_{block}", use_bias=False)(x), f"conv_pw_{block}"
        )
    return keras.Model(inputs, x)


# ---------------------------------------------------------------------------------------------- ds_cnn

_FILTERS, _DS_STRIDES = 64, (2, 1, 2, 1)
_DS_SPARE = (4, 2)


def _ds_cnn(keras: Any, network: Network) -> Any:
    """A convolution and four depthwise separable blocks of 64 filters each at alpha 1 (Zhang et al., 2017, "Hello
    Edge", DS-CNN small), with strides for pictures in place of spectrograms."""
    layers, filters = keras.layers, max(8, int(_FILTERS * network.alpha))

    def normed(x: Any, name: str) -> Any:
        return layers.ReLU(name=f"{name}_relu")(layers.BatchNormalization(name=f"{name}_bn")(x))

    inputs = layers.Input((network.height, network.width, network.channels), name="input")
    x = normed(layers.Conv2D(filters, 3, 2, padding="same", name="stem", use_bias=False)(inputs), "stem")
    for block, stride in enumerate(_DS_STRIDES, 1):
        if block in network.left_out:
            continue
        depthwise = layers.DepthwiseConv2D(3, stride, padding="same", name=f"block_{block}_dw", use_bias=False)
        x = normed(depthwise(x), f"block_{block}_dw")
        x = normed(layers.Conv2D(filters, 1, name=f"block_{block}_pw", use_bias=False)(x), f"block_{block}_pw")
    return keras.Model(inputs, x)


# ---------------------------------------------------------------------------------------------- keras.applications


def _shape(network: Network) -> dict[str, Any]:
    shape = (network.height, network.width, network.channels)
    return {"input_shape": shape, "include_top": False, "weights": None}


def _mobilenet_v2(keras: Any, network: Network) -> Any:
    return keras.applications.MobileNetV2(alpha=network.alpha, **_shape(network))


def _mobilenet_v3_small(keras: Any, network: Network) -> Any:
    return keras.applications.MobileNetV3Small(
        alpha=network.alpha, include_preprocessing=False, **_shape(network)
    )  # fmt: skip


def _efficientnet_b0(keras: Any, network: Network) -> Any:
    """Without its first layers, which normalise pixels."""
    whole = keras.applications.EfficientNetB0(**_shape(network))
    return keras.Model(whole.get_layer("stem_conv_pad").input, whole.output)


def _of_imagenet(application: str, has_alpha: bool = True) -> Callable[[Any, float, int], Any]:
    def download(keras: Any, alpha: float, side: int) -> Any:
        options = {"alpha": alpha} if has_alpha else {}
        make = getattr(keras.applications, application)
        return make(input_shape=(side, side, 3), include_top=False, weights="imagenet", **options)

    return download


_SIGNED: dict[int, Preprocessing] = dict.fromkeys(
    (1, 3), Preprocessing(resize="stretch", scale=1 / 127.5, mean=(128 / 127.5,))
)
"""``(pixel - 128) / 127.5``: the int8 input of a quantized network is the pixel less 128 to the bit, since 0 is one of
the integers of its grid. Pretrained weights were made with ``pixel / 127.5 - 1``, which is 1/255 of the range above it:
there pixels lie half way between two integers, and 239 of 256 values are left."""

_STANDARD = {
    1: Preprocessing(resize="stretch", scale=1 / 255, mean=(0.449,), std=(0.226,)),
    3: Preprocessing(resize="stretch", scale=1 / 255, mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225)),
}
"""By mean and deviation of ImageNet's colours; grey: their means."""

BACKBONES = {
    one.name: one
    for one in (
        Backbone("mobilenet_v1", _mobilenet_v1, _of_imagenet("MobileNet"), _SIGNED, (), len(_POINTWISE), _SPARE),
        Backbone("mobilenet_v2", _mobilenet_v2, _of_imagenet("MobileNetV2"), _SIGNED),
        Backbone("mobilenet_v3_small", _mobilenet_v3_small, _of_imagenet("MobileNetV3Small"), _SIGNED),
        Backbone("ds_cnn", _ds_cnn, None, _SIGNED, (), len(_DS_STRIDES), _DS_SPARE),
        Backbone(
            "efficientnet_b0", _efficientnet_b0, _of_imagenet("EfficientNetB0", has_alpha=False), _STANDARD, (1.0,)
        ),
    )
}
"""By name."""
