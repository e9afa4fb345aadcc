"""From a framework's folder to the files of a project."""

from __future__ import annotations

import math
import re
import textwrap
from collections.abc import Sequence
from dataclasses import fields, replace
from functools import cache
from pathlib import PurePosixPath
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from chipfit.codegen import ctext
from chipfit.codegen.project import runtime_folder
from chipfit.projects.context import Context
from chipfit.projects.framework import FOLDER, Framework
from chipfit.quantize import Preprocessing
from chipfit.report.data import TensorInfo

_ENDING = ".j2"
_COLUMNS = 118
_FLASH = "chipfit/cf_flash.h"
"""What the parts say of constants, whatever kernels there are."""


def project_files(framework: Framework, context: Context, model: dict[str, str]) -> tuple[dict[str, str], Context]:
    """Text of every file of a project, by path, and the context with all of its fields.

    ``model``: the C of the model, by path below the sources' folder. A file of the framework's own folder goes before
    one of the same path that every project has.
    """
    jinja = environment()
    names = _names(context)

    def text(template: str) -> str:
        return jinja.from_string(template).render(names)

    sources, port = text(framework.sources), text(framework.port)
    port_files = [text(name) for name in framework.port_files]
    parts = {
        f"{part}.{end}": jinja.get_template(f"shared/{part}.{end}{_ENDING}").render(names)
        for part in framework.wanted_parts()
        for end in ("h", "c")
    }
    flash = {_FLASH: (runtime_folder() / "include" / PurePosixPath(_FLASH).name).read_text(encoding="utf-8")}
    c_files = {name: body for name, body in (model | flash | parts).items() if body.strip()}
    context = replace(
        context,
        sources=tuple(sorted(name for name in c_files if name.endswith(".c"))),
        sources_folder=sources,
        port_files=tuple(port_files),
        port_folder=port,
        commands=tuple(command for command in map(text, framework.next) if command),
    )
    names = _names(context)
    files = {_join(sources, name): body for name, body in c_files.items()}
    files |= {_join(port, name): _port(name) for name in port_files}
    for path in sorted((framework.folder / "files").rglob("*")):
        if path.is_file():
            relative = path.relative_to(FOLDER).as_posix()
            own = text(path.relative_to(framework.folder / "files").as_posix())
            is_template = own.endswith(_ENDING)
            body = jinja.get_template(relative).render(names) if is_template else path.read_text(encoding="utf-8")
            if body.strip():
                files[own.removesuffix(_ENDING)] = body
    return files, context


@cache
def environment() -> Environment:
    """Templates of all frameworks: an unknown name is an error; a line with a tag alone leaves no line."""
    jinja = Environment(
        loader=FileSystemLoader(FOLDER, encoding="utf-8"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # what is written is no HTML
    )
    own: dict[str, Any] = {
        "string": ctext.string,
        "comment": ctext.comment,
        "elements": ctext.array_elements,
        "float": ctext.float_literal,
        "c_type": ctext.c_type,
        "count_of": _count_of,
        "formula": _formula,
        "kib": _kib,
        "real": _real,
        "wrap": _wrap,
    }
    jinja.filters.update(own)
    return jinja


def _kib(nbytes: int | None) -> str:
    return "unknown" if nbytes is None else f"{nbytes / 1024:,.1f} KiB"


def _count_of(info: TensorInfo) -> int:
    return math.prod(info.shape)


def _real(info: TensorInfo) -> str:
    """What an integer of a tensor stands for."""
    zero = info.zero_point or 0
    stored = f"(stored {'-' if zero > 0 else '+'} {abs(zero)})" if zero else "stored"
    return f"real = {info.scale} * {stored}"


def _formula(how: Preprocessing) -> str:
    """What becomes of a pixel; what does nothing is left out."""
    text = "pixel" if how.scale == 1 else f"pixel * {how.scale}"
    if any(how.mean):
        text += f" - {_tuple(how.mean)}"
    if all(std == 1 for std in how.std):
        return text
    return f"{text if text == 'pixel' else f'({text})'} / {_tuple(how.std)}"


def _tuple(numbers: Sequence[float]) -> str:
    text = ", ".join(map(str, numbers))
    return text if len(numbers) == 1 else f"({text})"


def _wrap(text: str) -> str:
    """A paragraph of Markdown, in lines that an editor shows whole. A name in `` stays in one piece."""
    pieces = re.sub("`[^`]*`", lambda name: name[0].replace(" ", "\0"), text)
    return textwrap.fill(pieces, _COLUMNS, break_long_words=False, break_on_hyphens=False).replace("\0", " ") + "\n"


def _names(context: Context) -> dict[str, Any]:
    own = {f.name: getattr(context, f.name) for f in fields(context)}
    return own | {"label_bytes": context.label_bytes, "sketch": context.sketch}


def _join(folder: str, name: str) -> str:
    return (PurePosixPath(folder) / name).as_posix()


def _port(name: str) -> str:
    return (runtime_folder() / "port" / name).read_text(encoding="utf-8")
