"""Arm's compiler for Ethos-U, called by its library interface in a process of its own.

Vela prints what it leaves to the processor, and why, to the standard output of C; and it may end the process.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from configparser import ConfigParser
from dataclasses import dataclass, replace
from importlib import import_module, resources
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Literal

from chipfit.apart import ApartError, heard_apart
from chipfit.errors import ChipfitError
from chipfit.ethosu import ACCELERATORS
from chipfit.targets import Npu

PACKAGE = "ethos-u-vela"
TESTED = "5.2"
"""The versions whose streams chipfit's simulator is tested with."""

Aim = Literal["Performance", "Size"]

_MOST_SECONDS = 600.0
_LINES = 12
_ALIGNMENT = 16
"""Of tensors that the processor and the NPU share, bytes."""

_MODE = "Memory_Mode."
_NO_LIMIT = (1 << 32) - 1
"""More than any memory of such a system."""

_REASON = re.compile(r"operator: (?P<op>[^,]+), ofm: '(?P<output>.*)'$")


@dataclass(frozen=True)
class LeftToCpu:
    """An operator that Vela leaves to the processor. ``reasons``: the constraints that it breaks, in Vela's words."""

    op: str
    output: str
    reasons: tuple[str, ...]


@dataclass(frozen=True)
class MemoryTraffic:
    """``peak_bytes``: the most that is in use; ``cycles``: of accesses, estimated."""

    name: str
    peak_bytes: int
    cycles: int


@dataclass(frozen=True, eq=False)
class Compiled:
    """``tflite``: the new file. Figures are Vela's estimates.

    ``cycles``: of the NPU at ``clock_hz``; ``constants``: bytes of weights, scales and tables in the file.
    """

    tflite: bytes
    version: str
    cycles: int
    clock_hz: int
    constants: int
    npu_operators: int
    cpu_operators: int
    weights: int
    encoded_weights: int
    memories: tuple[MemoryTraffic, ...]
    left: tuple[LeftToCpu, ...]


def compile_with_vela(
    tflite: bytes, target: Npu, *, aim: Aim = "Performance", sram_bytes: int | None = None
) -> Compiled:
    """Compile an int8 or int16 model. ``sram_bytes``: what its activations may take; None: as the system has it.

    Raises ChipfitError T001 where Vela is missing, A003 where it refuses the model, crashes, or leaves all of it to the
    processor; U001 for an unknown accelerator.
    """
    if target.accelerator not in ACCELERATORS:
        raise ChipfitError(
            "U001", f"there is no accelerator '{target.accelerator}'", f"one of {', '.join(ACCELERATORS)}"
        )
    found = vela_version()
    try:
        made, said = heard_apart(_compile, tflite, target, aim, sram_bytes, seconds=_MOST_SECONDS)
    except ApartError as error:
        lines = "".join(f"\n  {line[:300]}" for line in error.said[-_LINES:])
        raise ChipfitError("A003", f"Vela {error.reason}{':' if lines else ''}{lines}", _HINT) from None
    memories = tuple(MemoryTraffic(*row) for row in made.pop("memories"))
    left = left_to_cpu(said)
    if len(left) > made["cpu_operators"]:  # it may speak of one several times
        left = list(dict.fromkeys(left))
    return Compiled(version=found, memories=memories, left=tuple(left), **made)


_HINT = "Vela takes int8 and int16 models with static shapes: quantize the model with `chipfit quantize`"


def vela_version() -> str:
    """Raises ChipfitError T001 where Vela is missing."""
    try:
        return version(PACKAGE)
    except PackageNotFoundError:
        hint = "python -m pip install 'chipfit[ethosu]'"
        raise ChipfitError("T001", "models for Ethos-U are compiled by Arm's Vela, which is missing", hint) from None


def left_to_cpu(said: Sequence[str]) -> list[LeftToCpu]:
    """What Vela's lines say of operators for the processor: one names an operator, the next ones reasons, each with the
    rule that it breaks on lines of its own, up to an empty one."""
    found: list[LeftToCpu] = []
    is_reason = False
    for line in map(str.strip, said):
        named = _REASON.search(line)
        if named:
            found.append(LeftToCpu(named["op"].strip(), named["output"], ()))
        elif line.startswith("Reason:") and found:
            found[-1] = replace(found[-1], reasons=(*found[-1].reasons, line.removeprefix("Reason:").strip()))
        elif line and is_reason:
            *before, last = found[-1].reasons
            found[-1] = replace(found[-1], reasons=(*before, f"{last}: {line}"))
        is_reason = bool(line and found and found[-1].reasons)
    return found


def _options(aim: Aim, sram_bytes: int) -> str:
    return (
        "[compiler]\noutput_format=TFLite\nenable_db=true\ncop_format=COP1\n"
        f"[scheduler]\noptimize={aim}\narena_size_limit={sram_bytes}\ncpu_tensor_alignment={_ALIGNMENT}\n"
    )


def _clock(known: str, system: str) -> int:
    """The NPU's clock of a system of Vela's configuration, Hz."""
    section = f"System_Config.{system}"
    config = _parsed(known)
    if not config.has_section(section):
        raise ChipfitError("A003", f"Vela knows no system '{system}'", "see its configuration file")
    return int(config.getfloat(section, "core_clock"))


def _parsed(known: str) -> ConfigParser:
    config = ConfigParser(inline_comment_prefixes=(";",))
    config.read_string(known)
    return config


def _sram_limit(known: str, memory_mode: str) -> int:
    """What a memory mode of Vela's configuration lets activations take; modes inherit from one another."""
    config = _parsed(known)
    section = memory_mode
    while section:
        name = section if section.startswith(_MODE) else f"{_MODE}{section}"
        if not config.has_section(name):
            raise ChipfitError("A003", f"Vela knows no memory mode '{memory_mode}'", "see its configuration file")
        if config.has_option(name, "arena_cache_size"):
            return config.getint(name, "arena_cache_size")
        section = config.get(name, "inherit", fallback="")
    return _NO_LIMIT


def _compile(tflite: bytes, target: Npu, aim: Aim, sram_bytes: int | None) -> dict[str, Any]:
    """In the other process. Raises whatever Vela does."""
    regor: Any = import_module("ethosu.regor")
    accelerator = ACCELERATORS[target.accelerator]
    known = (resources.files("ethosu") / "config_files" / "Arm" / "vela.ini").read_text(encoding="utf-8")
    system = (
        f"[architecture]\nmacs={accelerator.macs // accelerator.cores}\ncores={accelerator.cores}\n"
        f"[vela]\nsystem_config_name={target.system}\nmemory_mode_name={target.memory_mode}\n"
    )
    family = "EthosU55" if accelerator.name.startswith("ethos-u55") else "EthosU65"
    options = _options(aim, _sram_limit(known, target.memory_mode) if sram_bytes is None else sram_bytes)
    made = regor.compile(family, tflite, "TFLITE", system + known, options=options, verbose=True)
    report = made.perf_report
    memories: Mapping[str, Any] = report.memories
    return {
        "tflite": bytes(made.model),
        "cycles": int(report.totalCycles),
        "clock_hz": _clock(known, target.system),
        "constants": int(report.readOnlyPeakUsage),
        "npu_operators": int(report.npuOps),
        "cpu_operators": int(report.cpuOps),
        "weights": int(report.originalWeights),
        "encoded_weights": int(report.encodedWeights),
        "memories": [(name, int(m.peakUsage), int(m.totalAccessCycles)) for name, m in memories.items()],
    }
