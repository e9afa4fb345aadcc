"""C text of a program's memory: macros of its sizes, the static blocks, and how an instance is bound to them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from chipfit.codegen import ctext
from chipfit.codegen.program import MemoryBlock, Program, Symbols
from chipfit.ops.ethos_u import MEMORY_ALIGNMENT
from chipfit.plan import ALIGNMENT

BUNDLE = "models"
"""The name of several models together; none of them is called so."""

SECTIONS = """/* In which memory of the board something lies: its linker script has a section of that name.
 * Define CF_IN(name) as nothing where it has none. */
#ifndef CF_IN
#if defined(__ELF__)
#define CF_IN(name) __attribute__((section(name)))
#else
#define CF_IN(name)
#endif
#endif
"""


@dataclass(frozen=True)
class Bundle:
    """What is printed together: one program, or several. ``shares_arena``: they never run at once, and use the same
    memory one after the other; only variables are each one's own."""

    programs: tuple[Program, ...]
    shares_arena: bool = False

    @property
    def name(self) -> str:
        """How what belongs to all of them begins."""
        return self.programs[0].name if len(self.programs) == 1 else BUNDLE

    @property
    def title(self) -> str:
        """The models in words, fit for a comment."""
        names = ", ".join(f"'{ctext.comment(program.graph.name)}'" for program in self.programs)
        return f"{'model' if len(self.programs) == 1 else 'models'} {names}"

    @property
    def has_flash_apart(self) -> bool:
        """Whether constants in flash are named as such."""
        return any(program.has_flash_apart for program in self.programs)

    @property
    def alignment(self) -> int:
        """Of constants, bytes: word loads reach whole words; an NPU counts from multiples of 16."""
        kernels = {name for program in self.programs for step in program.steps for name in step.kernel_names}
        return MEMORY_ALIGNMENT if "cf_ethos_u" in kernels else 8

    @property
    def uses_sections(self) -> bool:
        """Whether anything lies elsewhere than what the compiler places by itself."""
        return any(
            any(c.memory for c in program.constants) or any(_section(program, block) for block in program.blocks)
            for program in self.programs
        )

    @property
    def arenas(self) -> dict[str | None, int]:
        """Bytes of the shared arena in each memory: the most that any of the programs has there."""
        sizes: dict[str | None, int] = {}
        for program in self.programs:
            for block in program.blocks:
                if block.arena or not program.has_state_apart:
                    sizes[block.memory] = max(sizes.get(block.memory, 0), block.arena)
        return sizes

    def no_static(self, program: Program) -> str:
        """The macro that leaves a program's static memory out."""
        return f"{(BUNDLE if self.shares_arena else program.name).upper()}_NO_STATIC_MEMORY"

    def symbol(self, program: Program, index: int) -> str:
        """The static block that stands for one of a program's blocks."""
        block = program.blocks[index]
        if self.shares_arena:
            return f"{program.name}_state" if is_state(block) else _arena_symbol(block.memory)
        return f"{program.name}_memory{f'_{index}' if len(program.blocks) > 1 else ''}"


def is_state(block: MemoryBlock) -> bool:
    """Whether a block holds variables alone."""
    return block.arena == 0 and block.state > 0


def _arena_symbol(memory: str | None) -> str:
    return f"{BUNDLE}_arena{f'_{memory}' if memory else ''}"


def _section(program: Program, block: MemoryBlock) -> str:
    """The attribute that sends a block to its memory; empty where it goes there by itself."""
    return f' CF_IN(".{block.memory}")' if block.memory not in (None, program.home) else ""


def static_memory(bundle: Bundle) -> str:
    """Definitions of the static blocks."""
    if not bundle.shares_arena:
        texts = (
            _guarded(bundle.no_static(p), [_definition(p, b, bundle.symbol(p, i)) for i, b in enumerate(p.blocks)])
            for p in bundle.programs
        )
        return "\n".join(texts)
    first = bundle.programs[0]
    arenas = [
        _definition(first, MemoryBlock(memory, size, 0), _arena_symbol(memory))
        for memory, size in bundle.arenas.items()
    ]
    states = [
        _definition(p, block, bundle.symbol(p, i))
        for p in bundle.programs
        for i, block in enumerate(p.blocks)
        if is_state(block)
    ]
    return _guarded(bundle.no_static(first), [*arenas, *states])


def _guarded(macro: str, lines: Sequence[str]) -> str:
    return f"#ifndef {macro}\n{''.join(lines)}#endif\n"


def _definition(program: Program, block: MemoryBlock, symbol: str) -> str:
    return f"static uint8_t {symbol}[{max(block.bytes, 1)}] CF_ALIGNED{_section(program, block)};\n"


def share(programs: Sequence[Program], *, arena: bool) -> Bundle:
    """Programs that are printed together: equal constants get one symbol; with ``arena`` they use one arena in turn."""
    known = Symbols()
    for program in programs:
        program.has_state_apart = arena
        program.share_constants(known)
    return Bundle(tuple(programs), arena)


