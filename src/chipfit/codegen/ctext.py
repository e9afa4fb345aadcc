"""C text: literals, arrays, identifiers."""

from __future__ import annotations

import re
from collections.abc import Mapping

import numpy as np

from chipfit.graph import Array, DType

_PER_LINE = 24
_LONGEST_NAME = 48
# <name>_t is a type of a standard header; names that begin with cf or chipfit are the runtime's
_TAKEN = re.compile(
    "(cf|chipfit)(_.*)?|u?int((_(least|fast))?(8|16|32|64)|ptr|max)|s?size|ptrdiff|max_align|w?char(8|16|32)?|wint|"
    "float|double|nullptr|l{0,2}div|imaxdiv|wctype|wctrans|mbstate|fpos|time|clock|errno|rsize|off|pid"
)


def identifier(name: str) -> str:
    """``name`` as the beginning of C names: lower case, ASCII, of bounded length, none that standard headers have."""
    text = re.sub(r"[^A-Za-z0-9]+", "_", name).strip("_").lower()[:_LONGEST_NAME].rstrip("_") or "model"
    return f"m_{text}" if text[0].isdigit() or _TAKEN.fullmatch(text) else text


def float_literal(value: float) -> str:
    """A float32 literal that reads back to the same bits."""
    value = float(np.float32(value))
    if np.isnan(value):
        return "(0.0f / 0.0f)"
    if np.isinf(value):
        return "(1.0f / 0.0f)" if value > 0 else "(-1.0f / 0.0f)"
    text = f"{value:.9g}"
    return f"{text}f" if "." in text or "e" in text else f"{text}.0f"


def double_literal(value: float) -> str:
    """A float64 literal that reads back to the same bits."""
    return repr(value) if np.isfinite(value) else float_literal(value).replace("f", "")


def number(value: int | float | str) -> str:
    """A literal; a string is an expression already."""
    if isinstance(value, str):
        return value
    if isinstance(value, float):
        return float_literal(value)
    return str(value) if value != -(1 << 31) else "(-2147483647 - 1)"


def string(text: str) -> str:
    """A C string literal; what is not printable ASCII becomes an octal escape, ``?`` is escaped for its trigraphs."""
    out = "".join(
        f"\\{c}"
        if c in '"\\?'
        else c
        if " " <= c <= "~"
        else "".join(f"\\{b:03o}" for b in c.encode("utf-8", "replace"))
        for c in text
    )
    return f'"{out}"'


def comment(text: str) -> str:
    """``text`` made safe inside a C comment."""
    return re.sub(r"[^ -~]|\?(?=\?)", ".", text).replace("*/", "* /").replace("/*", "/ *")


def array_elements(data: Array) -> str:
    """The elements of an array, flat, in lines."""
    flat = data.reshape(-1)
    if data.dtype == np.float16:
        flat = flat.view(np.uint16)
    if flat.dtype == np.float64:
        items = [double_literal(v) for v in flat.tolist()]
    elif flat.dtype.kind == "f":
        items = [float_literal(float(v)) for v in flat]
    elif flat.dtype == np.int64:
        items = [f"INT64_C({v})" if v != -(1 << 63) else "INT64_MIN" for v in flat.tolist()]
    else:
        items = [number(int(v)) for v in flat.tolist()]
    lines = [", ".join(items[i : i + _PER_LINE]) for i in range(0, len(items), _PER_LINE)]
    return ",\n    ".join(lines)


def c_type(data: Array) -> str:
    return DType.of(data).c_type


def array_definition(symbol: str, data: Array, attribute: str = "", space: str = "") -> str:
    """An external constant array. An empty one has one element, since C has no empty arrays.

    ``attribute``: C text behind the name; ``space``: in front of it, the space of addresses that the array lies in.
    """
    count = max(1, data.size)
    elements = array_elements(data) if data.size else "0"
    declared = f"const {c_type(data)} {space}{symbol}[{count}]"
    return f"{declared} CF_ALIGNED{attribute} = {{\n    {elements}\n}};\n"


def array_declaration(symbol: str, data: Array, space: str = "") -> str:
    """Says the alignment, too: without it a compiler may take more for granted, as x86-64 does for large arrays."""
    return f"extern const {c_type(data)} {space}{symbol}[{max(1, data.size)}] CF_ALIGNED;\n"


def struct_fields(params: Mapping[str, int | float | str | tuple[int, ...]], indent: str) -> str:
    """Designated initialisers, as many on a line as fit."""
    items = [
        f".{name} = {{{', '.join(number(v) for v in value)}}}"
        if isinstance(value, tuple)
        else f".{name} = {number(value)}"
        for name, value in params.items()
    ]
    lines, line = list[str](), ""
    for item in items:
        if line and len(line) + len(item) > 96:
            lines.append(line)
            line = ""
        line = f"{line}{', ' if line else ''}{item}"
    lines.append(line)
    return f",\n{indent}".join(lines)
