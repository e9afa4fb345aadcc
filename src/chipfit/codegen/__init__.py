"""Code generation: a graph becomes C that allocates nothing."""

from chipfit.codegen.lower import ConstArray, Program, Step, lower
from chipfit.codegen.project import read_manifest, source_files, staged_folder, write_files

__all__ = ["ConstArray", "Program", "Step", "lower", "read_manifest", "source_files", "staged_folder", "write_files"]
