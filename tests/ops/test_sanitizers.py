"""All kernels under the address and undefined behaviour sanitizers, in two programs for this computer.

The memory of each case is a block of its own from malloc, constants are globals: a byte read or written beside either
ends the program. Kernels are compiled with CF_SHARED, one body for all cases, for that is much quicker.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from ops import bundle
from ops.test_kernels import OPS, nodes_of

GCC = ["gcc", "-fsanitize=address,undefined,float-cast-overflow", "-fno-sanitize-recover=all", "-lm"]
ZIG = [sys.executable, "-m", "ziglang", "cc", "-fsanitize=undefined", "-fno-sanitize-recover=all"]


def sanitizing_compiler() -> list[str]:
    """gcc where it is installed and has its runtime libraries; else zig, which finds undefined behaviour only."""
    if shutil.which("gcc") and sys.platform == "linux":
        test = subprocess.run(
            [*GCC, "-x", "c", "-", "-o", "/dev/null"], input=b"int main(void) { return 0; }", check=False
        )
        if test.returncode == 0:
            return GCC
    return ZIG


def host_main(table: str, count: int) -> str:
    """``main`` for this computer: for each case of a table read the inputs, run, write the outputs."""
    return f"""#include <stdio.h>
#include <stdlib.h>
{table}
static void run(void (*all)(uint8_t *), size_t bytes, const span *s)
{{
    uint8_t *memory = malloc(bytes);
    memset(memory, {bundle.FILL}, bytes);
    for (; !s->output; s++) {{
        if (fread(memory + s->at, 1, (size_t)s->bytes, stdin) != (size_t)s->bytes) {{
            exit(2);
        }}
    }}
    all(memory);
    for (; s->bytes >= 0; s++) {{
        fwrite(memory + s->at, 1, (size_t)s->bytes, stdout);
    }}
    free(memory);
}}
int main(void)
{{
    for (int i = 0; i < {count}; i++) {{
        run(cases[i].all, (size_t)cases[i].bytes, cases[i].spans);
    }}
    fprintf(stderr, "{count} cases\\n");
    return 0;
}}
"""


@pytest.mark.parametrize("part", [0, 1])
def test_kernels_with_sanitizers(part: int, tmp_path: Path) -> None:
    nodes = [node for name in OPS[part::2] for node in nodes_of(name)]
    cases = bundle.make_cases(nodes, bundle.ALL_FEATURES, seed=4, draws=1)
    source, program = tmp_path / "all.c", tmp_path / "all.exe"
    source.write_text(bundle.bundle_source(cases) + host_main(bundle.case_table(cases), len(cases)))
    includes = [f"-I{folder}" for folder in bundle.include_dirs()]
    compiler = sanitizing_compiler()
    done = subprocess.run(
        [*compiler, "-std=c99", "-O1", "-DCF_SHARED", *includes, str(source), "-o", str(program), "-lm"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[:4000]
    run = subprocess.run([program], input=b"".join(c.stdin for c in cases), capture_output=True, check=False)
    text = run.stderr.decode("utf-8", "replace")
    assert (run.returncode, text.splitlines()[-1:]) == (0, [f"{len(cases)} cases"]), text[:4000]
    wrong: list[str] = []
    at = 0
    for case in cases:
        size = sum(e.nbytes for e in case.expected)
        difference = bundle.compare(case, bundle.split_outputs(case, run.stdout[at : at + size]))
        wrong += [difference] if difference else []
        at += size
    assert at == len(run.stdout)
    assert not wrong, "\n".join(wrong[:5])


BUGS = {
    "reads beyond its memory": "memory[100]++;",
    "reads beyond a constant": "memory[0] = table[memory[0]];",
    "overflows": "volatile int32_t v = INT32_MAX; v = v + memory[0];",
}


@pytest.mark.parametrize("bug", BUGS)
def test_the_sanitizers_are_on(bug: str, tmp_path: Path) -> None:
    compiler = sanitizing_compiler()
    if compiler is ZIG and bug != "overflows":
        pytest.skip("gcc with its sanitizers is not installed")
    source, program = tmp_path / "bug.c", tmp_path / "bug.exe"
    table = bundle.table_text([("bug", 100, [])])
    source.write_text(
        "#include <stdint.h>\n#include <string.h>\nstatic const uint8_t table[4] = {1, 2, 3, 4};\n"
        f"static void bug(uint8_t *memory)\n{{\n    (void)table;\n    {BUGS[bug]}\n}}\n{host_main(table, 1)}"
    )
    subprocess.run([*compiler, "-std=c99", "-O1", str(source), "-o", str(program), "-lm"], check=True)
    assert subprocess.run([program], capture_output=True, check=False).returncode != 0
