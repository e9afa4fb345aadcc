"""Files of pictures to pixels: one way for training, calibration and evaluation, so that all see the same bytes.

Needs Pillow (``pip install 'chipfit[images]'``), which is imported when the first picture is read.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib import import_module
from math import ceil
from pathlib import Path
from typing import Any, Literal

import numpy as np

from chipfit.errors import ChipfitError
from chipfit.graph import Array
from chipfit.quantize.observers import Range

IMAGE_ENDINGS = (".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")

MOST_PIXELS = 1 << 26
"""Of a picture as it is decoded: 67 million take 200 MB. A JPEG is decoded at a fraction of its size and may have more,
up to Pillow's own limit against decompression bombs."""
MOST_BYTES = 1 << 28
"""Of a file."""


@dataclass(frozen=True)
class Preprocessing:
    """From the pixels of a picture (0..255) to what a model takes: ``(pixel * scale - mean) / std``.

    ``resize``: ``crop`` (the shorter side to ``side``, then the middle is cut out) or ``stretch`` (both sides to the
    model's). ``side``: 0 is the shorter side of the model's input. ``mean`` and ``std``: one for all channels or one
    for each. Kept with the model, so that whoever feeds it can do the same.
    """

    resize: Literal["crop", "stretch"] = "crop"
    side: int = 0
    scale: float = 1.0
    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)

    def __post_init__(self) -> None:
        numbers = (self.scale, *self.mean, *self.std)
        if not np.isfinite(numbers).all() or 0.0 in self.std or self.scale == 0.0:
            raise ChipfitError("Q002", f"scale {self.scale}, mean {self.mean} and std {self.std} make no picture")
        if self.resize not in ("crop", "stretch") or self.side < 0:
            raise ChipfitError("Q002", f"resize '{self.resize}' to {self.side} is unknown", "known are: crop, stretch")

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> Preprocessing:
        given: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in data.items()}
        return Preprocessing(**given)

    def apply(self, pixels: Array) -> Array:
        """(..., channels), uint8, to float32."""
        scaled = pixels.astype(np.float32) * np.float32(self.scale)
        return (scaled - np.array(self.mean, np.float32)) / np.array(self.std, np.float32)

    def range(self, channels: int) -> Range:
        """The least and the greatest number that any pixel can become."""
        ends = self.apply(np.array([[0] * channels, [255] * channels], np.uint8))
        return Range(float(ends.min()), float(ends.max()))


class PictureError(Exception):
    """A file that is no picture, or none that can be used; the text says why, without the file's name."""


def image_files(folder: Path, limit: int | None = None) -> list[Path]:
    """Pictures below a folder, from all its folders in turn, each sorted by path. ``limit``: the first of them.

    Hidden files and those in hidden folders are left out.
    Raises ChipfitError Q001 if there is none.
    """
    known = (p for p in folder.rglob("*") if p.suffix.lower() in IMAGE_ENDINGS and p.is_file())
    found = sorted(p for p in known if not any(part.startswith(".") for part in p.relative_to(folder).parts))
    if not found:
        raise ChipfitError(
            "Q001",
            f"there are no pictures in '{folder}'",
            f"files are known by their endings: {', '.join(IMAGE_ENDINGS)}",
        )
    by_folder: dict[Path, list[Path]] = {}
    for path in found:
        by_folder.setdefault(path.parent, []).append(path)
    turns = [(i, path) for paths in by_folder.values() for i, path in enumerate(paths)]
    return [path for _, path in sorted(turns)[:limit]]


def file_bytes(path: Path) -> bytes:
    """What a file of a picture holds. Raises PictureError if that is nothing, too much, or cannot be read."""
    try:
        size = path.stat().st_size
        if size > MOST_BYTES:
            raise PictureError(f"too large: {size >> 20} MiB (limit: {MOST_BYTES >> 20})")
        data = path.read_bytes()
    except OSError as error:
        raise PictureError(error.strerror or str(error)) from None
    if not data:
        raise PictureError("the file is empty")
    return data


