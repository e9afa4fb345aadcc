"""Many one-node graphs as one C program: the way the generic tests hold kernels against ``eval_int``."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from chipfit.codegen import ctext
from chipfit.codegen.layers import layer_functions
from chipfit.codegen.lower import assemble
from chipfit.codegen.program import Program
from chipfit.codegen.project import runtime_folder
from chipfit.graph import Array, Node
from chipfit.interpret import initial_state, trace
from chipfit.ops import Choice, Kernel, graph_of, op_of, random_input

GUARD = 64
"""Bytes before and after the memory of a case that must stay as they were."""

FILL = 0xA5


@dataclass(frozen=True)
class Case:
    """One node with inputs, what the reference makes of them, and the program that must do the same."""

    node: Node
    program: Program
    inputs: tuple[Array, ...]
    expected: tuple[Array, ...]
    label: str

    @property
    def stdin(self) -> bytes:
        return b"".join(np.ascontiguousarray(x).tobytes() for x in self.inputs)


ALL_FEATURES = frozenset({"dsp", "fpu", "unaligned", "mulh", "mla", "thumb1", "avr"})
"""These kernels have a meaning in plain C: on the host all of them run. Those for ``mve`` have none: test_helium.py."""


def make_cases(
    nodes: list[Node], features: frozenset[str], seed: int, draws: int = 2, per_kernel: int | None = None
) -> list[Case]:
    """``draws`` random inputs for each node and each kernel that a core with these features can run it with.

    ``per_kernel``: so many nodes for each kernel, evenly spread over all there are.
    """
    if per_kernel is not None:
        nodes = spread_nodes(nodes, features, per_kernel)
    rng = np.random.default_rng(seed)
    cases: list[Case] = []
    for i, node in enumerate(nodes):
        graph = graph_of(node)
        graph.verify()
        drawn = [tuple(random_input(rng, v.type) for v in graph.inputs) for _ in range(draws)]
        values = [trace(graph, inputs, initial_state(graph)) for inputs in drawn]
        for k, kernel in enumerate(usable_kernels(node, features)):
            choices = [Choice(kernel if n is node else op_of(n).choose(n, features).kernel) for n in graph.nodes]
            apart = "harvard" in features
            program = assemble(graph, graph.nodes, choices, f"case{i}_{k}", {}, has_flash_apart=apart)
            label = f"#{i} {node.op} {kernel.title}"
            cases += [
                Case(node, program, inputs, tuple(v[y] for y in graph.outputs), label)
                for inputs, v in zip(drawn, values, strict=True)
            ]
    return cases


def spread_nodes(nodes: list[Node], features: frozenset[str], per_kernel: int) -> list[Node]:
    """Nodes such that each kernel meets at least that many, if there are, spread evenly over all it can run."""
    able: dict[str, list[int]] = {}
    for i, node in enumerate(nodes):
        for kernel in usable_kernels(node, features):
            able.setdefault(kernel.title, []).append(i)
    chosen = {indices[k * len(indices) // per_kernel] for indices in able.values() for k in range(per_kernel)}
    return [nodes[i] for i in sorted(chosen)]


def usable_kernels(node: Node, features: frozenset[str]) -> list[Kernel]:
    candidates = op_of(node).candidates(node)
    return [k for k in candidates if k.reason_against(node, features, math.inf, shared=k.compact) is None]


def bundle_source(cases: list[Case]) -> str:
    """C text with one function ``<case>_all(memory)`` for each distinct program."""
    programs = list({id(c.program): c.program for c in cases}.values())
    kernels = sorted({name for p in programs for s in p.steps for name in s.kernel_names})
    text = [
        "#include <stddef.h>\n#include <stdint.h>\n#include <string.h>\n#define CF_ALIGNED __attribute__((aligned(8)))"
    ]
    text += [f'#include "{name}.h"' for name in kernels]
    text.append("#define CF_LAYER static __attribute__((noinline))")
    for program in programs:
        layers = layer_functions(program)
        constants = [ctext.array_definition(c.symbol, c.data, space=c.space) for c in program.constants]
        text += [f"static {definition}" for definition in constants] + layers
        calls = "".join(f"    {s.function}(memory);\n" for s in program.steps) or "    (void)memory;\n"
        text.append(
            f"void {program.name}_all(uint8_t *memory);\nvoid {program.name}_all(uint8_t *memory)\n{{\n{calls}}}\n"
        )
    return "\n".join(text)


def include_dirs() -> list[Path]:
    return [runtime_folder() / "kernels", runtime_folder() / "include"]


Span = tuple[int, int, int]
"""Where an operand lies, its bytes, and 1 for an output."""


def case_table(cases: list[Case]) -> str:
    """C text of ``cases``: what a ``main`` runs one after the other."""
    rows: list[tuple[str, int, list[Span]]] = []
    for case in cases:
        offsets, graph = case.program.plan.offsets, case.program.graph
        spans = [(offsets[v], v.type.nbytes, 0) for v in graph.inputs]
        spans += [(offsets[v], v.type.nbytes, 1) for v in graph.outputs]
        rows.append((f"{case.program.name}_all", case.program.memory_bytes, spans))
    return table_text(rows)


def table_text(rows: list[tuple[str, int, list[Span]]]) -> str:
    """``cases`` of functions, bytes of memory, and operands: the inputs first.

    A table, since a compiler takes half a minute for a ``main`` with statements of their own for some hundred cases.
    """
    text = [
        "typedef struct {\n    int32_t at, bytes, output;\n} span; /* inputs, outputs, and the end: -1 bytes */",
        "typedef struct {\n    void (*all)(uint8_t *);\n    int32_t bytes;\n    const span *spans;\n} test_case;",
    ]
    for i, (_, _, spans) in enumerate(rows):
        items = ", ".join(f"{{{at}, {nbytes}, {output}}}" for at, nbytes, output in [*spans, (0, -1, 1)])
        text.append(f"static const span spans_{i}[] = {{{items}}};")
    items = ",\n".join(f"    {{{function}, {nbytes}, spans_{i}}}" for i, (function, nbytes, _) in enumerate(rows))
    return "\n".join([*text, f"static const test_case cases[] = {{\n{items}\n}};\n"])


def chip_main(cases: list[Case]) -> str:
    """``main`` for an emulated core: for each case read the inputs, run, check the guards, write the outputs."""
    memory = max(c.program.memory_bytes for c in cases) + 2 * GUARD
    return f"""#include "cf_port.h"
{case_table(cases)}
static uint8_t memory[{memory}] CF_ALIGNED;
static int guard_broken(const uint8_t *p)
{{
    for (int i = 0; i < {GUARD}; i++) {{
        if (p[i] != {FILL}) {{
            return 1;
        }}
    }}
    return 0;
}}
int main(void)
{{
    int bad = 0;
    for (int i = 0; i < {len(cases)}; i++) {{
        const int32_t bytes = cases[i].bytes;
        const span *s = cases[i].spans;
        memset(memory, {FILL}, (size_t)bytes + {2 * GUARD});
        for (; !s->output; s++) {{
            cf_port_read(memory + {GUARD} + s->at, (size_t)s->bytes);
        }}
        cases[i].all(memory + {GUARD});
        bad += guard_broken(memory) + guard_broken(memory + {GUARD} + bytes);
        for (; s->bytes >= 0; s++) {{
            cf_port_write(memory + {GUARD} + s->at, (size_t)s->bytes);
        }}
    }}
    cf_port_print(bad ? "guards broken\\n" : "{len(cases)} cases\\n");
    return bad;
}}
"""


def compare(case: Case, actual: tuple[Array, ...], tolerance: float = 1e-5) -> str | None:
    """None if the outputs are the reference's: byte for byte, floats within ``tolerance`` of the largest element."""
    for expected, got in zip(case.expected, actual, strict=True):
        if expected.dtype.kind == "f":
            with np.errstate(invalid="ignore"):
                greatest = float(np.abs(expected[np.isfinite(expected)]).max(initial=0))
                near = np.abs(expected - got) <= tolerance * max(1e-30, greatest)
            same = bool(np.all(near | (expected == got) | (np.isnan(expected) & np.isnan(got))))
        else:
            same = expected.tobytes() == got.tobytes()
        if not same:
            where = np.argwhere(expected != got)[0]
            at = tuple(int(k) for k in where)
            return f"{case.label}: at {at} expected {expected[at]}, got {got[at]}"
    return None


def split_outputs(case: Case, raw: bytes) -> tuple[Array, ...]:
    arrays: list[Array] = []
    at = 0
    for expected in case.expected:
        part = raw[at : at + expected.nbytes]
        arrays.append(np.frombuffer(part, expected.dtype).reshape(expected.shape))
        at += expected.nbytes
    return tuple(arrays)
