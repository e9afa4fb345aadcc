"""Who does the work of a search: this process, or workers of a Ray cluster."""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeVar

from chipfit.errors import ChipfitError

_PATIENCE = 5.0
"""Seconds in which a cluster answers."""

T = TypeVar("T")
R = TypeVar("R")


class Workers(Protocol):
    """``function`` must be one of a module, ``tasks`` can be pickled. ``done``: told how many are ready."""

    def map(self, function: Callable[[T], R], tasks: Sequence[T], done: Callable[[int], None]) -> list[R]: ...

    def close(self) -> None: ...


class Here:
    """One after the other, in this process."""

    def map(self, function: Callable[[T], R], tasks: Sequence[T], done: Callable[[int], None]) -> list[R]:
        results: list[R] = []
        for task in tasks:
            results.append(function(task))
            done(len(results))
        return results

    def close(self) -> None:
        pass


class OnRay:
    """A core of the cluster for each task. ``address``: as Ray writes it, such as ``host:6379``; ``auto``: that of the
    cluster on this computer; ``local``: one is started here and ended again.

    Raises ChipfitError T001 where Ray is missing, N003 where there is no such cluster.
    """

    def __init__(self, address: str) -> None:
        try:
            import ray
        except ImportError:
            hint = "python -m pip install 'chipfit[ray]'"
            raise ChipfitError("T001", "a search on many computers runs on Ray, which is missing", hint) from None
        self._ray: Any = ray
        try:
            _knock(address)
            ray.init(None if address == "local" else address, log_to_driver=False, configure_logging=False)
        except (OSError, ValueError, RuntimeError) as error:
            hint = "start one: `ray start --head`; or let chipfit do it here: --ray local"
            raise ChipfitError("N003", f"there is no Ray cluster at '{address}': {error}", hint) from None

    def map(self, function: Callable[[T], R], tasks: Sequence[T], done: Callable[[int], None]) -> list[R]:
        remote = self._ray.remote(_attempted)
        references = [remote.remote(function, task) for task in tasks]
        waiting = references
        while waiting:
            _, waiting = self._ray.wait(waiting, num_returns=1)
            done(len(references) - len(waiting))
        results: list[R] = []
        for result, refused in self._ray.get(references):
            if refused is not None:
                raise ChipfitError(*refused)
            results.append(result)
        return results

    def close(self) -> None:
        self._ray.shutdown()


def _knock(address: str) -> None:
    """Raise OSError where nobody answers at ``host:port``: Ray itself would wait for minutes."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if host and port.isdigit():
        socket.create_connection((host, int(port)), timeout=_PATIENCE).close()


def _attempted(function: Callable[[Any], Any], task: Any) -> tuple[Any, tuple[str, str, str] | None]:
    """The result, or what was raised: Ray would wrap that into an error of its own."""
    try:
        return function(task), None
    except ChipfitError as error:
        return None, (error.code, error.message, error.hint)
