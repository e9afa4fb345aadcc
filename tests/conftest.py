"""What all tests share: where real models and pictures lie, and the option that writes golden texts anew."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

# tests run on all cores already: products of small matrices are slower on several threads that wait for each other
for _threads in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"):
    os.environ.setdefault(_threads, "1")

import golden  # noqa: E402 - it imports numpy, which reads them
from folders import data_folder, models_folder  # noqa: E402


def pytest_addoption(parser: pytest.Parser) -> None:
    golden.add_option(parser)


@pytest.fixture(scope="session")
def models_dir() -> Path:
    """The folder of real models. Tests that need it are skipped where it is absent."""
    folder = models_folder()
    if not folder.is_dir():
        pytest.skip(f"no models in {folder}: set CHIPFIT_MODELS to the folder of real .tflite files")
    return folder


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder of pictures. Tests that need it are skipped where it is absent."""
    folder = data_folder()
    if not folder.is_dir():
        pytest.skip(f"no pictures in {folder}: set CHIPFIT_DATA to their folder")
    return folder
