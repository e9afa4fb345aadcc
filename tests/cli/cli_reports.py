"""Reports made by hand: their figures never change, so that the text can be held against golden files."""

from __future__ import annotations

import numpy as np

from chipfit.report.data import (
    Comparison,
    CompileReport,
    Flash,
    LayerInfo,
    LayerRun,
    Ram,
    RunReport,
    TensorInfo,
    VerifyReport,
)
from chipfit.report.info import (
    ArenaSummary,
    BoardInfo,
    BoardReport,
    Check,
    DemoReport,
    DoctorReport,
    InspectReport,
    LayerSummary,
    MemoryInfo,
)

LONG = "MobilenetV1/MobilenetV1/Conv2d_1_depthwise/Relu6;MobilenetV1/MobilenetV1/Conv2d_1_depthwise/BatchNorm/Fused"
EVIL = "[bold red]\x1b[31m\n\u202e\t\ud800 名前"
"""Markup, an escape sequence, a line break, a direction override, half a character, wide characters."""

IMAGE = TensorInfo("image", (1, 96, 96, 3), "int8", 0.0078125, -1)
SCORES = TensorInfo(EVIL, (1, 12), "int8", 0.00390625, -128)

INSPECT = InspectReport(
    model="kws",
    format="tflite",
    file_bytes=52_112,
    inputs=(IMAGE,),
    outputs=(SCORES,),
    layers=(
        LayerSummary(LONG, "depthwise_conv2d", "int8[1,48,48,16]", 160, 331_776),
        LayerSummary(EVIL, "softmax", "int8[1,12]", 0, 0),
    ),
    params=24_908,
    params_bytes=26_000,
    macs=2_656_768,
    is_float=False,
    arena=ArenaSummary(56_320, 55_296, 1_024, 0, f"at step 0, depthwise_conv2d '{EVIL}'", ""),
    arena_unknown=None,
    passes=("fold_pad: 2", "remove_dead: 3"),
)

COMPILE = CompileReport(
    model="kws",
    board="arduino-nano-33-ble",
    core="cortex-m4f",
    folder="out/my kws",
    inputs=(IMAGE,),
    outputs=(SCORES,),
    layers=(
        LayerInfo("kws_00", LONG, "depthwise_conv2d", "cf_depthwise_conv2d_s8", 331_776, "int8[1,48,48,16]"),
        LayerInfo("kws_01", EVIL, "add", "cf_add_s8", 0, "int8[1,12]", (("cf_add_s8_dsp", "the core has no dsp"),)),
        LayerInfo("kws_02", "y", "add", "cf_add_s8", 0, "int8[1,12]", (("cf_add_s8_dsp", "the core has no dsp"),)),
    ),
    macs=331_776,
    flash=Flash(12_698, 26_000, 2_458, 41_156, 1_048_576),
    ram=Ram(56_320, 55_296, 1_024, 512, 96, 4_096, 61_024, 262_144, "at step 0, depthwise_conv2d 'x'", "why"),
    passes=(),
    optimize="balanced",
    input_preserved=False,
    seconds=0.42,
    compiler="zig cc",
)

RUN = RunReport(
    model="kws",
    board="arduino-nano-33-ble",
    core="cortex-m4f",
    samples=2,
    instructions=4_000_000,
    macs=331_776,
    stack_bytes=1_100,
    layers=(
        LayerRun(LONG, "depthwise_conv2d", "cf_depthwise_conv2d_s8", 3_999_000, 331_776),
        LayerRun(EVIL, "softmax", "cf_softmax_s8", 1_000, 0),
    ),
    seconds=0.1,
    proof="chipfit kws: 2 runs, crc32 00c0ffee",
    how="measured (emulator)",
    output_info=(SCORES, TensorInfo("state", (2, 2), "float32"), TensorInfo("one", (1,), "int32")),
    outputs=(
        np.arange(-12, 12, dtype=np.int8).reshape(2, 1, 12),
        np.array([[[0.5, -1.25], [1e-9, np.inf]]] * 2, np.float32),
        np.array([[7], [8]], np.int32),
    ),
)

VERIFY = VerifyReport(
    model="kws",
    samples=32,
    tolerance=0.0,
    comparisons=(
        Comparison("C on the host", True, True, 0.0),
        Comparison("C on esp32-c3 (emulated rv32imc)", False, False, 0.0, skipped="kws does not fit esp32-c3"),
        Comparison("TFLite Micro", False, False, 2.0, "output 0, sample 3, element [0, 1]: expected 5, got 7"),
    ),
)

VERIFY_FLOAT = VerifyReport("kws", 1, 1e-5, (Comparison("LiteRT", False, True, 3.2e-7),))

DEMO = DemoReport(
    board="arduino-nano-33-ble",
    core="cortex-m4f",
    samples=100,
    correct=98,
    float_correct=97,
    identical=True,
    compared_bytes=1_000,
    instructions=491_366,
    macs=66_624,
    stack_bytes=116,
    flash=COMPILE.flash,
    ram=COMPILE.ram,
    proof="chipfit digits_int8: 100 runs, crc32 efd0cbf9",
    how="measured (emulator)",
)

DOCTOR = DoctorReport(
    (
        Check("python", "runs chipfit", True, True, "3.12.1, Linux x86_64", ""),
        Check("zig", "the C compiler: chips and this computer", True, False, None, "pip install ziglang"),
        Check("native counter", "counts instructions", False, True, "built", ""),
        Check("qemu-system-arm", "a second emulator", False, False, "/usr/bin/q does not start", "apt install it"),
    )
)

FLASH = MemoryInfo("flash", "flash", 0x0800_0000, 1 << 20, 5)
SRAM = MemoryInfo("ram", "ram", 0x2000_0000, 96 << 10, None)

BOARDS = BoardReport(
    (
        BoardInfo(
            "one",
            f"The first board, {EVIL}, with a long title that does not fit",
            "cortex-m4f",
            "Arm",
            "arm",
            32,
            ("dsp", "fpu"),
            64_000_000,
            (FLASH, SRAM),
            6.3,
            3.0,
            ("arduino",),
            True,
        ),
        BoardInfo("host", "This computer", "host", "this computer", "host", 64, (), None, (), None, None, (), False),
    )
)
