"""What all tests share: where the real models lie."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


def models_folder() -> Path:
    """The folder of real models: ``CHIPFIT_MODELS``, default ``../shared/models`` beside the repository."""
    return Path(os.environ.get("CHIPFIT_MODELS", ROOT.parent / "shared" / "models")).resolve()


@pytest.fixture(scope="session")
def models_dir() -> Path:
    """The folder of real models. Tests that need it are skipped where it is absent."""
    folder = models_folder()
    if not folder.is_dir():
        pytest.skip(f"no models in {folder}: set CHIPFIT_MODELS to the folder of real .tflite files")
    return folder
