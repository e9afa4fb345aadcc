"""Kernels on an AVR: cases one by one in straight code, since tables would lie in its small RAM."""

from __future__ import annotations

from pathlib import Path

from chipfit.emulate import build_elf, run_elf
from chipfit.emulate.toolchain import PORT
from chipfit.ops._flash import AVR_HEADER
from chipfit.targets import Board
from ops import bundle


def avr_main(cases: list[bundle.Case]) -> str:
    """``main``: for each case fill the memory, read the inputs, run, check the guards, write the outputs."""
    memory = max(c.program.memory_bytes for c in cases) + 2 * bundle.GUARD
    bodies = "".join(_case(case) for case in cases)
    return f"""#include "cf_port.h"
static uint8_t memory[{memory}];
static int broken(int at)
{{
    int bad = 0;
    for (int i = 0; i < {bundle.GUARD}; i++) {{
        bad |= memory[at + i] != {bundle.FILL};
    }}
    return bad;
}}
int main(void)
{{
    int bad = 0;
{bodies}    return bad;
}}
"""


def _case(case: bundle.Case) -> str:
    offsets, graph, size = case.program.plan.offsets, case.program.graph, case.program.memory_bytes
    place = [f"memory + {bundle.GUARD + offsets[v]}, {v.type.nbytes}" for v in (*graph.inputs, *graph.outputs)]
    reads = "".join(f"    cf_port_read({text});\n" for text in place[: len(graph.inputs)])
    writes = "".join(f"    cf_port_write({text});\n" for text in place[len(graph.inputs) :])
    return (
        f"    memset(memory, {bundle.FILL}, {size + 2 * bundle.GUARD});\n{reads}"
        f"    {case.program.name}_all(memory + {bundle.GUARD});\n"
        f"    bad += broken(0) + broken({bundle.GUARD + size});\n{writes}"
    )


def wrong_on_avr(cases: list[bundle.Case], board: Board, folder: Path, cc: str | None = None) -> list[str]:
    """What the kernels get wrong on the emulated chip."""
    source, elf = folder / "bundle.c", folder / "bundle.elf"
    source.write_text(f'#include "{AVR_HEADER}"\n{bundle.bundle_source(cases)}{avr_main(cases)}')
    build_elf([source], [*bundle.include_dirs(), PORT], board, elf, stack_bytes=board.stack_bytes, cc=cc)
    result = run_elf(elf, board, stdin=b"".join(c.stdin for c in cases))
    wrong = [] if result.exit_code == 0 else ["wrote outside of its memory"]
    at = 0
    for case in cases:
        size = sum(e.nbytes for e in case.expected)
        text = bundle.compare(case, bundle.split_outputs(case, result.output[at : at + size]))
        wrong += [text] if text else []
        at += size
    return wrong
