"""Samples from pictures and files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from chipfit.errors import ChipfitError
from chipfit.graph import DType, TensorType, Value
from chipfit.quantize import Preprocessing, Range, image_files, image_samples, samples_of

image_module: Any = pytest.importorskip("PIL.Image")


def taken(*shape: int) -> Value:
    return Value("x", TensorType(shape, DType.FLOAT32))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two classes; pictures 40 wide and 20 high, left half black, right half white."""
    pixels = np.zeros((20, 40, 3), np.uint8)
    pixels[:, 20:] = 255
    for name in ("a/2.png", "a/1.png", "b/3.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        image_module.fromarray(pixels).save(tmp_path / name)
    (tmp_path / "notes.txt").write_text("no picture")
    return tmp_path


def test_files_are_sorted_and_drawn_from_all_folders(folder: Path) -> None:
    assert [p.name for p in image_files(folder)] == ["1.png", "3.png", "2.png"]
    assert [p.name for p in image_files(folder, 2)] == ["1.png", "3.png"]


@pytest.mark.parametrize(("resize", "left", "right"), [("crop", 0.0, 1.0), ("stretch", 0.0, 1.0)])
def test_scale_and_range(folder: Path, resize: Any, left: float, right: float) -> None:
    samples = image_samples(image_files(folder), taken(1, 10, 10, 3), Preprocessing(resize, scale=1 / 255))
    (x,) = samples.arrays
    assert (x.shape, x.dtype) == ((3, 1, 10, 10, 3), np.float32)
    assert (x[0, 0, 5, 0, 0], x[0, 0, 5, 9, 0]) == pytest.approx((left, right), abs=1e-3)
    assert samples.ranges == (Range(0.0, 1.0),)


def test_the_middle_is_cut_out(folder: Path) -> None:
    """``side`` 20 keeps the pixels as they are; of 40 columns the 10 in the middle stay."""
    samples = image_samples(image_files(folder, 1), taken(1, 10, 10, 1), Preprocessing(side=20))
    x = samples.arrays[0][0, 0, :, :, 0]
    np.testing.assert_array_equal(x, np.tile(np.repeat([0.0, 255.0], 5), (10, 1)))


def test_mean_and_std_of_each_channel() -> None:
    how = Preprocessing(scale=1 / 255, mean=(0.5, 0.25, 0.0), std=(0.5, 0.25, 2.0))
    np.testing.assert_allclose(how.apply(np.array([[0, 255, 255]], np.uint8)), [[-1.0, 3.0, 0.5]], atol=1e-6)
    assert (how.range(3).low, how.range(3).high) == pytest.approx((-1.0, 3.0))
    assert Preprocessing.from_json(json.loads(json.dumps(how.to_json()))) == how


@pytest.mark.parametrize("wrong", [{"std": (0.0,)}, {"scale": float("nan")}, {"resize": "fold"}, {"side": -1}])
def test_wrong_preprocessing(wrong: dict[str, Any]) -> None:
    with pytest.raises(ChipfitError) as error:
        Preprocessing(**wrong)
    assert error.value.code == "Q002"


def test_no_pictures_and_broken_ones(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(ChipfitError, match="no pictures") as error:
        image_files(tmp_path / "empty")
    assert error.value.code == "Q001"
    (folder / "a" / "1.png").write_bytes(b"\x89PNG and then nothing")
    with pytest.raises(ChipfitError, match=r"1\.png") as error:
        image_samples(image_files(folder), taken(1, 10, 10, 3), Preprocessing())
    assert error.value.code == "Q002"


def test_an_input_that_takes_no_picture(folder: Path) -> None:
    with pytest.raises(ChipfitError, match="takes no picture"):
        image_samples(image_files(folder), taken(1, 10), Preprocessing())


def test_progress_ends_at_the_total(folder: Path) -> None:
    told: list[tuple[int, int]] = []
    image_samples(image_files(folder), taken(1, 10, 10, 3), Preprocessing(), lambda _, i, n: told.append((i, n)))
    assert told[-1] == (3, 3)


def test_arrays_in_all_forms(tmp_path: Path) -> None:
    x = np.arange(24, dtype=np.float64).reshape(4, 2, 3)
    np.save(tmp_path / "x.npy", x)
    np.savez(tmp_path / "x.npz", x=x)
    np.savez(tmp_path / "other.npz", other=x)
    for source in (
        x,
        {"x": x},
        list(x),
        [(row,) for row in x],
        tmp_path / "x.npy",
        str(tmp_path / "x.npz"),
        tmp_path / "other.npz",
    ):
        (array,) = samples_of(source, [taken(2, 3)]).arrays
        np.testing.assert_array_equal(array, x.astype(np.float32))
    (array,) = samples_of(x, [taken(1, 2, 3)]).arrays
    assert array.shape == (4, 1, 2, 3)
    assert samples_of(x[0], [taken(1, 3)]).arrays[0].shape == (2, 1, 3)


def test_several_inputs_by_name() -> None:
    a, b = Value("a", TensorType((2,), DType.FLOAT32)), Value("b", TensorType((1, 3), DType.FLOAT32))
    found = samples_of({"b": np.ones((5, 3)), "a": np.zeros((5, 2))}, [a, b])
    assert [x.shape for x in found.arrays] == [(5, 2), (5, 1, 3)]
    with pytest.raises(ChipfitError) as error:
        samples_of({"b": np.ones((4, 3)), "a": np.zeros((5, 2))}, [a, b])
    assert error.value.code == "I001"


def test_a_damaged_file(tmp_path: Path) -> None:
    (tmp_path / "x.npz").write_bytes(b"PK\x03\x04 and then nothing")
    with pytest.raises(ChipfitError) as error:
        samples_of(tmp_path / "x.npz", [taken(2)])
    assert error.value.code == "I004"
