"""Small folders of pictures for tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from chipfit.graph import Array

image_module: Any = pytest.importorskip("PIL.Image", reason="pictures are written with Pillow")


def write_picture(path: Path, pixels: Array) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image_module.fromarray(pixels).save(path)


def noise(seed: int, side: int = 40) -> Array:
    """A picture like no other: (side, side, 3)."""
    return np.random.default_rng(seed).integers(0, 256, (side, side, 3), dtype=np.uint8)


def write_classes(folder: Path, counts: dict[str, int], first: int = 0) -> Path:
    """``counts`` pictures of each class: ``folder/CLASS/0.png``, ``1.png`` and so on; no two are equal."""
    for name, count in counts.items():
        for i in range(count):
            write_picture(folder / name / f"{i}.png", noise(first))
            first += 1
    return folder
