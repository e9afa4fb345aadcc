"""Where things lie that tests need."""

from __future__ import annotations

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def models_folder() -> Path:
    """The folder of real models: ``CHIPFIT_MODELS``, default ``../shared/models`` beside the repository."""
    return Path(os.environ.get("CHIPFIT_MODELS", ROOT.parent / "shared" / "models")).resolve()


def data_folder() -> Path:
    """The folder of pictures: ``CHIPFIT_DATA``, default ``../shared/data`` beside the repository."""
    return Path(os.environ.get("CHIPFIT_DATA", ROOT.parent / "shared" / "data")).resolve()
