"""C text of numbers, strings, names: what a compiler reads is what was meant."""

from __future__ import annotations

import math
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chipfit.codegen import ctext
from chipfit.graph import Array
from codegen.programs import build_and_run

EXTREME = [3.4028235e38, -3.4028235e38, 1.1754944e-38, 1e-45, math.inf, -math.inf, math.nan]
SPECIAL = [0.0, -0.0, 1.0, -1.0, 1e10, 16777216.0, 0.1, *EXTREME]


def bits(value: float) -> int:
    return int(np.float32(value).view(np.uint32))


@given(st.floats(width=32, allow_nan=False, allow_infinity=False))
def test_float_literal_reads_back(value: float) -> None:
    literal = ctext.float_literal(value)
    assert re.fullmatch(r"-?\d+(\.\d+)?(e[+-]\d+)?f", literal)
    assert "." in literal or "e" in literal
    assert bits(float(literal[:-1])) == bits(value)


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_double_literal_reads_back(value: float) -> None:
    literal = ctext.double_literal(value)
    assert re.fullmatch(r"-?\d+(\.\d+)?(e[+-]\d+)?", literal)
    assert math.copysign(1.0, float(literal)) == math.copysign(1.0, value)
    assert float(literal) == value


@given(st.text())
def test_string_is_one_printable_literal(text: str) -> None:
    literal = ctext.string(text)
    assert literal.isascii()
    assert literal.isprintable()
    assert "??" not in literal
    body = re.sub(r'\\([0-7]{3}|[\\"?])', "", literal[1:-1])
    assert not set('"\\') & set(body)


@given(st.text())
def test_comment_stays_closed(text: str) -> None:
    comment = ctext.comment(text)
    assert comment.isascii()
    assert not {"*/", "/*", "??", "\n"} & {comment[i : i + n] for i in range(len(comment)) for n in (1, 2)}


@given(st.text())
def test_identifier_is_a_c_name(text: str) -> None:
    name = ctext.identifier(text)
    assert re.fullmatch("[a-z][a-z0-9_]{0,62}", name)
    assert not name.startswith(("cf_", "chipfit_"))
    assert ctext.identifier(name) == name


INTEGERS = (np.int8, np.uint8, np.int16, np.uint16, np.int32, np.uint32, np.int64)


def arrays() -> list[Array]:
    rng = np.random.default_rng(0)
    result: list[Array] = []
    for kind in INTEGERS:
        info = np.iinfo(kind)
        result.append(np.array([info.min, info.max, 0, 1], kind))
        result.append(rng.integers(info.min, info.max, 500, kind, endpoint=True))
    result.append(np.array(SPECIAL, np.float32))
    result.append(rng.integers(0, 1 << 32, 2000, np.uint32).view(np.float32))
    result.append(rng.integers(0, 1 << 16, 500, np.uint16).view(np.float16))
    result.append(rng.normal(0, 1e100, 500))
    result.append(np.array([True, False]))
    result.append(np.zeros((2, 0), np.int8))
    return result


def test_arrays_through_a_compiler(tmp_path: Path) -> None:
    """A compiled program prints the bytes of every array, NaNs as one kind."""
    data = arrays()
    text = "#include <stdint.h>\n#include <stdio.h>\n#define CF_ALIGNED __attribute__((aligned(8)))\n"
    text += "".join(f"static {ctext.array_definition(f'a{i}', a)}" for i, a in enumerate(data))
    text += """static void dump(const void *data, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        printf("%02x", ((const unsigned char *)data)[i]);
    }
    puts("");
}
int main(void)
{
"""
    text += "".join(f"    dump(a{i}, {a.nbytes});\n" for i, a in enumerate(data)) + "    return 0;\n}\n"
    lines = build_and_run(tmp_path, text, []).split("\n")
    for line, a in zip(lines, data, strict=False):
        got = np.frombuffer(bytes.fromhex(line), a.dtype)
        expected = a.reshape(-1)
        if a.dtype == np.float32:
            assert np.array_equal(np.isnan(got), np.isnan(expected))
            got, expected = np.nan_to_num(got, nan=0.0), np.nan_to_num(expected, nan=0.0)
        assert got.tobytes() == expected.tobytes()


@pytest.mark.parametrize("text", ["", "plain", 'a"b\\c', "??/x ??= ???", "tab\tnul\x001", "é模型😀", "100%d"])
def test_strings_through_a_compiler(text: str, tmp_path: Path) -> None:
    expected = text.encode()
    main = f"""#include <stdio.h>
#include <string.h>
static const unsigned char expected[] = {{{"".join(f"{b}, " for b in expected)}0}};
int main(void)
{{
    static const char text[] = {ctext.string(text)};
    return !(sizeof text == sizeof expected && memcmp(text, expected, sizeof text) == 0);
}}
"""
    build_and_run(tmp_path, main, [])
