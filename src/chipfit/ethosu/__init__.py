"""Arm Ethos-U55 and U65: the command streams that Vela makes, read and executed without hardware.

``accelerators`` names the configurations, ``payload`` and ``commands`` take a stream apart, ``registers`` says what its
bits mean, ``memory`` where tensors lie, ``weights`` unpacks the weights; ``layers``, ``elementwise`` and ``output``
compute; ``simulate`` runs it all.
"""

from chipfit.ethosu.accelerators import ACCELERATORS, Accelerator, require
from chipfit.ethosu.memory import READ_ONLY, SCRATCH, SCRATCH_FAST, Memory
from chipfit.ethosu.payload import Payload, parse_payload
from chipfit.ethosu.registers import Registers, Rounding
from chipfit.ethosu.simulate import Simulator, Statistics, Watch

__all__ = [
    "ACCELERATORS",
    "READ_ONLY",
    "SCRATCH",
    "SCRATCH_FAST",
    "Accelerator",
    "Memory",
    "Payload",
    "Registers",
    "Rounding",
    "Simulator",
    "Statistics",
    "Watch",
    "parse_payload",
    "require",
]
