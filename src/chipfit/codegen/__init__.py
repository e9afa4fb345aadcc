"""Code generation: a graph becomes C that allocates nothing."""

from chipfit.codegen.fit import Goal
from chipfit.codegen.lower import lower
from chipfit.codegen.memory import Bundle, share
from chipfit.codegen.model import entry_function
from chipfit.codegen.program import ConstArray, Program, Step
from chipfit.codegen.project import holds_several, read_manifest, source_files, staged_folder, write_files

__all__ = [
    "Bundle",
    "ConstArray",
    "Goal",
    "Program",
    "Step",
    "entry_function",
    "holds_several",
    "lower",
    "read_manifest",
    "share",
    "source_files",
    "staged_folder",
    "write_files",
]
