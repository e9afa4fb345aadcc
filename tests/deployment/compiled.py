"""A compiler that remembers: what has the same text and flags is compiled once in a process."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from hashlib import blake2b
from pathlib import Path

Compile = Callable[[list[str], list[str], Sequence[Path], Path], list[str]]


def remembering(compile_all: Compile) -> Compile:
    """As ``compile_all`` of chipfit's tool chain: compiler, flags, sources, folder to the paths of objects."""
    known: dict[bytes, bytes] = {}

    def compile_new(compiler: list[str], flags: list[str], sources: Sequence[Path], folder: Path) -> list[str]:
        folders = [Path(flag[2:]) for flag in flags if flag.startswith("-I")]
        said = [*compiler, *(flag for flag in flags if not flag.startswith("-I"))]
        keys = [blake2b("\0".join([*said, *_texts(source, folders)]).encode()).digest() for source in sources]
        new = {key: source for source, key in zip(sources, keys, strict=True) if key not in known}
        for key, made in zip(new, compile_all(compiler, flags, list(new.values()), folder), strict=True):
            known[key] = Path(made).read_bytes()
        objects = [folder / f"known_{index}_{source.stem}.o" for index, source in enumerate(sources)]
        for path, key in zip(objects, keys, strict=True):
            path.write_bytes(known[key])
        return [str(path) for path in objects]

    return compile_new


def _texts(source: Path, folders: Sequence[Path]) -> list[str]:
    """Of a C file and of all headers that it includes, once each."""
    texts: dict[Path, str] = {}
    wanted = [source]
    while wanted:
        path = wanted.pop()
        if path not in texts:
            texts[path] = path.read_text(encoding="utf-8")
            for name in re.findall(r'^\s*#\s*include "(.+)"', texts[path], re.MULTILINE):
                wanted += [f / name for f in (path.parent, *folders) if (f / name).is_file()][:1]
    return list(texts.values())
