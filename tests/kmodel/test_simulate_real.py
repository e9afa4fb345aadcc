"""Real kmodels: the bytes that the vendor's own inference gave, and version 3 beside version 4."""

from __future__ import annotations

import time
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from chipfit.kmodel import load
from kmodel.files import k210_folder, real_files, real_kmodels

PAIRS = sorted(k210_folder().glob("golden/*.npz"))


def kmodel_of(pair: Path) -> Path:
    beside = pair.with_suffix(".kmodel")
    return beside if beside.is_file() else k210_folder() / "models" / f"{pair.stem}.kmodel"


@cache
def picture() -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    image = pytest.importorskip("PIL.Image")
    file = image.open(k210_folder() / "models" / "dog.bmp").convert("RGB")
    return np.ascontiguousarray(np.asarray(file, np.uint8).transpose(2, 0, 1)[None])


@real_files
@pytest.mark.parametrize("pair", PAIRS, ids=lambda p: p.stem)
def test_the_bytes_of_the_vendors_inference(pair: Path) -> None:
    """All of them, sums of floats as well: they are added in the same order."""
    with np.load(pair) as arrays:
        x, expected = arrays["x"], arrays["ncc_out"]
    run = load(kmodel_of(pair)).run(x)
    for sample, wanted in zip(run.samples, expected, strict=True):
        assert np.concatenate([y.ravel() for y in sample.outputs]).tobytes() == wanted.tobytes()


@real_files
@pytest.mark.parametrize("path", real_kmodels(3), ids=lambda p: p.stem)
def test_version_3_runs(path: Path) -> None:
    """A detector of 320x240 in less than three seconds: of processor time, so that others on the computer do not
    count."""
    model = load(path)
    x = picture() if model.inputs[0].shape == (1, 3, 240, 320) else model.samples(1)
    started = time.process_time()
    run = model.run(x)
    assert time.process_time() - started < 3
    assert model.notes == ()
    assert all(np.isfinite(y).all() and np.ptp(y) > 0 for y in run.outputs)


@real_files
def test_the_same_network_in_both_versions() -> None:
    folder = k210_folder() / "models"
    started = time.process_time()
    b = load(folder / "yolo20.v4.kmodel").run(picture()).outputs[0].ravel()
    assert time.process_time() - started < 3
    a = load(folder / "yolo20.v3.kmodel").run(picture()).outputs[0].ravel()
    assert np.corrcoef(a, b)[0, 1] > 0.99
