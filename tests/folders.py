"""Where things lie that tests need."""

from __future__ import annotations

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def models_folder() -> Path:
    """The folder of real models: ``CHIPFIT_MODELS``, default ``../shared/models`` beside the repository."""
    return Path(os.environ.get("CHIPFIT_MODELS", ROOT.parent / "shared" / "models")).resolve()
