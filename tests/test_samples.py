"""Inputs in the forms that users have them, and what is said of those that do not fit."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import chipfit
from chipfit.demo import model_path
from chipfit.report.data import TensorInfo
from chipfit.samples import as_samples, random_samples, read_samples, save_outputs

IMAGE = TensorInfo("image", (1, 4, 2), "int8", 0.5, 3)
VECTOR = TensorInfo("vector", (3,), "float32")
SCALAR = TensorInfo("scalar", (), "int32")


def image(*lead: int) -> Any:
    return np.random.default_rng(len(lead)).integers(-128, 128, (*lead, 4, 2), np.int8)


def refused(source: Any, *inputs: TensorInfo) -> chipfit.ChipfitError:
    with pytest.raises(chipfit.ChipfitError) as caught:
        as_samples(source, inputs)
    return caught.value


@pytest.mark.parametrize(
    ("lead", "count"), [((1,), 1), ((5, 1), 5), ((5,), 5), ((1, 1), 1), ((0, 1), 0), ((0,), 0)], ids=str
)
def test_one_array(lead: tuple[int, ...], count: int) -> None:
    """Of the input's shape, with an axis of samples before it, or with the batch of 1 used for samples."""
    x = image(*lead)
    samples = as_samples(x, [IMAGE])
    assert len(samples) == count
    assert all(s[0].shape == IMAGE.shape for s in samples)
    assert b"".join(s[0].tobytes() for s in samples) == x.tobytes()


def test_input_without_dimensions() -> None:
    assert [s[0].shape for s in as_samples(np.arange(3, dtype=np.int32), [SCALAR])] == [()] * 3
    assert as_samples(np.array(7, np.int32), [SCALAR])[0][0] == 7


def test_arrays_by_name() -> None:
    arrays = {"vector": np.ones((2, 3), np.float32), "image": image(2, 1), "unused": np.zeros(1)}
    samples = as_samples(arrays, [IMAGE, VECTOR])
    assert [tuple(x.shape for x in s) for s in samples] == [((1, 4, 2), (3,))] * 2
    assert len(as_samples({"another name": image(3)}, [IMAGE])) == 3


def test_tuples() -> None:
    sample = (image(1), np.zeros(3, np.float32))
    assert as_samples([sample, sample], [IMAGE, VECTOR])[1][0].tobytes() == sample[0].tobytes()
    assert as_samples([], [IMAGE, VECTOR]) == []


def test_shapes_that_do_not_fit() -> None:
    error = refused(image(1)[:, :3], IMAGE)
    assert error.code == "I001"
    assert error.message == "input 'image' has shape [1, 3, 2], the model takes [1, 4, 2]"
    assert refused(image(2, 2), IMAGE).code == "I001"
    assert refused([(image(),)], IMAGE).code == "I001"
    assert refused([(image(1),)], IMAGE, VECTOR).code == "I001"
    unequal = refused({"image": image(2, 1), "vector": np.zeros((3, 3), np.float32)}, IMAGE, VECTOR)
    assert "[2, 3]" in unequal.message


def test_types_that_do_not_fit() -> None:
    error = refused(image(1).astype(np.float64), IMAGE)
    assert error.code == "I002"
    assert "float64" in error.message
    assert error.hint == "quantize it first: round(x / 0.5) + 3, clamped, as int8"
    assert refused(np.zeros(3), VECTOR).hint == "convert it with .astype('float32')"
    assert refused([([[1, 2]],)], IMAGE).code == "I002"


def test_names_that_do_not_fit() -> None:
    error = refused({"image": image(1), "vectr": np.zeros(3, np.float32)}, IMAGE, VECTOR)
    assert error.code == "I003"
    assert "no array for the inputs vector; there are image, vectr" in error.message
    assert refused(image(1), IMAGE, VECTOR).code == "I003"
    assert refused({}, IMAGE).code == "I003"


def test_random_samples_are_the_same_each_time() -> None:
    a, b, c = (random_samples([IMAGE, VECTOR, SCALAR], 3, seed) for seed in (1, 1, 2))
    assert all(x.tobytes() == y.tobytes() for s, t in zip(a, b, strict=True) for x, y in zip(s, t, strict=True))
    assert any(x.tobytes() != y.tobytes() for s, t in zip(a, c, strict=True) for x, y in zip(s, t, strict=True))
    assert [x.dtype.name for x in a[0]] == ["int8", "float32", "int32"]


def test_files(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", image(4, 1))
    np.savez(tmp_path / "x.npz", image=image(4, 1), vector=np.zeros((4, 3), np.float32))
    np.savez_compressed(tmp_path / "y.npz", whatever=image(4, 1))
    assert len(read_samples(tmp_path / "x.npy", [IMAGE])) == 4
    assert len(read_samples(tmp_path / "x.npz", [IMAGE, VECTOR])) == 4
    assert len(read_samples(tmp_path / "y.npz", [IMAGE])) == 4


def bad_files(folder: Path) -> dict[str, bytes]:
    np.savez_compressed(folder / "good.npz", image=np.zeros((100, 1, 4, 2), np.int8))
    np.save(folder / "good.npy", image(4, 1))
    np.save(folder / "object.npy", np.array([{}], object), allow_pickle=True)
    npz, npy = (folder / "good.npz").read_bytes(), (folder / "good.npy").read_bytes()
    middle = len(npz) // 2
    return {
        "empty.npy": b"",
        "text.npy": b"hello",
        "short.npy": npy[:-3],
        "header.npy": npy[:20],
        "pickle.npy": (folder / "object.npy").read_bytes(),
        "short.npz": npz[:middle],
        "flipped.npz": npz[: middle - 40]
        + bytes(b ^ 0x55 for b in npz[middle - 40 : middle - 30])
        + npz[middle - 30 :],
        "magic.npz": b"PK\x03\x04 and nothing of the kind",
    }


BAD_FILES = ["empty.npy", "flipped.npz", "header.npy", "magic.npz", "pickle.npy", "short.npy", "short.npz", "text.npy"]


@pytest.mark.parametrize("name", BAD_FILES)
def test_files_that_cannot_be_read(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(bad_files(tmp_path)[name])
    with pytest.raises(chipfit.ChipfitError) as caught:
        read_samples(path, [IMAGE])
    assert caught.value.code == "I004"
    assert name in caught.value.message


def test_file_that_is_missing(tmp_path: Path) -> None:
    with pytest.raises(chipfit.ChipfitError, match="does not exist") as caught:
        read_samples(tmp_path / "none.npy", [IMAGE])
    assert caught.value.code == "I004"
    with pytest.raises(chipfit.ChipfitError) as caught:
        read_samples(tmp_path, [IMAGE])
    assert caught.value.code == "I004"


def test_outputs_are_saved_by_name(tmp_path: Path) -> None:
    model = chipfit.load(model_path("int8"))
    report = model.compile("host", tmp_path / "out").run(model.samples(3))
    save_outputs(tmp_path / "y.npz", report)
    with np.load(tmp_path / "y.npz") as data:
        assert data.files == ["probabilities"]
        assert data["probabilities"].tobytes() == report.outputs[0].tobytes()
    assert zipfile.is_zipfile(tmp_path / "y.npz")
