"""Files of pictures to pixels: every kind that people have, and what is said of broken ones."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from chipfit.graph import Array
from chipfit.quantize import Preprocessing, image_files
from chipfit.quantize import pictures as under_test
from chipfit.quantize.pictures import PictureError, decoded, file_bytes

image_module: Any = pytest.importorskip("PIL.Image")

SHAPE = (8, 8, 3)
PLAIN = Preprocessing()


def saved(picture: Any, kind: str = "PNG", **options: Any) -> bytes:
    data = io.BytesIO()
    picture.save(data, kind, **options)
    return data.getvalue()


def quarters(size: int = 8) -> Array:
    """Red, green, blue and grey: upper left, upper right, lower left, lower right."""
    pixels = np.zeros((size, size, 3), np.uint8)
    half = size // 2
    pixels[:half, :half], pixels[:half, half:] = (255, 0, 0), (0, 255, 0)
    pixels[half:, :half], pixels[half:, half:] = (0, 0, 255), (100, 100, 100)
    return pixels


def picture(pixels: Array) -> Any:
    return image_module.fromarray(pixels)


def indexed() -> Any:
    return picture(quarters()).convert("P", palette=image_module.Palette.ADAPTIVE, colors=4)


@pytest.mark.parametrize("kind", ["BMP", "GIF", "PNG", "PPM", "TIFF", "WEBP"])
def test_formats(kind: str) -> None:
    options = {"lossless": True, "exact": True} if kind == "WEBP" else {}
    np.testing.assert_array_equal(decoded(saved(picture(quarters()), kind, **options), SHAPE, PLAIN), quarters())


@pytest.mark.parametrize("mode", ["P", "RGBA", "CMYK"])
def test_modes_are_the_same_colours(mode: str) -> None:
    other = indexed() if mode == "P" else picture(quarters()).convert(mode)
    data = saved(other, "TIFF" if mode == "CMYK" else "PNG")
    np.testing.assert_array_equal(decoded(data, SHAPE, PLAIN), quarters())


def test_a_cmyk_jpeg() -> None:
    data = saved(picture(quarters(64)).convert("CMYK"), "JPEG", quality=95)
    x = decoded(data, (64, 64, 3), PLAIN)
    np.testing.assert_allclose(x[[8, 8, 56, 56], [8, 56, 8, 56]], quarters(4)[[0, 0, 3, 3], [0, 3, 0, 3]], atol=12)


def test_grey_and_one_bit() -> None:
    grey = np.arange(64, dtype=np.uint8).reshape(8, 8)
    np.testing.assert_array_equal(decoded(saved(picture(grey)), (8, 8, 1), PLAIN)[..., 0], grey)
    np.testing.assert_array_equal(decoded(saved(picture(grey)), SHAPE, PLAIN), grey[..., None].repeat(3, 2))
    bits = picture(grey > 31)
    np.testing.assert_array_equal(decoded(saved(bits), (8, 8, 1), PLAIN)[..., 0], np.where(grey > 31, 255, 0))


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "PPM"])
def test_16_bits_are_scaled_to_8(kind: str) -> None:
    """x / 257, rounded: 0 stays 0 and 65535 becomes 255."""
    deep = np.linspace(0, 65535, 64).astype(np.uint16).reshape(8, 8)
    data = b"P5 8 8 65535\n" + deep.astype(">u2").tobytes() if kind == "PPM" else saved(picture(deep), kind)
    np.testing.assert_array_equal(decoded(data, (8, 8, 1), PLAIN)[..., 0], np.rint(deep / 257))
    np.testing.assert_array_equal(decoded(data, SHAPE, PLAIN)[..., 2], np.rint(deep / 257))


def test_transparent_parts_lie_over_white() -> None:
    pixels = np.zeros((8, 8, 4), np.uint8)
    pixels[:, 4:, 3] = 255  # black, and to the left transparent
    pixels[7, 0] = (0, 0, 0, 128)
    expected = np.zeros(SHAPE, np.uint8)
    expected[:, :4], expected[7, 0] = 255, 127
    np.testing.assert_array_equal(decoded(saved(picture(pixels)), SHAPE, PLAIN), expected)
    grey = picture(pixels).convert("LA")
    np.testing.assert_array_equal(decoded(saved(grey), (8, 8, 1), PLAIN), expected[..., :1])


def test_a_transparent_colour_of_a_palette() -> None:
    red = indexed().getpixel((0, 0))
    expected = quarters()
    expected[:4, :4] = 255
    for kind in ("PNG", "GIF"):
        np.testing.assert_array_equal(decoded(saved(indexed(), kind, transparency=red), SHAPE, PLAIN), expected)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_turns_the_picture(orientation: int) -> None:
    """A camera that was held otherwise stores the picture as its sensor saw it, and says how to turn it."""
    upright = np.zeros((64, 96, 3), np.uint8)
    upright[:, :48, 0], upright[:32, :, 1] = 255, 255
    inverse = [None, None, 0, 3, 1, 5, 2, 6, 4][orientation]  # Transpose members that undo each orientation
    stored = picture(upright) if inverse is None else picture(upright).transpose(inverse)
    exif = image_module.Exif()
    exif[0x0112] = orientation
    x = decoded(saved(stored, "JPEG", exif=exif, quality=95), (32, 48, 3), PLAIN)
    red_and_green = x[[4, 4, 28, 28], [4, 44, 4, 44], :2] > 127
    assert red_and_green.tolist() == [[True, True], [False, True], [True, False], [False, False]]


def test_the_first_picture_of_an_animation() -> None:
    frames = [picture(np.full((8, 8, 3), value, np.uint8)) for value in (50, 200)]
    for kind in ("GIF", "WEBP", "TIFF"):
        data = saved(frames[0], kind, save_all=True, append_images=frames[1:])
        assert np.abs(decoded(data, SHAPE, PLAIN).astype(int) - 50).max() <= 2


def test_a_large_jpeg_is_decoded_smaller_and_looks_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    y, x = np.mgrid[0:600, 0:1000]
    pixels = np.stack([x / 4, y / 3, (x + y) / 7], axis=2).astype(np.uint8)
    data = saved(picture(pixels), "JPEG", quality=95)
    drafted: list[tuple[int, int]] = []
    jpeg: Any = pytest.importorskip("PIL.JpegImagePlugin").JpegImageFile
    draft = jpeg.draft

    def watched(self: Any, mode: Any, size: Any) -> Any:
        result = draft(self, mode, size)
        drafted.append(self.size)
        return result

    monkeypatch.setattr(jpeg, "draft", watched)
    for how, width, size in (
        (PLAIN, 32, (125, 75)),
        (PLAIN, 40, (250, 150)),
        (Preprocessing("stretch"), 64, (250, 150)),
    ):
        quick = decoded(data, (32, width, 3), how)
        whole = decoded(saved(picture(pixels)), (32, width, 3), how)
        assert np.abs(quick.astype(int) - whole).max() <= 4
        assert drafted.pop() == size  # whichever way the picture is turned, not below twice of what is asked for
    drafted.clear()
    decoded(data, (224, 400, 3), PLAIN)  # twice of it is more than there is
    assert drafted == []


BROKEN = {
    "empty": (b"", "the file is empty"),
    "text": (b"not a picture at all\n", "no picture, or of a format that Pillow does not read"),
    "header": (b"\x89PNG\r\n\x1a\n", "no picture, or of a format that Pillow does not read"),
}


@pytest.mark.parametrize("what", BROKEN)
def test_what_is_no_picture(what: str, tmp_path: Path) -> None:
    data, reason = BROKEN[what]
    (tmp_path / "x.jpg").write_bytes(data)
    with pytest.raises(PictureError) as error:
        decoded(file_bytes(tmp_path / "x.jpg"), SHAPE, PLAIN)
    assert str(error.value) == reason


@pytest.mark.parametrize("kind", ["BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP"])
def test_truncated_files_have_a_reason(kind: str) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    data = saved(picture(noise), kind)
    for part in (0.3, 0.6):
        with pytest.raises(PictureError) as error:
            decoded(data[: int(part * len(data))], SHAPE, PLAIN)
        assert str(error.value)


def test_too_large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = saved(picture(quarters(64)))
    monkeypatch.setattr(under_test, "MOST_PIXELS", 64 * 64 - 1)
    with pytest.raises(PictureError, match="too large: 64 x 64 pixels"):
        decoded(data, SHAPE, PLAIN)
    assert decoded(saved(picture(quarters(64)), "JPEG"), SHAPE, PLAIN).shape == SHAPE  # decoded at a quarter
    monkeypatch.setattr(image_module, "MAX_IMAGE_PIXELS", 1000)
    with pytest.raises(PictureError, match="too large: more than 2000 pixels"):
        decoded(data, SHAPE, PLAIN)
    (tmp_path / "x.png").write_bytes(data)
    monkeypatch.setattr(under_test, "MOST_BYTES", 10)
    with pytest.raises(PictureError, match="too large: 0 MiB"):
        file_bytes(tmp_path / "x.png")


def test_a_picture_that_would_be_endless() -> None:
    """One row of 60000 pixels to 224 rows would have 13 million columns."""
    row = picture(np.zeros((1, 60000, 3), np.uint8))
    with pytest.raises(PictureError, match="too narrow: 60000 x 1 pixels"):
        decoded(saved(row), (224, 224, 3), PLAIN)
    assert decoded(saved(row), (224, 224, 3), Preprocessing("stretch")).shape == (224, 224, 3)


def test_pixels_without_a_range() -> None:
    with pytest.raises(PictureError, match="floating-point"):
        decoded(saved(picture(np.zeros((8, 8), np.float32)), "TIFF"), SHAPE, PLAIN)
    with pytest.raises(PictureError, match="No such file"):
        file_bytes(Path("nowhere.jpg"))


def test_hidden_files_are_left_out(tmp_path: Path) -> None:
    for name in ("a/1.tif", "a/._1.jpg", ".trash/2.png", "b.GIF"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"not read here")
    assert [p.relative_to(tmp_path).as_posix() for p in image_files(tmp_path)] == ["a/1.tif", "b.GIF"]
