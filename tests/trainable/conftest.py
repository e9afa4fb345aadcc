"""What tests of learning graphs share: Keras."""

from __future__ import annotations

from typing import Any

import pytest

from importers.keras_nets import keras_or_skip


@pytest.fixture(scope="session")
def keras() -> Any:
    return keras_or_skip()
