"""Reports made by hand: their figures never change, so that the text can be held against golden files."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from chipfit.plan.describe import BlockInfo, LiveInfo, OverlayInfo, PlanInfo, RegionInfo, StepInfo, VariableInfo
from chipfit.quantization import Figures, QuantizationReport, TensorFigures, VariantsReport
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
    Alternative,
    ArenaSummary,
    BoardInfo,
    BoardReport,
    Check,
    DemoReport,
    DoctorReport,
    InspectReport,
    LayerSummary,
    MemoryInfo,
    MemoryReport,
)
from chipfit.streaming.report import StreamLayer, StreamReport

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

STREAM = StreamReport(
    model="wake",
    streamed="wake_stream",
    input=TensorInfo("image", (1, 3, 1, 40), "int8", 0.0078125, -1),
    outputs=(SCORES,),
    axis=1,
    window=30,
    step=3,
    warm_up=9,
    layers=(
        StreamLayer(LONG, "depthwise_conv2d", "int8[1,28,1,40]", "int8[1,3,1,40]", 80, 3_360, 360),
        StreamLayer(EVIL, "mean", "int8[1,12]", "int8[1,12]", 1_092, 0, 0),
    ),
    states=2,
    state_bytes=1_172,
    window_macs=3_360,
    macs=360,
)

QUANTIZE = QuantizationReport(
    model="kws",
    recipe="int8 input=uint8",
    inputs=(TensorInfo("image", (1, 8, 8, 3), "uint8", 0.0078125, 127),),
    outputs=(SCORES,),
    calibrated=100,
    tested=1,
    how="measured (C on the host)",
    seconds=24.1,
    result=Figures("int8 input=uint8", 22.46, 0.8975, 24.1),
    contributions=(
        Figures("int8 input=uint8 -equalize -reconstruct -bias -match -pool", 11.7, 0.685, 4.0),
        Figures("int8 input=uint8", 22.46, 0.8975, 24.1),
    ),
    tensors=(
        TensorFigures(LONG, "depthwise_conv2d", 21.04),
        TensorFigures(EVIL, "mean", None),
        TensorFigures("y", "softmax", -3.2),
    ),
    notes=("channels equalized: 3, in layers: 1", f"'{EVIL}' is 0 for all samples: its range has no width"),
)

QUANTIZE_SET = VariantsReport(
    model="kws",
    float_bytes=1_880_064,
    variants=(
        replace(
            QUANTIZE,
            recipe="float16",
            how="not measured",
            result=None,
            tensors=(),
            contributions=(),
            notes=(),
            calibrated=0,
            file="my variants/kws_float16.tflite",
            file_bytes=960_000,
        ),
        replace(
            QUANTIZE,
            recipe=f"int8 ; {LONG}: activations=int16",
            contributions=(),
            notes=(),
            file="my variants/kws_int8.tflite",
            file_bytes=480_000,
        ),
    ),
)

MEMORY = MemoryReport(
    model="kws",
    board="nucleo-l4r5zi",
    optimize="balanced",
    preserve_input=True,
    input_rows=False,
    plan=PlanInfo(
        arena=10_240,
        lower_bound=9_984,
        plain_bound=24_576,
        scratch=1_024,
        state=512,
        busiest=1,
        input_preserved=True,
        steps=(
            StepInfo("depthwise_conv2d", LONG, 1, 8_192, True, 2, (LiveInfo(1, ((0, 0, 9), (1, 0, 4_096))),)),
            StepInfo("add", EVIL, 12, 9_984, False, 400, (LiveInfo(2, ((0, 0, 0), (9, 0, 960))),)),
            StepInfo("softmax", "y", 1, 24, False, 1),
        ),
        blocks=(
            BlockInfo("image", "input", 8_192, 2_048, -1, 3),
            BlockInfo(LONG, "tensor", 4_096, 4_096, 0, 1, views=(LONG, EVIL)),
            BlockInfo(EVIL, "rows", 3_584, 960, 1, 1, 3, 25),
            BlockInfo(LONG, "scratch", 0, 1_024, 1, 1),
            BlockInfo("y", "tensor", 0, 4_096, 1, 2),
            BlockInfo("scores", "output", 4_096, 12, 2, 3),
        ),
        overlays=(
            OverlayInfo(0, 0, 1, -4_096, 256, "backward"),
            *(OverlayInfo(1, i, j, 0, 64, "rows") for i, j in ((1, 2), (1, 3), (1, 4), (1, 5), (3, 4))),
        ),
        regions=(RegionInfo("dtcm", 0, 8_192), RegionInfo("ram", 8_192, 2_048)),
        variables=(VariableInfo("state/one", 0), VariableInfo(EVIL, 128)),
    ),
    alternatives=(
        Alternative("the input overwritten", 8_192, ("--optimize", "balanced")),
        Alternative("kernels without scratch, if there were any", 9_216),
    ),
)

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
