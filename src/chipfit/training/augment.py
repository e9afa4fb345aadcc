"""Training pictures, changed a little at random each time: what a camera on another day would see."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, fields, replace
from math import ceil, cos, hypot, radians, sin
from typing import Any

import numpy as np

from chipfit.errors import ChipfitError
from chipfit.graph import Array
from chipfit.quantize.pictures import pillow
from chipfit.training.pictures import PictureSet

_LUMA = np.array([0.299, 0.587, 0.114], np.float32)
"""Of ITU-R BT.601, as Pillow makes grey of RGB."""


@dataclass(frozen=True)
class Augmentation:
    """What may happen to a picture, each evenly distributed; 0 or False: it does not happen.

    ``flip``: mirrored left to right, every second one. ``flip_vertical``: likewise, top to bottom. ``shift``: by up to
    this part of the width and of the height. ``zoom``: by a factor of 1 +- this. ``rotation``: by up to this many
    degrees. ``brightness``: all pixels by a factor of 1 +- this, as by exposure. ``contrast``: the distance from the
    picture's mean brightness likewise. ``saturation``: the distance from grey likewise; colour only.
    """

    flip: bool = False
    flip_vertical: bool = False
    shift: float = 0.0
    zoom: float = 0.0
    rotation: float = 0.0
    brightness: float = 0.0
    contrast: float = 0.0
    saturation: float = 0.0

    def __post_init__(self) -> None:
        limits = {"shift": 0.5, "zoom": 0.5, "rotation": 180.0, "brightness": 1.0, "contrast": 1.0, "saturation": 1.0}
        for name, limit in limits.items():
            value = getattr(self, name)
            if not 0.0 <= value <= limit:
                raise ChipfitError("U001", f"augmentation: {name} {value:g}", f"it is between 0 and {limit:g}")

    @property
    def is_moved(self) -> bool:
        """Whether things are elsewhere in the picture afterwards."""
        return bool(self.flip or self.flip_vertical or self.shift or self.zoom or self.rotation)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> Augmentation:
        return Augmentation(**data)

    def apply(self, pixels: Array, rng: np.random.Generator) -> Array:
        """(n, height, width, 1 or 3), uint8, to the same; the generator's state decides alone."""
        pixels = self._flipped(pixels, rng)
        if self.shift or self.zoom or self.rotation:
            pixels = self._moved(pixels, rng)
        if self.brightness or self.contrast or self.saturation:
            pixels = self._coloured(pixels, rng)
        return pixels

    def _flipped(self, pixels: Array, rng: np.random.Generator) -> Array:
        for wanted, axis in ((self.flip, 2), (self.flip_vertical, 1)):
            if wanted:
                chosen = np.flatnonzero(rng.random(len(pixels)) < 0.5)
                pixels = pixels.copy()
                pixels[chosen] = np.flip(pixels[chosen], axis)
        return pixels

    def _moved(self, pixels: Array, rng: np.random.Generator) -> Array:
        """Turned, zoomed and shifted in one step; what comes in from outside is the picture, mirrored at its edge."""
        image_module = pillow()
        affine, bilinear = image_module.Transform.AFFINE, image_module.Resampling.BILINEAR
        count, height, width, channels = pixels.shape
        at_x, at_y = self._margins(height, width)
        wide = np.pad(pixels, ((0, 0), (at_y, at_y), (at_x, at_x), (0, 0)), "reflect")
        wide = wide[..., 0] if channels == 1 else wide
        angles = np.radians(_around(0.0, self.rotation, count, rng))
        scales = _around(1.0, self.zoom, count, rng)
        centre_x = at_x + width * (0.5 + _around(0.0, self.shift, count, rng))
        centre_y = at_y + height * (0.5 + _around(0.0, self.shift, count, rng))
        c, s = np.cos(angles) / scales, np.sin(angles) / scales
        # each row of the matrix: where a pixel of the result comes from
        rows = np.stack(
            [c, s, centre_x - (c * width + s * height) / 2, -s, c, centre_y + (s * width - c * height) / 2], axis=1
        )
        moved = np.empty_like(pixels)
        for i, row in enumerate(rows.tolist()):
            picture = image_module.fromarray(wide[i]).transform((width, height), affine, row, bilinear)
            moved[i] = np.asarray(picture).reshape(height, width, channels)
        return moved

    def _margins(self, height: int, width: int) -> tuple[int, int]:
        """How far outside of the picture pixels are read at most: left and right, above and below."""
        most = radians(self.rotation)
        margins: list[int] = []
        for along, across in ((width, height), (height, width)):
            # the corner of a turned picture that is furthest out: its diagonal, or where the turning ends
            is_diagonal = most >= np.arctan2(across, along)
            reach = hypot(along, across) if is_diagonal else along * cos(most) + across * sin(most)
            margins.append(ceil(reach / 2 / (1 - self.zoom) + along * (self.shift - 0.5)) + 1)
        return margins[0], margins[1]

    def _coloured(self, pixels: Array, rng: np.random.Generator) -> Array:
        count, height, width, channels = pixels.shape
        brightness = _around(1.0, self.brightness, count, rng)
        contrast = _around(1.0, self.contrast, count, rng)
        saturation = _around(1.0, self.saturation, count, rng)
        luma = _LUMA if channels == 3 else np.ones(1, np.float32)
        # brightness * (contrast * (saturation * x + (1 - saturation) * grey - mean) + mean): a matrix and an offset
        coloured = saturation[:, None, None] * np.eye(channels)
        greyed = (1 - saturation)[:, None, None] * np.repeat(luma[:, None], channels, axis=1)
        matrices = ((brightness * contrast)[:, None, None] * (coloured + greyed)).astype(np.float32)
        of_mean = brightness * (1 - contrast)
        mean = np.full(height * width, 1 / (height * width), np.float32)
        changed = np.empty_like(pixels)
        for i in range(count):  # one by one they stay in the processor's cache: four times as fast as all together
            x = pixels[i].reshape(-1, channels).astype(np.float32)
            offset = np.float32(of_mean[i] * (mean @ x @ luma) + 0.5)  # half: the cast below cuts off
            x = x @ matrices[i]
            x += offset
            changed[i] = np.clip(x, 0, 255, out=x).astype(np.uint8).reshape(height, width, channels)
        return changed


