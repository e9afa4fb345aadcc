"""What tests of training share: Keras, and a small folder of pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from importers.keras_nets import keras_or_skip
from training.photos import write_classes


@pytest.fixture(scope="session")
def keras() -> Any:
    return keras_or_skip()


@pytest.fixture(scope="session")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Noise of two classes, 12 and 8 pictures of 40 x 40 pixels."""
    return write_classes(tmp_path_factory.mktemp("photos"), {"a": 12, "b": 8})
