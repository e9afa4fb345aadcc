"""Generated C in this process: a shared library behind ctypes."""

from __future__ import annotations

import ctypes
import shutil
import tempfile
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chipfit.errors import ChipfitError

Argument = int | float | bytes | None | NDArray[Any]


class HostLibrary:
    """A shared library that chipfit built.

    It is loaded from a copy in a temporary folder: the system loader knows a library by its path and would hand out
    the old code for a library built again, and Windows lets nobody overwrite a loaded one.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        folder = Path(tempfile.mkdtemp(prefix="chipfit-"))
        # On Windows the copy stays locked until the process ends; errors are ignored for that.
        self._cleanup = weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
        copy = folder / path.name
        try:
            shutil.copyfile(path, copy)
            self._library = ctypes.CDLL(str(copy))
        except OSError as problem:
            raise ChipfitError("F001", f"cannot load {path}: {problem}") from None

    def has(self, name: str) -> bool:
        """Whether the library exports that function or variable."""
        return hasattr(self._library, name)

    def function(self, name: str, returns: type[Any] | None = ctypes.c_int) -> Callable[..., Any]:
        """A function of the library as a Python callable; see :meth:`call` for its arguments."""
        try:
            found = self._library[name]
        except AttributeError:
            raise ChipfitError("U001", f"{self.path.name} has no function {name}") from None
        found.restype = returns

        def call(*arguments: Argument) -> Any:
            return found(*(_convert(name, item) for item in arguments))

        return call

    def call(self, name: str, *arguments: Argument, returns: type[Any] | None = ctypes.c_int) -> Any:
        """Call a function.

        An int is passed as a C int where it fits and as int64 otherwise, a float as a C float, an array (C order) and
        bytes as the address of their data, None as the null pointer.
        """
        return self.function(name, returns)(*arguments)

    def view(self, name: str, dtype: Any, count: int) -> NDArray[Any]:
        """A variable of the library as an array over the same memory. Keep the library alive as long."""
        kind = np.dtype(dtype)
        raw = (ctypes.c_uint8 * (kind.itemsize * count)).in_dll(self._library, name)
        return np.ctypeslib.as_array(raw).view(kind)


def _convert(function: str, argument: Argument) -> Any:
    if isinstance(argument, np.ndarray):
        if not argument.flags.c_contiguous:
            raise ValueError(f"{function}: an array must be in C order")
        return ctypes.c_void_p(argument.ctypes.data)
    if isinstance(argument, float):
        return ctypes.c_float(argument)
    if isinstance(argument, int) and not -(1 << 31) <= argument < 1 << 31:
        return ctypes.c_int64(argument)
    return argument