def memory_macros(program: Program) -> str:
    upper, plan, blocks = program.name.upper(), program.plan, program.blocks
    what = "init needs in one block" if len(blocks) == 1 else "init needs, in all blocks together"
    text = (
        f"/* RAM in bytes: activations and scratch; state that survives a run; what {what} */\n"
        f"#define {upper}_ARENA_BYTES {plan.arena_bytes}u\n"
        f"#define {upper}_STATE_BYTES {plan.state_bytes}u\n"
        f"#define {upper}_MEMORY_BYTES {program.memory_bytes}u\n"
        f"#define {upper}_ALIGNMENT {ALIGNMENT}u\n"
    )
    if len(blocks) == 1:
        return text
    text += (
        "\n/* Each block: activations and scratch in it, what init needs, the board's memory for it */\n"
        f"#define {upper}_BLOCKS {len(blocks)}\n"
    )
    for i, block in enumerate(blocks):
        text += (
            f"#define {upper}_ARENA_{i}_BYTES {block.arena}u\n"
            f"#define {upper}_MEMORY_{i}_BYTES {block.bytes}u\n"
            f"#define {upper}_MEMORY_{i}_NAME {ctext.string(block.memory or 'ram')}\n"
        )
    return text


def bundle_macros(bundle: Bundle) -> str:
    """What holds for all models of a header."""
    if not bundle.shares_arena:
        return ""
    names = ", ".join(program.name for program in bundle.programs)
    return (
        f"/* One arena serves {names}: the static one, or one of your own. What a model has in it, inputs and outputs\n"
        " * included, is lost when another one's inputs are written or it runs. State is not: each has its own. */\n"
        f"#define {BUNDLE.upper()}_ARENA_BYTES {sum(bundle.arenas.values())}u\n"
    )


def instance_memory(program: Program) -> str:
    """The member of an instance that says where its memory is."""
    upper = program.name.upper()
    if len(program.blocks) == 1:
        return f"    uint8_t *memory; /* {upper}_MEMORY_BYTES bytes: arena, then state */\n"
    return f"    uint8_t *memory[{upper}_BLOCKS]; /* {upper}_MEMORY_0_BYTES bytes, and so on */\n"


def init_declaration(bundle: Bundle, program: Program) -> str:
    p, upper, macro = program.name, program.name.upper(), bundle.no_static(program)
    own = "the static memory" if bundle.shares_arena else "the model's own static"
    if len(program.blocks) == 1:
        own = own if bundle.shares_arena else f"{own} block"
        return f"""/* Bind an instance to its memory and reset its state.
 *
 * memory: a block of at least {upper}_MEMORY_BYTES bytes, aligned to {upper}_ALIGNMENT, that stays yours; or NULL for
 * {own} (one instance only; compiled out by defining {macro}).
 * Returns 0, or the number of bytes needed if the block is too small or absent, or -1 if it is not aligned.
 */
int32_t {p}_init({p}_t *model, void *memory, size_t bytes);
"""
    own = own if bundle.shares_arena else f"{own} blocks"
    return f"""/* Bind an instance to its memory and reset its state.
 *
 * memory, bytes: {upper}_BLOCKS blocks and their sizes. Block 0 has at least {upper}_MEMORY_0_BYTES bytes,
 * and so on; each is aligned to {upper}_ALIGNMENT and stays yours. Or NULL for {own} (one instance only;
 * compiled out by defining {macro}).
 * Returns 0, or the number of bytes that the first block needs which is too small or absent, or -1 if one is not
 * aligned.
 */
int32_t {p}_init({p}_t *model, void *const *memory, const size_t *bytes);
"""


def init_function(bundle: Bundle, program: Program) -> str:
    return (_init_one if len(program.blocks) == 1 else _init_several)(bundle, program)


def _init_one(bundle: Bundle, program: Program) -> str:
    p, upper, symbol = program.name, program.name.upper(), bundle.symbol(program, 0)
    return f"""int32_t {p}_init({p}_t *model, void *memory, size_t bytes)
{{
#ifndef {bundle.no_static(program)}
    if (memory == NULL) {{
        memory = {symbol};
        bytes = sizeof {symbol};
    }}
#endif
    if (memory == NULL || bytes < {upper}_MEMORY_BYTES) {{
        return (int32_t){upper}_MEMORY_BYTES;
    }}
    if (((uintptr_t)memory & ({upper}_ALIGNMENT - 1u)) != 0u) {{
        return -1;
    }}
    model->memory = (uint8_t *)memory;
    {p}_reset(model);
    return 0;
}}
"""


def _init_several(bundle: Bundle, program: Program) -> str:
    p, upper, count = program.name, program.name.upper(), len(program.blocks)
    needed = ", ".join(f"{upper}_MEMORY_{i}_BYTES" for i in range(count))
    symbols = ", ".join(bundle.symbol(program, i) for i in range(count))
    return f"""int32_t {p}_init({p}_t *model, void *const *memory, const size_t *bytes)
{{
    static const size_t needed[{upper}_BLOCKS] = {{{needed}}};
#ifndef {bundle.no_static(program)}
    void *const blocks[{upper}_BLOCKS] = {{{symbols}}};
    if (memory == NULL) {{
        memory = blocks;
        bytes = needed;
    }}
#endif
    for (int i = 0; i < {upper}_BLOCKS; i++) {{
        if (memory == NULL || memory[i] == NULL || bytes[i] < needed[i]) {{
            return (int32_t)needed[i];
        }}
        if (((uintptr_t)memory[i] & ({upper}_ALIGNMENT - 1u)) != 0u) {{
            return -1;
        }}
        model->memory[i] = (uint8_t *)memory[i];
    }}
    {p}_reset(model);
    return 0;
}}
"""
