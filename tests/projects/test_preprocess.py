"""Pixels to what a model stores: the C is held against Python for every value of a pixel, byte for byte."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from chipfit.emulate import HostLibrary, build_elf, build_host_library, run_elf
from chipfit.errors import ChipfitError
from chipfit.evaluation.engines import stored
from chipfit.graph import Array
from chipfit.projects.preprocess import PixelMap, pixel_map, takes_pictures
from chipfit.projects.render import environment
from chipfit.quantize import Preprocessing
from chipfit.report.data import TensorInfo
from chipfit.targets import load_board

RAMP = np.arange(256, dtype=np.uint8)
Case = tuple[TensorInfo, Preprocessing]


def info(dtype: str, channels: int = 3, scale: float | None = None, zero: int = 0) -> TensorInfo:
    quant = (None, None) if dtype == "float32" else (scale or 1 / 127.5, zero)
    return TensorInfo("x", (1, 16, 16, channels), dtype, *quant)


@st.composite
def cases(draw: st.DrawFn) -> Case:
    channels = draw(st.sampled_from([1, 3]))
    each = st.integers(1, 1) if draw(st.booleans()) else st.just(channels)

    def numbers(of: st.SearchStrategy[float]) -> tuple[float, ...]:
        return tuple(draw(st.lists(of, min_size=(n := draw(each)), max_size=n)))

    how = Preprocessing(
        scale=draw(st.sampled_from([1.0, 1 / 255, 1 / 127.5, 1 / 128]) | st.floats(1e-4, 4.0)),
        mean=numbers(st.sampled_from([0.0, 0.5, 1.0]) | st.floats(-200.0, 200.0)),
        std=numbers(st.sampled_from([1.0, 0.5, 0.229]) | st.floats(0.01, 100.0) | st.floats(-9.0, -0.1)),
    )
    dtype = draw(st.sampled_from(["int8", "uint8", "int16", "float32"]))
    # as calibrated, or nothing of the kind
    span = how.range(channels)
    calibrated = max(span.high - span.low, 1e-6) / (255 if dtype != "int16" else 65535)
    scale = draw(st.sampled_from([calibrated, 1.0]) | st.floats(1e-4, 1.0))
    zero = {"int8": st.integers(-128, 127), "uint8": st.integers(0, 255), "int16": st.just(0)}
    return info(dtype, channels, scale, draw(zero.get(dtype, st.just(0)))), how


def in_python(case: Case) -> Array:
    """What a picture whose pixels are 0 to 255, alike in all channels, becomes."""
    tensor, how = case
    pixels = np.repeat(RAMP[:, None], tensor.shape[3], axis=1)
    return stored(how.apply(pixels), tensor)


def write_c(folder: Path, found: Sequence[Case]) -> list[Path]:
    """C of each case, and a function that runs all of them on the same picture, one behind the other."""
    jinja = environment()
    runs, includes = "", ""
    for i, (tensor, how) in enumerate(found):
        pixels = pixel_map(tensor, how)
        names = {"p": f"m{i}", "upper": f"M{i}", "pixels": pixels, "preprocessing": how, "inputs": [tensor]}
        (folder / f"preprocess_{i}.h").write_text(jinja.get_template("shared/preprocess.h.j2").render(names))
        source = jinja.get_template("shared/preprocess.c.j2").render(names)
        source = source.replace('"preprocess.h"', f'"preprocess_{i}.h"').replace("table", f"table_{i}")
        source = source.replace("multipliers", f"multipliers_{i}").replace("offsets", f"offsets_{i}")
        (folder / f"preprocess_{i}.inc").write_text(source)
        includes += f'#include "preprocess_{i}.inc"\n'
        size = tensor.shape[3] * np.dtype(tensor.dtype).itemsize * 256
        picture = "grey" if tensor.shape[3] == 1 else "colors"
        runs += f"    m{i}_preprocess({picture}, (void *)out);\n    out += {size};\n"
    (folder / "all.c").write_text(
        f"""{includes}