def decoded(data: bytes, shape: tuple[int, int, int], how: Preprocessing) -> Array:
    """A file's bytes to pixels of ``shape`` (height, width, 1 or 3), uint8.

    Turned as its EXIF data say; transparent parts lie over white; of an animation the first picture. 16-bit grey is
    scaled to 8. A JPEG that is larger than needed is decoded at 1/2, 1/4 or 1/8 of its size, at no less than twice the
    size that it gets.

    Raises PictureError, and ChipfitError T001 without Pillow.
    """
    image_module = pillow()
    try:
        with image_module.open(io.BytesIO(data)) as file:
            _draft(file, shape, how)
            width, height = file.size
            if width * height > MOST_PIXELS:
                raise PictureError(f"too large: {width} x {height} pixels (limit: {MOST_PIXELS} in all)")
            return _resized(_plain(file, shape[2]), shape, how)
    except (PictureError, ChipfitError):
        raise
    except image_module.DecompressionBombError:
        raise PictureError(f"too large: more than {2 * image_module.MAX_IMAGE_PIXELS} pixels") from None
    except import_module("PIL").UnidentifiedImageError:
        raise PictureError("no picture, or of a format that Pillow does not read") from None
    except Exception as error:
        # a damaged file raises whatever its decoder does
        raise PictureError(str(error) or type(error).__name__) from None


def pillow() -> Any:
    """The module ``PIL.Image``. Raises ChipfitError T001 without Pillow."""
    try:
        return import_module("PIL.Image")
    except ImportError:
        raise ChipfitError("T001", "pictures are read with Pillow", "python -m pip install pillow") from None


def _draft(file: Any, shape: tuple[int, int, int], how: Preprocessing) -> None:
    """Lets the decoder of JPEG leave out what the resize would. Others do nothing here."""
    turned = file.size[::-1]  # as it may still be, by its EXIF data
    factor = 2 * max(*_factors(file.size, shape, how), *_factors(turned, shape, how))
    if factor < 1.0:
        file.draft(None, tuple(ceil(s * factor) for s in file.size))


def _factors(size: tuple[int, int], shape: tuple[int, int, int], how: Preprocessing) -> tuple[float, float]:
    """What width and height are multiplied by."""
    height, width, _ = shape
    if how.resize == "stretch":
        return width / size[0], height / size[1]
    side = how.side or min(height, width)
    factor = max(side / min(size), height / size[1], width / size[0])
    return factor, factor


def _plain(file: Any, channels: int) -> Any:
    """The picture upright, in 8 bits, grey or RGB."""
    image_module = pillow()
    file.load()
    import_module("PIL.ImageOps").exif_transpose(file, in_place=True)  # without the copy that it returns otherwise
    picture = file
    mode = "RGB" if channels == 3 else "L"
    if picture.mode.startswith("I"):  # 16 bits in 16 or in 32
        deep = np.clip(np.asarray(picture).astype(np.int64), 0, 65535)
        picture = image_module.fromarray(((deep + 128) // 257).astype(np.uint8))
    elif picture.mode == "F":
        raise PictureError("its pixels are floating-point numbers, and nothing says what is black and white")
    elif "A" in picture.getbands() or "transparency" in picture.info:
        picture = picture.convert("RGBA")
        picture = image_module.alpha_composite(image_module.new("RGBA", picture.size, "white"), picture)
    return picture if picture.mode == mode else picture.convert(mode)


def _resized(picture: Any, shape: tuple[int, int, int], how: Preprocessing) -> Array:
    height, width, _ = shape
    bilinear = pillow().Resampling.BILINEAR
    if how.resize == "stretch":
        return np.asarray(picture.resize((width, height), bilinear)).reshape(shape)
    factor, _ = _factors(picture.size, shape, how)
    if factor != 1.0:
        size = tuple(round(s * factor) for s in picture.size)
        if size[0] * size[1] > MOST_PIXELS:
            raise PictureError(f"too narrow: {picture.size[0]} x {picture.size[1]} pixels")
        picture = picture.resize(size, bilinear)
    left, top = (picture.size[0] - width) // 2, (picture.size[1] - height) // 2
    return np.asarray(picture.crop((left, top, left + width, top + height))).reshape(shape)