NONE = Augmentation()
STRENGTHS = {
    "none": NONE,
    "colours": Augmentation(brightness=0.1, contrast=0.1, saturation=0.1),
    "light": Augmentation(True, False, 0.08, 0.1, 5.0, 0.1, 0.1, 0.1),
    "strong": Augmentation(True, False, 0.15, 0.25, 15.0, 0.25, 0.3, 0.3),
}


def parse_augmentation(text: str) -> Augmentation:
    """A strength (``none``, ``colours``, ``light``, ``strong``), then changes of it: ``light,rotation=10,flip=no``.

    Raises ChipfitError U001 for what is unknown.
    """
    parts = [part.strip() for part in text.split(",")]
    named = "=" not in parts[0]
    base = STRENGTHS.get(parts[0]) if named else NONE
    kinds = {f.name.replace("_", "-"): f for f in fields(Augmentation)}
    hint = f"a strength ({', '.join(STRENGTHS)}), then values such as rotation=10; known are: {', '.join(kinds)}"
    if base is None:
        raise ChipfitError("U001", f"augmentation '{parts[0]}' is unknown", hint)
    changes: dict[str, Any] = {}
    for part in parts[named:]:
        name, _, value = part.partition("=")
        try:
            is_switch = isinstance(getattr(NONE, kinds[name].name), bool)
            changes[kinds[name].name] = {"yes": True, "no": False}[value] if is_switch else float(value)
        except (KeyError, ValueError):
            wanted = "yes or no" if name in kinds and name.startswith("flip") else "a number"
            said = f"'{part}': {name} takes {wanted}" if name in kinds else f"'{part}' is unknown"
            raise ChipfitError("U001", f"augmentation {said}", hint) from None
    return replace(base, **changes)


def batches(
    pictures: PictureSet,
    indices: Array,
    batch: int,
    augmentation: Augmentation = NONE,
    rng: np.random.Generator | None = None,
) -> Iterator[tuple[Array, Array]]:
    """Pixels (n, height, width, channels), uint8, and labels (n,), int64, of the pictures at ``indices``, once each.

    ``n`` is ``batch``, and what is left in the last one. With ``rng`` they are shuffled and augmented, and its state
    decides both; without it they come in order and as they are. ``default_rng([seed, epoch])`` makes any epoch anew.
    """
    order = indices if rng is None else rng.permutation(indices)
    for start in range(0, len(order), batch):
        chosen = order[start : start + batch]
        pixels = pictures.pixels[chosen]
        yield pixels if rng is None else augmentation.apply(pixels, rng), pictures.labels[chosen]


def _around(middle: float, by: float, count: int, rng: np.random.Generator) -> Array:
    """(count,): as many numbers are drawn whatever ``by`` is, so that one setting does not change what others do."""
    return middle + by * rng.uniform(-1.0, 1.0, count)
