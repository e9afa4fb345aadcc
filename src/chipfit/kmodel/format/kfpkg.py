"""``.kfpkg``: a zip archive of binaries and the addresses in flash at which a flasher puts them."""

from __future__ import annotations

import io
import json
import re
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

from chipfit.errors import ChipfitError

LIST_NAME = "flash-list.json"
FLASH_BYTES = 16 << 20
"""Flash of the boards with a K210."""
SECTOR = 4096
"""Flash is erased in blocks of it."""

_MOST_LIST_BYTES = 1 << 20
_ALIGN = "flash is erased in blocks: 0x300000 is usual for a model"
_HINT = "build or download the package again"


@dataclass(frozen=True)
class FlashFile:
    """``sha256_prefix``: the flasher puts length and hash before it, as the boot loader wants firmware."""

    address: int
    name: str
    data: bytes
    sha256_prefix: bool = False


def is_kfpkg(data: bytes) -> bool:
    """Whether a file is such a package, damaged or not."""
    return data[:4] == b"PK\x03\x04" and LIST_NAME.encode() in data


def read_kfpkg(data: bytes) -> tuple[FlashFile, ...]:
    """The binaries in order. Raises ChipfitError F003 for a damaged package, F005 for one larger than any flash."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            listed = _read(archive, LIST_NAME, _MOST_LIST_BYTES)
            # flashers take hexadecimal numbers, which JSON does not have
            text = re.sub(r"(:\s*)(0[xX][0-9a-fA-F]+)", lambda m: m[1] + str(int(m[2], 16)), listed.decode("utf-8"))
            entries = json.loads(text)["files"]
            return tuple(_entry(archive, entry) for entry in entries)
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, OSError, EOFError) as error:
        raise ChipfitError("F003", f"the package cannot be unpacked: {error}", _HINT) from None
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ChipfitError("F003", f"the package's {LIST_NAME} is damaged: {error}", _HINT) from None


def _entry(archive: zipfile.ZipFile, entry: dict[str, object]) -> FlashFile:
    name, address = entry["bin"], entry["address"]
    if not isinstance(name, str) or not isinstance(address, int) or not 0 <= address < FLASH_BYTES:
        raise ChipfitError("F003", f"the package puts '{name}' at {address}, which is not in flash", _HINT)
    return FlashFile(address, name, _read(archive, name, FLASH_BYTES), bool(entry.get("sha256Prefix", False)))


def _read(archive: zipfile.ZipFile, name: str, most: int) -> bytes:
    size = archive.getinfo(name).file_size
    if size > most:
        raise ChipfitError("F005", f"'{name}' in the package has {size:,} bytes; flash has {FLASH_BYTES:,}", _HINT)
    with archive.open(name) as stream:
        data = stream.read(most + 1)
    if len(data) > most:
        raise ChipfitError("F005", f"'{name}' in the package is larger than it states", _HINT)
    return data


def write_kfpkg(files: Sequence[FlashFile]) -> bytes:
    """The package. Raises ChipfitError M001 where files overlap in flash or leave it, O002 for an address within a
    block."""
    end, last = 0, ""
    for file in sorted(files, key=lambda one: one.address):
        if file.address % SECTOR:
            raise ChipfitError(
                "O002", f"'{file.name}' lies at 0x{file.address:x}, which is no multiple of {SECTOR}", _ALIGN
            )
        if file.address < end:
            where = f"'{file.name}' at 0x{file.address:x} overlaps '{last}', which ends at 0x{end:x}"
            raise ChipfitError("M001", where, "choose a greater address")
        end, last = file.address + len(file.data), file.name
    if end > FLASH_BYTES:
        raise ChipfitError(
            "M001", f"'{last}' ends at 0x{end:x}; flash has 0x{FLASH_BYTES:x} bytes", "choose a smaller address"
        )
    entries = [{"address": f.address, "bin": f.name, "sha256Prefix": f.sha256_prefix} for f in files]
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        # flashers look for '"address": number,' in a line
        _add(archive, LIST_NAME, json.dumps({"version": "0.1.0", "files": entries}, indent=2).encode())
        for file in files:
            _add(archive, file.name, file.data)
    return stream.getvalue()


def _add(archive: zipfile.ZipFile, name: str, data: bytes) -> None:
    """With one date for all, so that equal content makes equal packages."""
    archive.writestr(zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0)), data, zipfile.ZIP_DEFLATED)
