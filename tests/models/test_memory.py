"""Real models in little memory: the figures of docs/memory.md, and C that survives poison in all that is free."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

import chipfit
from chipfit import oracle
from chipfit.codegen import Goal, Program, lower, source_files
from chipfit.emulate import build_host_library
from chipfit.firmware import run_on_host
from chipfit.model import Model
from chipfit.targets import load_board
from oracles import needs_tflm

CORE = load_board("nucleo-l4r5zi").core.features
RAM = Goal(slower=1.35, squeeze=1.2, rows=True)
ROWS = Goal(slower=1.35, squeeze=1.2, rows=True, by_rows=True)
FIGURES = {
    ("mlperf_kws_dscnn_int8", "balanced"): 12_000,
    ("mlperf_kws_dscnn_int8", "ram"): 6_000,
    ("mlperf_vww_mnv1_025_96_int8", "balanced"): 40_000,
    ("mlperf_vww_mnv1_025_96_int8", "ram"): 27_900,
    ("mlperf_vww_mnv1_025_96_int8", "rows"): 13_900,
    ("mlperf_ic_resnet8_int8", "balanced"): 36_000,
    ("mlperf_ic_resnet8_int8", "ram"): 16_000,
    ("mlperf_ad_toycar_int8", "balanced"): 2_200,
    ("mlperf_ad_toycar_int8", "ram"): 800,
    ("mlperf_streaming_wakeword_int8", "balanced"): 6_000,
    ("mlperf_streaming_wakeword_int8", "ram"): 3_800,
    ("tflm_person_detect_int8", "balanced"): 40_000,
    ("tflm_person_detect_int8", "ram"): 14_100,
    ("tinyengine_mcunet_vww_int8", "balanced"): 80_000,
    ("tinyengine_mcunet_vww_int8", "ram"): 21_400,
    ("tinyengine_mcunet_vww_int8", "rows"): 15_200,
    ("imagenet_mnv2_10_224_int8ptq", "ram"): 240_000,
    ("esphome_okay_nabu_v2_stream", "ram"): 4_300,
    ("esphome_vad_v2_stream", "ram"): 1_800,
}
"""The most bytes of arena and state."""

GOALS = {"balanced": Goal(), "ram": RAM, "rows": ROWS}


def model_of(models_dir: Path, name: str) -> Model:
    return chipfit.load(models_dir / f"{name}.tflite").with_integer_io()


@pytest.mark.parametrize(("name", "goal"), FIGURES)
def test_memory_is_within_the_figures(models_dir: Path, name: str, goal: str) -> None:
    plan = lower(model_of(models_dir, name).graph, CORE, goal=GOALS[goal]).plan
    assert plan.arena_bytes + plan.state_bytes <= FIGURES[name, goal]


# ---------------------------------------------------------------------------------------------- poison


def poisoned(program: Program, files: dict[str, str]) -> str:
    """model.c with everything overwritten after each step that is not needed later."""
    head, run = files["model.c"].rsplit(f"void {program.name}_run(", 1)
    calls = re.findall(r"^    \w+\(model->memory\);\n", run, re.MULTILINE)
    plan = program.plan
    assert len(calls) == len(plan.units)
    for step, call in enumerate(calls):
        free = np.ones(plan.arena_bytes, np.bool_)
        for block in plan.blocks:
            if block.buffer.first <= step < block.buffer.last:
                free[block.offset : block.offset + block.buffer.size] = False
        edges = np.flatnonzero(np.diff(np.concatenate([[0], free.astype(np.int8), [0]])))
        fills = [
            f"    memset(model->memory + {a}, {17 + 5 * step % 200}, {b - a});\n"
            for a, b in edges.reshape(-1, 2).tolist()
        ]
        run = run.replace(call, call + "".join(fills), 1)
    return f"{head}void {program.name}_run({run}"


@pytest.mark.parametrize("goal", ["balanced", "ram"])
@pytest.mark.parametrize(
    "name",
    [
        "mlperf_kws_dscnn_int8",
        "mlperf_ic_resnet8_int8",
        "mlperf_vww_mnv1_025_96_int8",
        "mlperf_streaming_wakeword_int8",
        "esphome_okay_nabu_v2_stream",
        "arduino_magic_wand_int8",
    ],
)
def test_free_memory_may_hold_anything(models_dir: Path, tmp_path: Path, name: str, goal: str) -> None:
    """Three runs one after the other, so that state and what a run leaves behind are in it."""
    model = model_of(models_dir, name)
    program = lower(model.graph, CORE, goal=GOALS[goal])
    files = source_files(program, "host")
    files["model.c"] = poisoned(program, files)
    for path, text in files.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text, encoding="utf-8")
    sources = [tmp_path / path for path in files if path.endswith(".c")]
    library = build_host_library(sources, [tmp_path], tmp_path / "model.so")
    samples = model.samples(3)
    stdin = b"".join(np.ascontiguousarray(a).tobytes() for sample in samples for a in sample)
    expected = model.run_samples(samples)
    raw = run_on_host(library, stdin, 3, sum(v.type.nbytes for v in model.graph.outputs))
    assert raw == b"".join(y[i].tobytes() for i in range(3) for y in expected)


# ---------------------------------------------------------------------------------------------- on the chip


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("mlperf_kws_dscnn_int8", {"optimize": "ram"}),
        ("mlperf_ic_resnet8_int8", {"optimize": "ram"}),
        ("mlperf_vww_mnv1_025_96_int8", {"optimize": "ram", "input_rows": True}),
        ("mlperf_ic_resnet8_int8", {"preserve_input": True}),
    ],
)
@pytest.mark.parametrize("board", ["nucleo-l4r5zi", "raspberry-pi-pico"])
def test_little_memory_gives_the_same_bytes(
    models_dir: Path, tmp_path: Path, name: str, options: dict[str, object], board: str
) -> None:
    model = model_of(models_dir, name)
    firmware = model.compile(board, tmp_path / "program", **options)  # pyright: ignore[reportArgumentType]
    samples = model.samples(2)
    result = firmware.run(samples)
    for expected, got in zip(model.run_samples(samples), result.outputs, strict=True):
        np.testing.assert_array_equal(expected, got)
    assert firmware.report.input_preserved == bool(options.get("preserve_input"))


@needs_tflm
@pytest.mark.parametrize("name", ["esphome_okay_nabu_v2_stream", "esphome_vad_v2_stream"])
def test_streams_stay_with_tensorflow_lite_micro(models_dir: Path, tmp_path: Path, name: str) -> None:
    """State in shift registers: 300 frames one after the other on the emulated chip."""
    model = chipfit.load(models_dir / f"{name}.tflite")
    firmware = model.compile("nucleo-l4r5zi", tmp_path / "program", optimize="ram")
    samples = model.samples(300, seed=7)
    (got,) = firmware.run(samples).outputs
    assert model.source is not None
    expected = oracle.tflm_run(model.source, samples)
    np.testing.assert_array_equal(got, np.stack([outputs[0] for outputs in expected]))


def test_an_input_that_is_kept_can_be_run_again(models_dir: Path, tmp_path: Path) -> None:
    """With --preserve-input the second run needs no new input; without, it sees what the first one left."""
    model = model_of(models_dir, "mlperf_kws_dscnn_int8")
    kept = lower(model.graph, CORE, goal=Goal(preserve_input=True)).plan
    plain = lower(model.graph, CORE, goal=Goal()).plan
    assert kept.input_preserved
    assert not plain.input_preserved
    assert kept.arena_bytes >= plain.arena_bytes
    (text,) = (source_files(lower(model.graph, CORE, goal=Goal(preserve_input=p)), "none")["model.h"] for p in (False,))
    assert "Inputs are consumed" in text


def test_what_cannot_come_by_rows_says_so(models_dir: Path) -> None:
    model = model_of(models_dir, "mlperf_ad_toycar_int8")
    with pytest.raises(chipfit.ChipfitError, match="cannot come row by row"):
        lower(model.graph, CORE, goal=ROWS)
