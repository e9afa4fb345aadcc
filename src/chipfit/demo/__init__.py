"""The demo: a small convolutional network that reads handwritten digits, and 100 pictures to try it on.

The pictures are from the data set that scikit-learn ships (UCI "Optical Recognition of Handwritten Digits")
and were not used for training. `examples/digits/train.py` made all three files; `examples/digits/README.md`
has the figures.
"""

from __future__ import annotations

from importlib import import_module, resources
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from chipfit.codegen.project import staged_folder
from chipfit.errors import ChipfitError

__all__ = ["load_images", "model_path", "write_pictures"]

_MODELS = {"int8": "digits_int8.tflite", "float32": "digits_f32.tflite"}
_PIXEL_MAX = 16


def model_path(kind: Literal["int8", "float32"]) -> Path:
    """The `.tflite` file of the demo network; both take (1, 8, 8, 1) and give 10 probabilities."""
    return _file(_MODELS[kind])


def load_images() -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """The 100 test pictures, (100, 8, 8, 1) in 0..1 as the float network takes them, and their labels (100,)."""
    with np.load(_file("digits_test.npz"), allow_pickle=False) as data:
        images: NDArray[np.uint8] = data["images"]  # 0..16
        labels: NDArray[np.uint8] = data["labels"]
    return (images[..., np.newaxis] / _PIXEL_MAX).astype(np.float32), labels.astype(np.int64)


def write_pictures(folder: Path) -> int:
    """The 100 test pictures as PNG files, in a sub-folder for each digit; returns how many.

    Pixels of 0 to 16 become 0 to 255: ``scale 1/255`` makes of them what the float network takes, but for rounding.
    The folder is written whole or not at all. Raises ChipfitError P001 if one of that name holds something else, T001
    without Pillow.
    """
    try:
        image_module: Any = import_module("PIL.Image")
    except ImportError:
        raise ChipfitError("T001", "pictures are written with Pillow", "python -m pip install pillow") from None
    images, labels = load_images()
    pixels = np.rint(images * 255.0).astype(np.uint8)
    with staged_folder(folder) as staging:
        for i, (picture, label) in enumerate(zip(pixels, labels, strict=True)):
            path = staging / str(label) / f"{i:03d}.png"
            path.parent.mkdir(exist_ok=True)
            image_module.fromarray(picture[..., 0]).save(path)
    return len(labels)


def _file(name: str) -> Path:
    return Path(str(resources.files(__name__) / name))
