"""Samples come in batches as the models' real numbers, whatever they were kept in."""

from __future__ import annotations

import gzip
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from chipfit.demo import model_path
from chipfit.errors import ChipfitError
from chipfit.evaluation.candidates import Candidate, candidate
from chipfit.evaluation.data import Dataset, DataSource, open_data
from chipfit.evaluation.labels import Wanted
from chipfit.exporters.tflite import to_tflite
from chipfit.model import load
from chipfit.quantize import Preprocessing, image_files, image_samples
from quantize.nets import SIDE, mobile
from quantize.test_idx import idx_bytes

PIXELS = Preprocessing(scale=1 / 255)


@pytest.fixture(scope="module")
def pool() -> Generator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(2) as found:
        yield found


@pytest.fixture(scope="module")
def digits() -> list[Candidate]:
    """A float and an int8 model of 8x8 pixels, 0..1."""
    return [candidate(model_path("float32")), candidate(model_path("int8"))]


def opened(
    source: DataSource, models: list[Candidate], pool: ThreadPoolExecutor, pixels: Preprocessing | None = None
) -> Dataset:
    return open_data(source, models, Wanted(), pixels, pool)


BYTES = np.random.default_rng(0).integers(0, 256, (7, 8, 8), dtype=np.uint8)
REAL = (BYTES / np.float32(255)).astype(np.float32).reshape(7, 1, 8, 8, 1)


@pytest.mark.parametrize(
    "arrays",
    [
        {"image": REAL},
        {"image": REAL[:, 0], "y": np.arange(7)},
        {"whatever": REAL[..., 0].reshape(7, 8, 8).astype(np.float64)},
        {"x": BYTES, "labels": np.arange(7)},
        # what the int8 model stores
        {"image": (BYTES.astype(int) - 128).astype(np.int8)[:, None, :, :, None], "label": np.eye(7)},
    ],
)
def test_forms_of_arrays(arrays: dict[str, Any], digits: list[Candidate], pool: ThreadPoolExecutor) -> None:
    data = opened(arrays, digits, pool, PIXELS)
    assert data.count == 7
    (batch,) = data.read(2, 5)
    assert (batch.shape, batch.dtype) == ((3, 1, 8, 8, 1), np.float32)
    np.testing.assert_allclose(batch, REAL[2:5], atol=1e-6)
    if len(arrays) > 1:
        assert data.labels.index is not None
        assert data.labels.index.tolist() == list(range(7))
    else:
        assert data.labels.index is None


def test_bytes_are_what_a_uint8_model_stores_unless_pixels_are_stated(pool: ThreadPoolExecutor) -> None:
    from dataclasses import replace

    model = candidate(model_path("int8"))
    model = replace(model, inputs=(replace(model.inputs[0], dtype="uint8", zero_point=0, scale=0.5),))
    assert opened({"x": BYTES}, [model], pool).read(0, 7)[0].ravel().tolist() == (BYTES * 0.5).ravel().tolist()
    np.testing.assert_allclose(opened({"x": BYTES}, [model], pool, PIXELS).read(0, 7)[0], REAL, atol=1e-6)


def test_files(digits: list[Candidate], pool: ThreadPoolExecutor, tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", x=BYTES, y=np.arange(7))
    np.save(tmp_path / "a.npy", REAL)
    images, labels = tmp_path / "t-images-idx3-ubyte.gz", tmp_path / "t-labels-idx1-ubyte.gz"
    images.write_bytes(gzip.compress(idx_bytes(BYTES)))
    assert opened(images, digits, pool, PIXELS).labels.index is None
    labels.write_bytes(gzip.compress(idx_bytes(np.arange(7, dtype=np.uint8))))
    for name, classes in (("a.npz", True), ("a.npy", False), (images.name, True)):
        data = opened(tmp_path / name, digits, pool, PIXELS)
        np.testing.assert_allclose(data.read(0, 7)[0], REAL, atol=1e-6)
        assert (data.labels.index is not None) == classes
        assert data.labels.how == (None if not classes else labels.name if name == images.name else name)


def test_a_part(digits: list[Candidate], pool: ThreadPoolExecutor) -> None:
    data = opened({"x": BYTES, "y": np.arange(7)}, digits, pool, PIXELS).part(2, 3)
    assert data.count == 3
    np.testing.assert_allclose(data.read(1, 3)[0], REAL[3:5], atol=1e-6)
    assert data.labels.index is not None
    assert data.labels.index.tolist() == [2, 3, 4]
    with pytest.raises(ChipfitError, match="none behind the first 7") as caught:
        opened({"x": BYTES}, digits, pool).part(7, None)
    assert caught.value.code == "Q001"


def test_pictures_are_read_by_batch_as_they_are_for_calibration(pool: ThreadPoolExecutor, tmp_path: Path) -> None:
    image_module: Any = pytest.importorskip("PIL.Image")
    rng = np.random.default_rng(1)
    for name in ("b/2.png", "a/1.png", "a/3.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        image_module.fromarray(rng.integers(0, 256, (20, 30, 3), dtype=np.uint8)).save(tmp_path / name)
    (tmp_path / "net.tflite").write_bytes(to_tflite(mobile(rng)))
    model = candidate(tmp_path / "net.tflite")
    data = opened(tmp_path, [model], pool, PIXELS)
    assert data.labels.names == ("a", "b")
    assert data.labels.index is not None
    assert data.labels.index.tolist() == [0, 1, 0]  # in turn
    expected = image_samples(image_files(tmp_path), load(tmp_path / "net.tflite").graph.inputs[0], PIXELS).arrays[0]
    assert expected.shape == (3, 1, SIDE, SIDE, 3)
    assert data.read(0, 3)[0].tobytes() == expected.tobytes()
    assert data.read(1, 2)[0].tobytes() == expected[1:2].tobytes()


@pytest.mark.parametrize(
    ("arrays", "code"),
    [
        ({"x": BYTES[:, :7]}, "I001"),
        ({"x": REAL[:, :, :, :, :0]}, "I001"),
        ({"x": BYTES, "y": np.arange(6)}, "I001"),
        ({"x": BYTES[:0]}, "Q001"),
        ({"a": BYTES, "b": BYTES}, "I003"),
        ({"y": np.arange(7)}, "I003"),
        ({"x": np.array(["a"])}, "Q002"),
    ],
)
def test_arrays_that_no_model_takes(
    arrays: dict[str, Any], code: str, digits: list[Candidate], pool: ThreadPoolExecutor
) -> None:
    with pytest.raises(ChipfitError) as caught:
        opened(arrays, digits, pool)
    assert caught.value.code == code


def test_numbers_that_are_not_finite(digits: list[Candidate], pool: ThreadPoolExecutor) -> None:
    bad = REAL.copy()
    bad[6, 0, 0, 0, 0] = np.nan
    data = opened({"x": bad}, digits, pool)
    data.read(0, 6)
    with pytest.raises(ChipfitError, match="not finite"):
        data.read(6, 7)


def test_a_damaged_file(digits: list[Candidate], pool: ThreadPoolExecutor, tmp_path: Path) -> None:
    (tmp_path / "a.npz").write_bytes(b"PK\3\4 no archive")
    for name in ("a.npz", "absent.npz"):
        with pytest.raises(ChipfitError) as caught:
            opened(tmp_path / name, digits, pool)
        assert caught.value.code == "I004"
