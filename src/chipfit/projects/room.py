"""Whether the flash of a board has room for the stored test inputs."""

from __future__ import annotations

from chipfit.errors import ChipfitError
from chipfit.projects.inputs import StoredInputs
from chipfit.report.data import CompileReport
from chipfit.targets import Board

PARTS_BYTES = 3 * 1024
"""Bytes of flash that are kept for the C around a model. By zig and gcc it takes up to 2.6 KiB more, on all cores, than
the main program that the compile report counts."""


def fitting(
    stored: StoredInputs, report: CompileReport, board: Board, *, is_asked: bool
) -> tuple[StoredInputs, list[str]]:
    """As many of the test inputs as the flash has room for beside the program of ``report``, and a note where these are
    not all.

    Raises ChipfitError M001 if ``is_asked``, that is if the user wants just so many, and where there is no room for
    one.
    """
    # a board with several memories of a kind says what lies in each; the test inputs go where the code is
    used = next((m.used for m in report.memories if m.name == board.flash.name), report.flash.total or 0)
    free = board.flash.size - used - PARTS_BYTES
    each = stored.nbytes // len(stored)
    count = min(len(stored), max(free, 0) // each)
    if count == len(stored):
        return stored, []
    if count and not is_asked:
        return stored.first(count), [
            f"{count} test {'input is' if count == 1 else 'inputs are'} stored, {each:,} B each: "
            f"there is no room for more in {board.flash.name}"
        ]
    wanted = len(stored) if is_asked else 1
    needed = used + PARTS_BYTES + wanted * each
    raise ChipfitError(
        "M001",
        f"{wanted} test {'input does' if wanted == 1 else 'inputs do'} not fit {board.name}: {board.flash.name} "
        f"{needed / 1024:,.1f} KiB of {board.flash.size / 1024:,.1f} KiB ({needed - board.flash.size:,} B too many): "
        f"program {used:,} B, code around it up to {PARTS_BYTES:,} B, test inputs {wanted} x {each:,} B",
        f"--count {count} fits" if count else "a project stores one at least: choose a board with more flash",
    )
