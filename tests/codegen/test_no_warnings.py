"""Generated C compiles without a warning in C99, its header in C++: gcc and clang, for this computer and a chip."""

from __future__ import annotations

from pathlib import Path

import pytest

import chipfit
from codegen.programs import CLANGXX, COMPILERS, GXX, STRICT, Compiler, demo, write_program

MODELS = ["demo int8", "demo float", "mlperf_kws_dscnn_int8", "esphome_okay_nabu_v2_stream"]


def model(name: str, request: pytest.FixtureRequest) -> chipfit.Model:
    if name.startswith("demo"):
        return demo(name.split()[1])
    folder: Path = request.getfixturevalue("models_dir")
    return chipfit.load(folder / f"{name}.tflite")


@pytest.mark.parametrize("compiler", COMPILERS, ids=lambda c: c.name)
@pytest.mark.parametrize("name", MODELS)
def test_sources(name: str, compiler: Compiler, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    compiler.require()
    write_program(tmp_path, model(name, request).graph, compiler.features)
    for source in ("model.c", "weights.c"):
        compiler.run(*STRICT, "-O2", "-c", tmp_path / source, "-o", tmp_path / "out.o")


@pytest.mark.parametrize("defines", [["-DCF_SHARED"], ["-DDIGITS_INT8_NO_STATIC_MEMORY"]], ids=lambda d: d[0])
@pytest.mark.parametrize("compiler", COMPILERS, ids=lambda c: c.name)
def test_variants(compiler: Compiler, defines: list[str], tmp_path: Path) -> None:
    compiler.require()
    write_program(tmp_path, demo().graph, compiler.features)
    compiler.run(*STRICT, *defines, "-O2", "-c", tmp_path / "model.c", "-o", tmp_path / "out.o")


@pytest.mark.parametrize("standard", ["c++11", "c++20"])
@pytest.mark.parametrize("compiler", [GXX, CLANGXX], ids=lambda c: c.name)
def test_header_in_cxx(compiler: Compiler, standard: str, tmp_path: Path) -> None:
    compiler.require()
    write_program(tmp_path, demo().graph)
    user = tmp_path / "user.cpp"
    user.write_text(
        """#include "model.h"
#include "model.h"
int use(digits_int8_t *model);
int use(digits_int8_t *model)
{
    const int shape[] = DIGITS_INT8_INPUT_0_SHAPE;
    static DIGITS_INT8_INPUT_0_TYPE image[DIGITS_INT8_INPUT_0_COUNT];
    digits_int8_input_0(model)[0] = image[shape[0] - 1];
    digits_int8_run(model);
    return digits_int8_output_0(model)[0] + static_cast<int>(1.0f / DIGITS_INT8_OUTPUT_0_SCALE);
}
""",
        encoding="utf-8",
    )
    compiler.run(
        f"-std={standard}", "-Wall", "-Wextra", "-pedantic", "-Werror", "-c", user, "-o", tmp_path / "user.o"
    )  # fmt: skip