#if defined(_WIN32)
__declspec(dllexport)
#endif
void all(uint8_t *out);
void all(uint8_t *out)
{{
    uint8_t grey[256], colors[768];
    for (int i = 0; i < 768; i++) {{
        grey[i / 3] = (uint8_t)(i / 3);
        colors[i] = (uint8_t)(i / 3);
    }}
{runs}    (void)grey;
    (void)colors;
}}
"""
    )
    (folder / "chipfit").mkdir(exist_ok=True)
    flash = Path(__file__).parents[2] / "src/chipfit/runtime/include/cf_flash.h"
    (folder / "chipfit" / "cf_flash.h").write_text(flash.read_text())
    return [folder / "all.c"]


@given(st.lists(cases(), min_size=24, max_size=24))
@settings(max_examples=2, deadline=None, phases=[Phase.generate])  # smaller lists would be compiled, too
def test_c_is_python(tmp_path_factory: pytest.TempPathFactory, found: list[Case]) -> None:
    folder = tmp_path_factory.mktemp("preprocess")
    # without optimization, which takes most of the time; test_on_emulated_cores compiles as projects do
    library = HostLibrary(build_host_library(write_c(folder, found), [folder], folder / "lib", optimize="-O0"))
    wanted = b"".join(in_python(case).tobytes() for case in found)
    out = np.zeros(len(wanted), np.uint8)
    library.call("all", out, returns=None)
    assert out.tobytes() == wanted


@given(cases())
@settings(max_examples=50, deadline=None)
def test_the_values_are_pythons(case: Case) -> None:
    """And the form that C computes gives them: a line or an offset in integers of 32 bits."""
    pixels = pixel_map(*case)
    channels = case[0].shape[3]
    assert pixels.apply(np.repeat(RAMP[:, None], channels, axis=1)).tobytes() == in_python(case).tobytes()
    if pixels.form == "line":
        for row, m, b in zip(pixels.values, pixels.multipliers, pixels.offsets, strict=True):
            line = RAMP.astype(np.int64) * m + b
            assert np.abs(line).max() < 1 << 31
            assert (np.clip(line >> pixels.shift, pixels.low, pixels.high) == row).all()


IMAGENET = Preprocessing(scale=1 / 255, mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))
TRAINED: Case = (
    info("int8", 3, float(np.float32(1 / 127.5)), 0),
    Preprocessing(scale=1 / 127.5, mean=(128 / 127.5,)),
)
USUAL: list[tuple[Case, str]] = [
    # exactly the pixel minus 128
    ((info("int8", 3, 1 / 127.5, 0), Preprocessing(scale=1 / 127.5, mean=(128 / 127.5,))), "offset"),
    # the same as a file stores the scale, in float32: networks that chipfit has trained
    (TRAINED, "offset"),
    ((info("int8", 1, float(np.float32(1 / 127.5)), 0), Preprocessing(scale=1 / 127.5, mean=(128 / 127.5,))), "offset"),
    # half a step beside the integers, where the last bit of a float decides which way it is rounded
    ((info("int8", 3, 1 / 127.5, -1), Preprocessing(scale=1 / 127.5, mean=(1.0,))), "table"),
    ((info("int8", 1, 1 / 255, -128), Preprocessing(scale=1 / 255)), "offset"),
    ((info("uint8", 3, 1 / 255, 0), Preprocessing(scale=1 / 255)), "offset"),
    ((info("int8", 3, 0.0187, -14), IMAGENET), "line"),
    ((info("float32"), Preprocessing(scale=1 / 255)), "product"),
    ((info("float32", 1), Preprocessing(scale=1 / 128, mean=(1.0,))), "product"),
    ((info("float32"), Preprocessing()), "product"),
    ((info("float32"), IMAGENET), "table"),
    ((info("float32"), Preprocessing(scale=1 / 127.5, mean=(1.0,))), "table"),
]  # fmt: skip


@pytest.mark.parametrize(("case", "form"), USUAL, ids=lambda v: v if isinstance(v, str) else "")
def test_the_simplest_form_is_taken(case: Case, form: str) -> None:
    assert pixel_map(*case).form == form


def test_trained_networks_take_the_pixel_minus_128() -> None:
    """Exactly: in Python for each value of a pixel, in C by one subtraction. What calibration makes of it, too."""
    pixels = pixel_map(*TRAINED)
    assert (pixels.form, pixels.offsets, pixels.tables) == ("offset", (-128,), 1)
    assert (in_python(TRAINED) == RAMP.astype(np.int64)[:, None] - 128).all()
    span = TRAINED[1].range(3)
    assert np.float32((span.high - span.low) / 255) == np.float32(1 / 127.5)
    text = environment().get_template("shared/preprocess.c.j2").render(p="m", pixels=pixels)
    assert "    return (int8_t)((int32_t)value - 128);\n" in text


@pytest.mark.parametrize("board", ["raspberry-pi-pico", "arduino-nano-33-ble"])
def test_on_emulated_cores(board: str, tmp_path: Path) -> None:
    """Without a floating-point unit, and with one that could multiply and add in one rounding."""
    found = [case for case, _ in USUAL]
    wanted = b"".join(in_python(case).tobytes() for case in found)
    sources = write_c(tmp_path, found)
    main = tmp_path / "main.c"
    main.write_text(
        f'#include <stdint.h>\n#include "cf_port.h"\nvoid all(uint8_t *out);\nstatic uint8_t out[{len(wanted)}];\n'
        "int main(void)\n{\n    all(out);\n    cf_port_write(out, sizeof out);\n    return 0;\n}\n"
    )
    target = load_board(board)
    build_elf([*sources, main], [tmp_path], target, tmp_path / "p.elf")
    assert run_elf(tmp_path / "p.elf", target, stdin=b"").output == wanted


def test_per_channel_numbers_must_fit() -> None:
    with pytest.raises(ChipfitError, match="mean has 2 numbers, input 'x' has 3 channels") as caught:
        pixel_map(info("int8"), Preprocessing(mean=(1.0, 2.0)))
    assert caught.value.code == "Q002"


def test_which_inputs_are_pictures() -> None:
    assert takes_pictures(info("int8"))
    assert not takes_pictures(TensorInfo("x", (1, 3, 16, 16), "int8", 1.0, 0))
    assert not takes_pictures(TensorInfo("x", (1, 10), "float32"))
    assert not takes_pictures(TensorInfo("x", (1, 16, 16, 3), "int64"))


def test_a_table_is_stored_once_where_channels_are_alike() -> None:
    how = Preprocessing(scale=1 / 127.5, mean=(1.0,))
    alike: PixelMap = pixel_map(info("float32"), how)
    assert (alike.tables, alike.values.shape) == (1, (1, 256))
    assert pixel_map(info("float32"), Preprocessing(scale=1 / 127.5, mean=(1.0, 2.0, 3.0))).tables == 3
