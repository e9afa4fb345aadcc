"""Keras with a backend, and as many threads as help."""

from __future__ import annotations

import importlib
import os
import platform
import sys
from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from chipfit.errors import ChipfitError
from chipfit.importers.keras.framework import import_keras, require_keras

__all__ = ["one_thread", "require_keras", "start_keras", "use_threads", "versions"]

_MACS = 4e9
"""Multiply-accumulates of a batch up to which PyTorch is quickest on one thread: its operators are so short then that
threads wait for each other, for ten times as long where other programs need the cores, too."""

_alone: ContextVar[bool] = ContextVar("alone", default=False)
"""Whether :func:`one_thread` holds."""

_PACKAGES = ("chipfit", "keras", "numpy", "pillow")


def start_keras() -> Any:
    """Keras; raises ChipfitError T001 where it or its backend is missing."""
    if "torch" not in sys.modules:
        # threads that wait for work let others have the core
        os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    return import_keras()


@contextmanager
def one_thread() -> Generator[None]:
    """PyTorch and NumPy compute on one thread in here: sums are added in the same order wherever that is, beside
    whatever other work. Raises ChipfitError T001 where threadpoolctl is missing."""
    try:
        from threadpoolctl import threadpool_limits
    except ImportError:
        hint = "python -m pip install threadpoolctl"
        raise ChipfitError("T001", "threads are limited by threadpoolctl, which is missing", hint) from None
    token = _alone.set(True)
    try:
        with threadpool_limits(1):
            yield
    finally:
        _alone.reset(token)


def use_threads(keras: Any, macs: int) -> int | None:
    """As many as help with batches of ``macs``; None: the backend decides. The number depends on nothing else than the
    computer, so that a repeated run computes in the same order."""
    if keras.backend.backend() != "torch":
        return None
    threads = 1 if macs <= _MACS or _alone.get() else os.cpu_count() or 1
    importlib.import_module("torch").set_num_threads(threads)
    return threads


@dataclass(frozen=True)
class Version:
    """``version``: ``unknown`` where the package does not say it."""

    name: str
    version: str


def versions(keras: Any) -> tuple[Version, ...]:
    """Of everything that the numbers of a run depend on."""
    found = [Version("python", platform.python_version()), Version("platform", platform.platform())]
    return (*found, *(Version(name, _version(name)) for name in (*_PACKAGES, keras.backend.backend())))


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:  # a distribution of another name, such as tensorflow-cpu
        return str(getattr(sys.modules.get(package), "__version__", "unknown"))
