"""The test inputs that a project stores, and what the reference makes of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from chipfit.errors import ChipfitError
from chipfit.evaluation.data import LABEL_NAMES
from chipfit.evaluation.engines import stored
from chipfit.graph import Array
from chipfit.projects.preprocess import PixelMap, takes_pictures
from chipfit.quantize import Preprocessing, image_files
from chipfit.quantize.pictures import PictureError, decoded, file_bytes
from chipfit.report.data import TensorInfo
from chipfit.samples import Samples, as_samples, random_samples, read_arrays


@dataclass(frozen=True, eq=False)
class StoredInputs:
    """``samples``: as the model's inputs take them. ``pixels``: (count, height, width, channels), uint8, of which they
    are made; None: they are stored themselves. ``names``: where each comes from; ``how``: where all come from.
    ``expected``: what the reference gives, (count, *shape) for each output.
    """

    samples: Samples
    pixels: Array | None
    names: tuple[str, ...]
    how: str
    expected: tuple[Array, ...] = ()

    def __len__(self) -> int:
        return len(self.samples)

    def column(self, index: int) -> Array:
        """What the samples hold for one input, (count, *shape)."""
        return np.stack([sample[index] for sample in self.samples])

    @property
    def nbytes(self) -> int:
        """Of flash, for inputs and expected outputs."""
        inputs = [a for sample in self.samples for a in sample] if self.pixels is None else [self.pixels]
        return sum(a.nbytes for a in (*inputs, *self.expected))

    def first(self, count: int) -> StoredInputs:
        """The first ones alone."""
        pixels = None if self.pixels is None else self.pixels[:count]
        expected = tuple(a[:count] for a in self.expected)
        return StoredInputs(self.samples[:count], pixels, self.names[:count], self.how, expected)


def pictures_of(folder: Path, pixels: PixelMap, how: Preprocessing, count: int) -> StoredInputs:
    """The first pictures of a folder, from all of its folders in turn.

    Raises ChipfitError Q001 if there is none, Q002 for a file that is no picture, T001 without Pillow.
    """
    files = image_files(folder, count)
    shape = (pixels.height, pixels.width, pixels.channels)
    found: list[Array] = []
    for path in files:
        try:
            found.append(decoded(file_bytes(path), shape, how))
        except PictureError as reason:
            raise ChipfitError("Q002", f"'{path}' cannot be read as a picture: {reason}", "move it away") from None
    return _of_pixels(
        np.stack(found), pixels, tuple(p.relative_to(folder).as_posix() for p in files), f"pictures of '{folder.name}'"
    )


def arrays_of(path: Path, inputs: Sequence[TensorInfo], pixels: PixelMap | None, count: int) -> StoredInputs:
    """The first samples of a ``.npz`` or ``.npy`` file. Bytes are pixels where it is known how pixels become inputs;
    real numbers are quantized; integers of the input's type are what it stores.

    Raises ChipfitError I001..I004.
    """
    found = read_arrays(path)
    arrays = found if isinstance(found, Mapping) else {inputs[0].name: found}
    taken = {info.name for info in inputs}
    arrays = {name: a for name, a in arrays.items() if name in taken or name not in LABEL_NAMES}
    if len(inputs) == len(arrays) == 1:
        arrays = {inputs[0].name: next(iter(arrays.values()))}
    first = arrays.get(inputs[0].name)
    how = f"samples of {path.name}"
    if pixels is not None and first is not None and first.dtype == np.uint8:
        shape = (pixels.height, pixels.width, pixels.channels)
        if first.size % pixels.count or (first.size // pixels.count > 1 and len(first) != first.size // pixels.count):
            raise ChipfitError("I001", f"{path.name} holds {list(first.shape)}, the model takes pictures {list(shape)}")
        part = first.reshape(-1, *shape)[:count]
        return _of_pixels(part, pixels, _numbered(part), how)
    if first is not None and first.dtype == np.uint8 and inputs[0].dtype != "uint8" and takes_pictures(inputs[0]):
        raise ChipfitError(
            "I002",
            f"{path.name} holds pixels, and the model does not say how they become its input, {inputs[0].dtype}",
            "say it with --scale, --mean and --std",
        )
    quantized = {info.name: _as_stored(arrays[info.name], info) for info in inputs if info.name in arrays}
    samples = as_samples(quantized, inputs)[:count]
    if not samples:
        raise ChipfitError("Q001", f"{path.name} holds no samples")
    return StoredInputs(samples, None, _numbered(samples), how)


def random_inputs(inputs: Sequence[TensorInfo], pixels: PixelMap | None, count: int) -> StoredInputs:
    """Seeded random ones, pictures where the model takes such."""
    if pixels is None:
        samples = random_samples(inputs, count)
        return StoredInputs(samples, None, _numbered(samples), "random (seed 0)")
    shape = (count, pixels.height, pixels.width, pixels.channels)
    noise = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    return _of_pixels(noise, pixels, _numbered(noise), "random pixels (seed 0)")


def _of_pixels(pixels: Array, how: PixelMap, names: tuple[str, ...], source: str) -> StoredInputs:
    return StoredInputs([(how.apply(picture)[None],) for picture in pixels], pixels, names, source)


def _as_stored(array: Array, info: TensorInfo) -> Array:
    return stored(array.astype(np.float32), info) if array.dtype.kind == "f" else array


def _numbered(samples: Samples | Array) -> tuple[str, ...]:
    return tuple(f"sample {i}" for i in range(len(samples)))
