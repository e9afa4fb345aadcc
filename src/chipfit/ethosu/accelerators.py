"""The configurations of Arm Ethos-U55 and U65, and how a command stream names the one that it was compiled for."""

from __future__ import annotations

from dataclasses import dataclass

from chipfit.errors import ChipfitError


@dataclass(frozen=True)
class Accelerator:
    """``macs``: multiply-accumulates a cycle, of all cores; ``shram_kib``: internal memory of all cores."""

    name: str
    product: int
    macs: int
    shram_kib: int
    cores: int = 1

    @property
    def ofm_ublock_depth(self) -> int:
        """Output channels that are computed side by side: the weights' order depends on it."""
        return 4 if self.macs == 32 else 8

    @property
    def lut_start(self) -> int:
        """Address in the internal memory of one core behind which lookup tables lie: its last two banks of 1 KiB."""
        return (self.shram_kib // self.cores - 2) * 1024


U55, U65 = 0, 1

ACCELERATORS = {
    one.name: one
    for one in (
        Accelerator("ethos-u55-32", U55, 32, 16),
        Accelerator("ethos-u55-64", U55, 64, 16),
        Accelerator("ethos-u55-128", U55, 128, 24),
        Accelerator("ethos-u55-256", U55, 256, 48),
        Accelerator("ethos-u65-256", U65, 256, 48),
        Accelerator("ethos-u65-512", U65, 512, 96, cores=2),
    )
}

ARCHITECTURE = 1
"""The major revision of the architecture that all of them have."""


def accelerator_of(config: int, arch: int) -> Accelerator:
    """The accelerator of the two words with which the driver checks a stream: its configuration and its identity.

    ``config``: bits 0..3 log2 of the MACs a cycle, 8..15 internal memory in KiB, 28..31 product; ``arch``: bits 28..31
    the major revision of the architecture. Raises ChipfitError A002 for one that chipfit does not know.
    """
    found = {(a.product, a.macs, a.shram_kib): a for a in ACCELERATORS.values()}
    accelerator = found.get((config >> 28, 1 << (config & 15), (config >> 8) & 0xFF))
    if accelerator is None or arch >> 28 != ARCHITECTURE:
        raise ChipfitError(
            "A002",
            f"the command stream is for an accelerator that is not known: configuration {config:#010x}, "
            f"architecture {arch:#010x}",
            f"known are: {', '.join(ACCELERATORS)}",
        )
    return accelerator


def require(found: Accelerator, wanted: Accelerator) -> None:
    """Raise ChipfitError A002 unless a stream was compiled for this accelerator, as the driver on the chip does."""
    if found != wanted:
        raise ChipfitError(
            "A002",
            f"the command stream is for {found.name}, not for {wanted.name}",
            "weights lie in an order that depends on the accelerator: compile the model again for this one",
        )
