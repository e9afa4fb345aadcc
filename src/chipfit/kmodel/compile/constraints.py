"""What the KPU can do. Each rule is a function; its docstring is what users read, and the compiler asks the function.

A layer that breaks a rule of ``LIMITS`` is computed by the CPU. One that keeps them runs on the KPU; where it breaks a
rule for the place of pixels, the CPU moves some before or after it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from chipfit.kmodel.compile.view import Pads, View
from chipfit.kmodel.format.layout import KPU_BYTES, MapLayout
from chipfit.kmodel.format.registers import WEIGHT_MEMORY

LEAST_SIDE, MOST_ROWS, MOST_COLUMNS, MOST_CHANNELS, MOST_LOADS = 4, 256, 512, 1024, 64


@dataclass(frozen=True)
class Conv:
    """A convolution as the rules see it. ``stored``: whether its weights are constant; ``pooled``: side of the windows
    that pooling behind it makes one pixel of."""

    rows: int
    columns: int
    channels: int
    out_channels: int
    kernel: tuple[int, int]
    stride: tuple[int, int]
    pad: Pads
    dilation: tuple[int, int] = (1, 1)
    groups: int = 1
    images: int = 1
    stored: bool = True
    pooled: int = 1

    @property
    def depthwise(self) -> bool:
        return self.groups > 1 and self.groups == self.channels == self.out_channels


@dataclass(frozen=True)
class Rule:
    """``text``: what the KPU can do. ``fix``: what to write in the model instead."""

    name: str
    holds: Callable[[Conv], bool]
    fix: str

    @property
    def text(self) -> str:
        return " ".join((self.holds.__doc__ or "").split())


LIMITS: list[Rule] = []


def _limit(fix: str) -> Callable[[Callable[[Conv], bool]], Callable[[Conv], bool]]:
    def add(holds: Callable[[Conv], bool]) -> Callable[[Conv], bool]:
        LIMITS.append(Rule(holds.__name__, holds, fix))
        return holds

    return add


@_limit("convert a model whose weights are constants")
def stored_weights(conv: Conv) -> bool:
    """The KPU's weights are constants of the file."""
    return conv.stored


@_limit("give the model a batch size of 1")
def one_image(conv: Conv) -> bool:
    """The KPU is given one image at a time."""
    return conv.images == 1


@_limit("two convolutions 3x3 see as much as one 5x5, three as much as one 7x7, with fewer weights")
def small_filter(conv: Conv) -> bool:
    """The KPU has filters of 1x1 and of 3x3."""
    return conv.kernel in ((1, 1), (3, 3))


@_limit("use a plain or a depthwise convolution (multiplier 1), and 1x1 convolutions for other numbers of channels")
def plain_or_depthwise(conv: Conv) -> bool:
    """The KPU reads all input channels for each output channel, or just one, where both have equal numbers."""
    return conv.groups == 1 or conv.depthwise


@_limit("use the same stride along rows and columns")
def equal_strides(conv: Conv) -> bool:
    """The KPU samples rows and columns alike."""
    return conv.stride[0] == conv.stride[1]


@_limit("use stride 2 or pooling before the layer instead of dilation")
def no_dilation(conv: Conv) -> bool:
    """The taps of the KPU's filters are neighbours: there is no dilation."""
    return conv.dilation == (1, 1)


@_limit("pad by 1 for filters of 3x3, not at all for 1x1")
def border_of_one(conv: Conv) -> bool:
    """The KPU puts one pixel of zeros around the image for 3x3, and none for 1x1."""
    return max(conv.pad) <= (1 if conv.kernel == (3, 3) else 0)


@_limit("use fewer channels")
def channels_fit(conv: Conv) -> bool:
    """The KPU reads and writes at most 1,024 channels."""
    return max(conv.channels, conv.out_channels) <= MOST_CHANNELS


@_limit("make the image smaller: 320x240 is the camera's usual size")
def image_fits(conv: Conv) -> bool:
    """The KPU reads at most 256 rows and 512 columns."""
    return conv.rows <= MOST_ROWS and conv.columns <= MOST_COLUMNS


