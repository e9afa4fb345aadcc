"""What a file is that may be a kmodel, told by its content."""

from __future__ import annotations

import struct

from chipfit.errors import ChipfitError
from chipfit.kmodel.format.v3 import KmodelV3, read_v3, write_v3
from chipfit.kmodel.format.v4 import IDENTIFIER, KmodelV4, read_v4, write_v4

_SMODEL = 0x2713
_V1_LAYER_BYTES = 28
_AGAIN = "make a kmodel of version 4 from its source: `chipfit convert MODEL --for k210 -o NAME.kmodel`"


def is_kmodel(data: bytes, size: int | None = None) -> bool:
    """Whether a file is a kmodel of any version, readable or not.

    ``data``: the file or its beginning; ``size``: bytes of the file, if it is only that.
    """
    if data[:4] == IDENTIFIER:
        return True
    if len(data) < 20:
        return False
    first, second, third, _, arguments = struct.unpack_from("<5I", data)
    is_v1 = first == 1 and second <= 1 and 0 < third < 1024
    is_v1 = is_v1 and 20 + _V1_LAYER_BYTES * third <= arguments < (len(data) if size is None else size)
    return first == _SMODEL or (first == 3 and second <= 1 and third == 0) or is_v1


def read_kmodel(data: bytes) -> KmodelV3 | KmodelV4:
    """A file of version 3 or 4. Raises ChipfitError F002 (no kmodel), F003 (damaged), F004 (another version), O002."""
    if data[:4] == IDENTIFIER:
        version = int.from_bytes(data[4:8], "little")
        if version != 4:
            raise _other_version(version)
        return read_v4(data)
    if not is_kmodel(data):
        raise ChipfitError("F002", "the file is no kmodel", "kmodels begin with 'LDMK', or with the number 3")
    first = int.from_bytes(data[:4], "little")
    if first == _SMODEL:
        raise ChipfitError(
            "F004",
            "the file is an .smodel: a kmodel that is encrypted for one board, which only that board can read",
            "ask its maker for the kmodel",
        )
    if first == 1:
        raise ChipfitError(
            "F004",
            "the file is a kmodel of version 1 (2018, before nncase 0.1); today's firmware does not load it: MaixPy "
            "answers with error 2002",
            _AGAIN,
        )
    return read_v3(data)


def _other_version(version: int) -> ChipfitError:
    makers = {5: "nncase 1.x", 6: "nncase 2.x", 7: "nncase 2.x"}
    maker = makers.get(version, "no compiler that is known")
    return ChipfitError(
        "F004",
        f"the file is a kmodel of version {version}, made by {maker}; the K210's firmware loads versions 3 and 4: "
        "MaixPy answers with error 2002, or hangs",
        _AGAIN,
    )


def write_kmodel(model: KmodelV3 | KmodelV4) -> bytes:
    """The bytes of a file. Raises ChipfitError O002 for numbers that do not fit the KPU's registers and tables."""
    return write_v3(model) if isinstance(model, KmodelV3) else write_v4(model)
