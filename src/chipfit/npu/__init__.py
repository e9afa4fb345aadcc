"""Models for an NPU beside the core: compiled by Arm's Vela, explained, and executed in the simulator."""

from chipfit.npu.compile import (
    NpuModel,
    check_for_npu,
    compile_for_npu,
    npu_board,
    npu_model,
    run_for_npu,
    with_unrolled_loops,
)
from chipfit.npu.execute import Dense, Executor, accelerator_of, stacked, streams_of
from chipfit.npu.report import (
    CpuOperator,
    NpuCheckReport,
    NpuCompileReport,
    NpuInspectReport,
    NpuRunReport,
    Placement,
    Proof,
    RoundingDifference,
    StreamInfo,
    TracedOperation,
)
from chipfit.npu.run import inspect_streams, is_npu_model, npu_file_of, open_target, run_streams
from chipfit.npu.vela import Compiled, LeftToCpu, MemoryTraffic, compile_with_vela, vela_version

__all__ = [
    "Compiled",
    "CpuOperator",
    "Dense",
    "Executor",
    "LeftToCpu",
    "MemoryTraffic",
    "NpuCheckReport",
    "NpuCompileReport",
    "NpuInspectReport",
    "NpuModel",
    "NpuRunReport",
    "Placement",
    "Proof",
    "RoundingDifference",
    "StreamInfo",
    "TracedOperation",
    "accelerator_of",
    "check_for_npu",
    "compile_for_npu",
    "compile_with_vela",
    "inspect_streams",
    "is_npu_model",
    "npu_board",
    "npu_file_of",
    "npu_model",
    "open_target",
    "run_for_npu",
    "run_streams",
    "stacked",
    "streams_of",
    "vela_version",
    "with_unrolled_loops",
]