@_limit("use fewer channels, or a depthwise and a 1x1 convolution in place of the 3x3")
def weights_load(conv: Conv) -> bool:
    """The KPU loads the weights of a layer in at most 64 parts of whole output channels, 30 KiB each."""
    one = conv.kernel[0] * conv.kernel[1] * conv.channels
    if conv.depthwise:
        return True
    return one <= WEIGHT_MEMORY and -(-conv.out_channels // (WEIGHT_MEMORY // one)) <= MOST_LOADS


@_limit("use a stride or pooling earlier, fewer channels, or a smaller image")
def maps_fit(conv: Conv) -> bool:
    """The input of a layer and its result, before pooling only where nothing is pooled, share 2 MiB in the KPU."""
    stride = 1 if conv.depthwise or conv.stride not in ((2, 2), (4, 4)) else conv.stride[0]
    stride *= conv.pooled
    rows, columns = max(conv.rows, LEAST_SIDE), max(conv.columns, LEAST_SIDE)
    before = MapLayout(conv.channels, rows, columns).size
    return before + MapLayout(conv.out_channels, max(rows // stride, 1), max(columns // stride, 1)).size <= KPU_BYTES


def broken(conv: Conv) -> Rule | None:
    """The first rule that a layer breaks."""
    return next((rule for rule in LIMITS if not rule.holds(conv)), None)


# ------------------------------------------------------------------------------------- where pixels lie


@dataclass(frozen=True)
class Place:
    """A rule for the place of pixels. ``fix``: what to write in the model instead."""

    text: str
    fix: str


def _place(holds: Callable[..., bool], fix: str) -> Place:
    return Place(" ".join((holds.__doc__ or "").split()), fix)


def is_large_enough(view: View) -> bool:
    """The KPU reads at least 4 rows and 4 columns: the CPU fills smaller maps up."""
    return view.height >= LEAST_SIDE and view.width >= LEAST_SIDE


def lies_whole(view: View) -> bool:
    """The KPU's zeros lie around the map: what is cut off or left out has to be cut out before a layer that pads."""
    return view.is_whole


def keeps_first_row(view: View) -> bool:
    """The KPU keeps rows 0, 2, 4 ... of a stride of 2; `same` padding of an even size wants rows 1, 3, 5 ..."""
    return view.top % view.step == 0


def keeps_all_rows(view: View) -> bool:
    """The KPU halves an odd size downwards, where the stride of a layer halves it upwards."""
    return view.kept() is not None or not keeps_first_row(view)


def strides_by_pooling(view: View) -> bool:
    """The KPU strides by 2 or 4, right behind a convolution that is not depthwise."""
    return view.kept() is not None


def lies_in_kpu(view: View | None) -> bool:
    """The KPU reads its own memory: what the CPU made is copied there."""
    return view is not None


UPLOAD = _place(lies_in_kpu, "keep the layers of the CPU at the end")
LARGE_ENOUGH = _place(is_large_enough, "leave out the last stride, or use global pooling earlier")
WHOLE = _place(lies_whole, "use ZeroPadding2D(1) and `valid`, or `same` with stride 1")
FIRST_ROW = _place(keeps_first_row, "use ZeroPadding2D(1) and `valid` in place of `same` where the stride is 2")
ALL_ROWS = _place(
    keeps_all_rows,
    "choose an input size that can be halved, a multiple of 32 for MobileNet, or cut off the "
    "odd row or column before the stride: Cropping2D(((0, 1), (0, 0)))",
)
STRIDE = _place(strides_by_pooling, "use stride 2, and a 1x1 convolution behind a depthwise one")


def why_not_kept(view: View) -> Place:
    """The rule that pixels break which no pooling keeps."""
    if view.step not in (2, 4):
        return STRIDE
    if not keeps_first_row(view):
        return FIRST_ROW
    return ALL_ROWS if not keeps_all_rows(view) else STRIDE


def why_cut(view: View) -> Place:
    """The rule for which the pixels of a tensor are cut out of its map."""
    if view.step > 1:
        return why_not_kept(view)
    return LARGE_ENOUGH if (view.rows, view.columns) < (LEAST_SIDE, LEAST_SIDE) else WHOLE


# ------------------------------------------------------------------------------------- other operators

_ONLY_CONVOLUTIONS = "The KPU convolves, applies a function of one number, and pools; all else is the CPU's."

OTHERS: dict[str, Place] = {
    "max_pool2d": Place(
        "The KPU pools 2x2 and 4x4 windows side by side, or 2x2 with stride 1 and `same`, right behind a convolution "
        "that is not depthwise and that nobody else reads.",
        "pool behind a plain convolution, 2x2 with stride 2",
    ),
    "mean": Place("Means over an image are the CPU's, in floats.", ""),
    "fully_connected": Place("Dense layers with fewer than 1,024 weights are faster on the CPU, in floats.", ""),
    "softmax": Place("Softmax is the CPU's, in floats.", "leave it out: the largest number is the same class"),
    "add": Place("Two tensors are added by the CPU, as bytes.", "MobileNetV1 has no additions"),
    "concatenation": Place(
        "Layers write side by side in the KPU where whole groups of channels fill lines and only convolutions read "
        "them.",
        "use multiples of 4 channels",
    ),
}
OTHERS["average_pool2d"] = OTHERS["max_pool2d"]


def why_cpu(op: str) -> Place:
    """Why the CPU computes an operator that is no convolution."""
    return OTHERS.get(op, Place(_ONLY_CONVOLUTIONS, "put functions of one number right behind a convolution"))
