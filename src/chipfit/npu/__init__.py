"""Models for an NPU beside the core: compiled by Arm's Vela, whose figures and refusals are read."""

from chipfit.npu.vela import Compiled, LeftToCpu, MemoryTraffic, compile_with_vela, vela_version

__all__ = ["Compiled", "LeftToCpu", "MemoryTraffic", "compile_with_vela", "vela_version"]
