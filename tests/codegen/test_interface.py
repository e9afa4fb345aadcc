"""What a C program sees of a model: its functions, its macros, and the memory it is given."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from chipfit.codegen import Program
from chipfit.codegen.ctext import array_definition, string
from chipfit.graph import Array, Graph
from chipfit.interpret import evaluate, initial_state
from chipfit.model import Model
from codegen.models import running_sum, two_equal_layers
from codegen.programs import CLANG, HOST_COMPILERS, Compiler, build_and_run, demo, write_program

PRELUDE = """#include <stdint.h>
#include <stdio.h>
#include <string.h>
#define CF_ALIGNED __attribute__((aligned(8)))
#define CHECK(condition)                                     \\
    do {                                                     \\
        if (!(condition)) {                                  \\
            printf("line %d: %s\\n", __LINE__, #condition); \\
            return 1;                                        \\
        }                                                    \\
    } while (0)
"""


def sources(folder: Path) -> list[Path]:
    return [folder / "model.c", folder / "weights.c"]


def array(name: str, data: Array) -> str:
    return f"static {array_definition(name, data)}"


def samples_and_outputs(graph: Graph, count: int, seed: int = 0) -> tuple[Array, Array]:
    """Inputs and outputs of consecutive runs of a model with one of each, samples first."""
    inputs = [sample[0] for sample in Model(graph).samples(count, seed)]
    state = initial_state(graph)
    outputs = [evaluate(graph, [x], state)[0] for x in inputs]
    return np.stack(inputs), np.stack(outputs)


@pytest.mark.parametrize("compiler", HOST_COMPILERS, ids=lambda c: c.name)
def test_two_models_and_two_instances_in_one_program(compiler: Compiler, tmp_path: Path) -> None:
    """Runs of two instances of a model with state and of another model take turns and don't disturb each other."""
    digits, total = demo().graph, running_sum()
    write_program(tmp_path / "digits", digits)
    write_program(tmp_path / "total", total)
    x, y = samples_and_outputs(digits, 4)
    (xa, ya), (xb, yb) = samples_and_outputs(total, 4, seed=1), samples_and_outputs(total, 4, seed=2)
    data = {"x": x, "y": y, "xa": xa, "ya": ya, "xb": xb, "yb": yb}
    main = f"""{PRELUDE}
#include "digits/model.h"
#include "total/model.h"
{"".join(array(name, values) for name, values in data.items())}
static uint8_t block_a[RUNNING_SUM_MEMORY_BYTES] CF_ALIGNED, block_b[RUNNING_SUM_MEMORY_BYTES] CF_ALIGNED;
int main(void)
{{
    digits_int8_t digits;
    running_sum_t a, b;
    CHECK(digits_int8_init(&digits, NULL, 0) == 0);
    CHECK(running_sum_init(&a, block_a, sizeof block_a) == 0);
    CHECK(running_sum_init(&b, block_b, sizeof block_b) == 0);
    for (int i = 0; i < 4; i++) {{
        memcpy(running_sum_input_0(&a), xa + 4 * i, RUNNING_SUM_INPUT_0_BYTES);
        memcpy(digits_int8_input_0(&digits), x + 64 * i, DIGITS_INT8_INPUT_0_BYTES);
        memcpy(running_sum_input_0(&b), xb + 4 * i, RUNNING_SUM_INPUT_0_BYTES);
        running_sum_run(&b);
        digits_int8_run(&digits);
        running_sum_run(&a);
        CHECK(memcmp(running_sum_output_0(&a), ya + 4 * i, RUNNING_SUM_OUTPUT_0_BYTES) == 0);
        CHECK(memcmp(running_sum_output_0(&b), yb + 4 * i, RUNNING_SUM_OUTPUT_0_BYTES) == 0);
        CHECK(memcmp(digits_int8_output_0(&digits), y + 10 * i, DIGITS_INT8_OUTPUT_0_BYTES) == 0);
    }}
    puts("all as expected");
    return 0;
}}
"""
    files = sources(tmp_path / "digits") + sources(tmp_path / "total")
    assert build_and_run(tmp_path, main, files, compiler=compiler) == "all as expected\n"


@pytest.mark.parametrize("initial", [(3, 3, 3, 3), (1, -2, 3, -4)], ids=["filled", "copied"])
def test_reset_restores_the_initial_state(initial: tuple[int, ...], tmp_path: Path) -> None:
    graph = running_sum(initial)
    write_program(tmp_path, graph)
    x, y = samples_and_outputs(graph, 3)
    main = f"""{PRELUDE}
#include "model.h"
{array("x", x)}{array("y", y)}
int main(void)
{{
    running_sum_t model;
    CHECK(running_sum_init(&model, NULL, 0) == 0);
    for (int round = 0; round < 3; round++) {{
        for (int i = 0; i < 3; i++) {{
            memcpy(running_sum_input_0(&model), x + 4 * i, 4);
            running_sum_run(&model);
            CHECK(memcmp(running_sum_output_0(&model), y + 4 * i, 4) == 0);
        }}
        if (round == 0) {{
            running_sum_reset(&model);
        }} else {{
            CHECK(running_sum_init(&model, NULL, 0) == 0);
        }}
    }}
    return 0;
}}
"""
    build_and_run(tmp_path, main, sources(tmp_path))


REFUSALS = """
    CHECK(digits_int8_init(&model, block, sizeof block) == 0);
    CHECK(model.memory == (uint8_t *)block);
    CHECK(digits_int8_init(&model, block, DIGITS_INT8_MEMORY_BYTES - 1) == DIGITS_INT8_MEMORY_BYTES);
    CHECK(digits_int8_init(&model, block, 0) == DIGITS_INT8_MEMORY_BYTES);
    for (size_t i = 1; i < DIGITS_INT8_ALIGNMENT; i++) {
        CHECK(digits_int8_init(&model, (uint8_t *)block + i, sizeof block - i) == -1);
    }
"""


@pytest.mark.parametrize("define", ["DIGITS_INT8_STATIC_MEMORY", "DIGITS_INT8_NO_STATIC_MEMORY"])
def test_memory_that_is_handed_in(define: str, tmp_path: Path) -> None:
    write_program(tmp_path, demo().graph)
    without = define.endswith("NO_STATIC_MEMORY")
    main = f"""{PRELUDE}
#include "model.h"
static uint64_t block[DIGITS_INT8_MEMORY_BYTES / 8 + 1];
int main(void)
{{
    digits_int8_t model;
{REFUSALS}
    CHECK(digits_int8_init(&model, NULL, 0) == {"DIGITS_INT8_MEMORY_BYTES" if without else "0"});
    return 0;
}}
"""
    build_and_run(tmp_path, main, sources(tmp_path), define)
    CLANG.run("-c", f"-D{define}", tmp_path / "model.c", "-o", tmp_path / "model.o")
    assert (b"digits_int8_memory" in (tmp_path / "model.o").read_bytes()) != without


def test_memory_may_hold_anything_before(tmp_path: Path) -> None:
    """No kernel relies on memory that nobody wrote."""
    graph = demo().graph
    write_program(tmp_path, graph)
    x, y = samples_and_outputs(graph, 1)
    main = f"""{PRELUDE}
#include "model.h"
{array("x", x)}{array("y", y)}
static uint8_t block[DIGITS_INT8_MEMORY_BYTES] CF_ALIGNED;
int main(void)
{{
    static const int fill[] = {{0, 0x5a, 0xff}};
    for (int i = 0; i < 3; i++) {{
        digits_int8_t model;
        memset(block, fill[i], sizeof block);
        CHECK(digits_int8_init(&model, block, sizeof block) == 0);
        memcpy(digits_int8_input_0(&model), x, sizeof x);
        digits_int8_run(&model);
        CHECK(memcmp(digits_int8_output_0(&model), y, sizeof y) == 0);
    }}
    return 0;
}}
"""
    build_and_run(tmp_path, main, sources(tmp_path))


def macro_checks(program: Program) -> str:
    upper = program.name.upper()
    lines: list[str] = [f"CHECK({upper}_MEMORY_BYTES == {program.memory_bytes});"]
    for kind, values in (("INPUT", program.graph.inputs), ("OUTPUT", program.graph.outputs)):
        lines.append(f"CHECK({upper}_{kind}S == {len(values)});")
        for i, value in enumerate(values):
            p = f"{upper}_{kind}_{i}"
            lines += [
                f"CHECK(strcmp({p}_NAME, {string(value.name)}) == 0);",
                f"CHECK(sizeof({p}_TYPE) == {value.dtype.bytes} && {p}_RANK == {len(value.shape)});",
                f"CHECK({p}_COUNT == {value.type.size} && {p}_BYTES == {value.type.nbytes});",
                f"{{ const int shape[] = {p}_SHAPE; CHECK(sizeof shape / sizeof *shape == {max(1, len(value.shape))});",
                *(f"CHECK(shape[{axis}] == {n});" for axis, n in enumerate(value.shape)),
                "}",
            ]
            if not value.dtype.is_float:
                bits = int(np.float32(value.q.s).view(np.uint32))
                lines += [
                    f"{{ const float scale = {p}_SCALE; uint32_t bits; memcpy(&bits, &scale, 4);",
                    f"CHECK(bits == {bits}u && {p}_ZERO_POINT == {value.q.zp}); }}",
                ]
    return "\n    ".join(lines)


@pytest.mark.parametrize("kind", ["int8", "float"])
def test_macros_tell_the_truth(kind: str, tmp_path: Path) -> None:
    program = write_program(tmp_path, demo(kind).graph, name="digits")
    main = f'{PRELUDE}\n#include "model.h"\nint main(void)\n{{\n    {macro_checks(program)}\n    return 0;\n}}\n'
    build_and_run(tmp_path, main, sources(tmp_path))


NAMES = [
    "int",
    "double",
    "uint8",
    "size",
    "cf",
    "chipfit",
    "1st model",
    "Ünïcödé 模型",
    'say "hi"',
    "end */ of comment /* again",
    "what??/ ever ??)",
    "a" * 300,
    "back\\slash\\",
    "new\nline\x00\t",
    "%s {0} {name}",
    "__",
    "",
]


@pytest.mark.parametrize("name", NAMES, ids=lambda n: ascii(n)[:20])
def test_names_of_any_kind_become_valid_c(name: str, tmp_path: Path) -> None:
    """As the name of the model and of every tensor; the macro with a tensor's name gives that name back."""
    graph = two_equal_layers(name, f"{name}|in", f"{name}|layer", f"{name}|out")
    program = write_program(tmp_path, graph)
    assert program.name.isascii()
    assert len(program.name) < 64
    x, y = samples_and_outputs(graph, 1)
    p, upper = program.name, program.name.upper()
    expected = np.frombuffer(f"{name}|in".encode("utf-8", "replace"), np.uint8)
    main = f"""#include <math.h>
#include <stdlib.h>
#include <time.h>
{PRELUDE}
#include "model.h"
{array("x", x)}{array("y", y)}{array("name", expected)}
int main(void)
{{
    {p}_t model;
    CHECK({p}_init(&model, NULL, 0) == 0);
    CHECK(sizeof {upper}_INPUT_0_NAME == sizeof name + 1);
    CHECK(memcmp({upper}_INPUT_0_NAME, name, sizeof name) == 0);
    memcpy({p}_input_0(&model), x, sizeof x);
    {p}_run(&model);
    CHECK(memcmp({p}_output_0(&model), y, sizeof y) == 0);
    return 0;
}}
"""
    build_and_run(tmp_path, main, sources(tmp_path))


def test_equal_constants_are_stored_once(tmp_path: Path) -> None:
    program = write_program(tmp_path, two_equal_layers("twice", "x", "a", "y"))
    weights = [c for c in program.constants if c.data.shape == (4, 8)]
    assert len(weights) == 1
    text = (tmp_path / "model.c").read_text()
    assert text.count(f"{weights[0].symbol},") + text.count(f"{weights[0].symbol})") == 2
    assert (tmp_path / "weights.c").read_text().count(f"const int8_t {weights[0].symbol}[32]") == 1
