"""What tests let another process do. It imports this module by its name, which a module of tests has not."""

from __future__ import annotations

import os
import sys

from chipfit.errors import ChipfitError


def twice(x: object, times: int) -> tuple[object, int, int]:
    print("said")
    return x, 2 * times, os.getpid()


def refuse(code: str) -> None:
    raise ChipfitError(code, "no", "do something else")


def crash() -> None:
    sys.stderr.write("the last words\n")
    sys.stderr.flush()
    os.abort()


def chatter(megabytes: int) -> None:
    for _ in range(megabytes):
        print("words " * (1 << 20 // 6))
    raise ValueError("that was all")


def leave() -> None:
    raise SystemExit(0)


def die(*_: object) -> None:
    os.abort()
