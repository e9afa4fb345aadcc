"""Files of PyTorch, told by their content. Those that hold pickled objects are named and refused."""

from __future__ import annotations

import io
import zipfile

from chipfit.errors import ChipfitError

_LEGACY = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."
"""What torch.save wrote before it wrote archives: a pickled number that stands for the format."""

_PICKLED = "of PyTorch (torch.save): pickled objects, which may run any code"
_ZIP = b"PK\x03\x04"
_MODULE = (
    "build the module, load the weights into it yourself (torch.load, load_state_dict), and hand it over: "
    "chipfit.load(module, example_inputs=(torch.zeros(1, 3, 96, 96),))"
)
_PROGRAM = "load it yourself if you trust it, and hand over the program: chipfit.load(torch.export.load(path))"
_SCRIPT = (
    "build the module that the script was made of, and hand it over: "
    "chipfit.load(module, example_inputs=(torch.zeros(1, 3, 96, 96),))"
)


def entries(data: bytes) -> list[str]:
    """Names in an archive, without its own folder; none where it is no archive."""
    if not data.startswith(_ZIP):
        return []
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            return [name.partition("/")[2] or name for name in archive.namelist()]
    except (zipfile.BadZipFile, ValueError, OSError):
        return []


def is_archive(data: bytes) -> bool:
    """Whether a file is one of ``torch.export.save``."""
    return any(name.startswith("models/") and name.endswith(".json") for name in entries(data))


def is_torch_file(data: bytes) -> bool:
    """Whether a file is one of PyTorch, readable or not."""
    return data.startswith(_LEGACY) or _refused(entries(data)) is not None or is_archive(data)


def _refused(names: list[str]) -> tuple[str, str] | None:
    """What an archive is that is not read, and the hint."""
    if "constants.pkl" in names or any(name.startswith("code/") for name in names):
        return "a TorchScript program, which is stored as pickled objects", _SCRIPT
    if "data.pkl" in names:
        return _PICKLED, _MODULE
    if "serialized_exported_program.json" in names:
        return "an exported program of an old torch, with pickled weights", _PROGRAM
    if any(name.startswith("data/aotinductor/") for name in names):
        return "a program that AOTInductor has compiled", "hand over the module or program it was made of"
    return None


def refusal(data: bytes) -> ChipfitError:
    """The error F002 for a file that is never unpickled."""
    what, hint = _refused(entries(data)) or (_PICKLED, _MODULE)
    return ChipfitError("F002", f"the file is {what}", hint)
