"""Who may import whom, read from the source without running it.

``errors, fixedpoint -> graph -> ops -> importers | exporters | passes | quantize | plan -> codegen``; boards and the
emulator know nothing of models; both meet in the program interface. Parts of one layer don't import each other.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

import chipfit

SOURCE = Path(chipfit.__file__).parent

# For each part of the package, which others it may import. Nothing else is allowed.
GROUND = {"errors", "fixedpoint"}
MODEL = GROUND | {"graph", "ops"}
FIGURES = {"report.data", "report.info"}
RUN = {"samples", "firmware", "codegen", "emulate", "targets"}
MAY_IMPORT: dict[str, set[str]] = {
    "errors": set(),
    "fixedpoint": set(),
    "apart": {"errors"},
    "files": {"errors"},
    "graph": GROUND,
    "ethosu": GROUND,
    "ops": GROUND | {"ethosu", "graph"},
    "importers": MODEL | {"apart"},
    "recurrent": MODEL,
    "exporters": MODEL | {"recurrent"},
    "passes": MODEL | {"recurrent"},
    "quantize": MODEL,
    "plan": MODEL,
    "interpret": MODEL,
    "oracle": {"apart", "graph"},
    "codegen": MODEL | {"plan"},
    "targets": {"errors"},
    "emulate": {"errors", "ethosu", "targets"},
    "npu": MODEL
    | {"apart", "codegen", "ethosu", "exporters", "interpret", "model", "passes", "samples", "targets"}
    | FIGURES,
    # the figures that all of the interface speaks in, and their texts, which nothing below the command line needs
    "report.data": MODEL,
    "report.info": {"errors", "plan", "report.data"},
    "samples": MODEL | FIGURES,
    "firmware": {"errors", "graph", "codegen", "emulate", "targets", "samples"} | FIGURES,
    "firmware_set": {"errors", "codegen", "emulate", "firmware", "samples"} | FIGURES,
    "memories": MODEL | {"codegen", "plan", "targets"},
    "build": MODEL | RUN | FIGURES | {"memories", "plan"},
    "model": MODEL
    | {"build", "firmware", "importers", "interpret", "passes", "recurrent", "samples"}
    | {"targets"}
    | FIGURES,
    "bundle": {"errors", "build", "codegen", "emulate", "firmware_set", "memories", "model", "targets"} | FIGURES,
    "metadata": {"errors", "importers", "model", "quantize"},
    "quantization": MODEL
    | {
        "files",
        "build",
        "exporters",
        "importers",
        "metadata",
        "model",
        "oracle",
        "quantize",
        "recurrent",
        "samples",
        "targets",
    }
    | FIGURES,
    "evaluation": MODEL
    | {"emulate", "exporters", "importers", "metadata", "model", "npu", "oracle", "quantization", "quantize", "targets"}
    | FIGURES,
    # what a project is filled in with
    "projects": MODEL | {"codegen", "evaluation", "quantize", "samples", "targets"} | FIGURES,
    "project": {
        "__init__",
        "errors",
        "build",
        "codegen",
        "emulate",
        "exporters",
        "firmware",
        "graph",
        "importers",
        "metadata",
        "model",
        "npu",
        "ops",
        "oracle",
        "projects",
        "quantize",
    }
    | {"targets", "verification"}
    | FIGURES,
    "streaming": MODEL | {"exporters", "interpret", "model", "passes"} | FIGURES,
    "training": {"errors", "files", "graph", "evaluation", "exporters", "importers", "metadata", "model", "quantize"}
    | FIGURES,
    # a graph learns: what a graph is and how it is quantized, in the loop of training
    "trainable": MODEL | {"model", "quantization", "quantize", "training"},
    "interpreter": {"errors", "graph", "build", "emulate", "interpret", "model"},
    "verification": {"errors", "graph", "exporters", "importers", "passes", "build", "model", "npu", "oracle"}
    | {"samples", "targets"}
    | FIGURES,
    "inspection": MODEL | {"build", "codegen", "model", "plan", "targets"} | FIGURES,
    "weights": {"errors", "firmware", "model", "targets"} | FIGURES,
    "bench": {"errors", "build", "firmware", "model", "targets", "verification"} | FIGURES,
    "kmodel": MODEL | {"files", "interpret", "plan", "quantize", "samples"} | FIGURES,
    "k210": MODEL
    | {"files", "exporters", "kmodel", "metadata", "model", "passes", "quantization", "quantize", "targets"}
    | FIGURES,
    "maixpy": {"__init__", "errors", "codegen", "kmodel", "projects", "targets"} | FIGURES,
    "catalog": {"errors", "ops", "targets"} | FIGURES,
    "doctor": {"emulate"} | FIGURES,
    "deployment": {
        "errors",
        "files",
        "graph",
        "build",
        "evaluation",
        "firmware",
        "importers",
        "memories",
        "metadata",
        "model",
    }
    | {"files", "project", "projects", "quantization", "quantize", "samples", "targets", "training", "verification"}
    | FIGURES,
    "search": {"errors", "build", "compress", "deployment", "evaluation", "metadata", "model", "quantize", "targets"}
    | {"trainable", "training"}
    | FIGURES,
    # graphs are made smaller, learn again, and are judged as what would be deployed
    "compress": MODEL
    | {"build", "deployment", "evaluation", "exporters", "metadata", "model", "quantization", "quantize", "samples"}
    | {"targets", "trainable", "training"}
    | FIGURES,
    "comparison": {"errors", "build", "compress", "deployment", "evaluation", "files", "graph", "importers", "metadata"}
    | {"model", "quantization", "quantize", "search", "targets", "training"}
    | FIGURES,
    "flashing": {"errors", "targets"} | FIGURES,
    "demo": {"errors", "graph", "codegen", "firmware", "model"} | FIGURES,
    "report": {
        "errors",
        "graph",
        "bench",
        "comparison",
        "compress",
        "deployment",
        "evaluation",
        "k210",
        "kmodel",
        "maixpy",
        "flashing",
        "npu",
        "plan",
        "quantization",
        "quantize",
        "search",
        "streaming",
        "training",
    }
    | FIGURES,
}
# the command line, its entry point and the list of public names may import anything
FREE = {"cli", "__main__", "__init__"}
# the only imports inside of functions that would be against the direction otherwise, each with its reason
LATE = {
    ("training", "trainable"): "train --qat goes on with a graph that learns, in the loop of training",
    ("model", "inspection"): "Model.memory is a short form of chipfit.inspection.memory_report",
    ("model", "npu"): "Model.compile goes through Vela on a board with an NPU",
    ("model", "verification"): "Model.verify is a short form of chipfit.verify",
}

HEAVY = {
    "ai_edge_litert": {"importers", "exporters"},
    "flatbuffers": {"importers", "exporters"},
    "unicorn": {"emulate"},
    "capstone": {"emulate"},
    "elftools": {"emulate"},
    "typer": {"cli"},
    "jinja2": {"projects"},
    "rich": {"cli", "report"},
    "tflite_micro": set[str](),
    "tensorflow": set[str](),
    "torch": set[str](),
    "onnx": set[str](),
    "keras": {"importers"},
    "h5py": {"importers"},
    "matplotlib": set[str](),
    "optuna": set[str](),
    "ray": set[str](),
}


def part_of(module: str) -> str:
    """``chipfit.ops.conv2d`` is of ``ops``, ``chipfit.report.data`` a part of its own."""
    names = module.split(".")[1:]
    if not names:
        return "__init__"
    joined = ".".join(names[:2])
    return joined if joined in MAY_IMPORT else names[0]


@cache
def modules() -> list[tuple[str, Path]]:
    files = sorted(p for p in SOURCE.rglob("*.py"))
    names = [".".join(("chipfit", *p.relative_to(SOURCE).with_suffix("").parts)) for p in files]
    return [(name.removesuffix(".__init__"), path) for name, path in zip(names, files, strict=True)]


def imports(tree: ast.AST, in_function: bool = False) -> Iterator[tuple[str, bool]]:
    """Imported modules, and whether inside of a function. What only a type checker reads is left out."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, in_function) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports name their module in full"
            inner = [f"{node.module}.{alias.name}" for alias in node.names]
            known = dict(modules())
            yield from ((name if name in known else str(node.module), in_function) for name in inner)
        elif isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        else:
            function = isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))
            yield from imports(node, in_function or function)


def all_imports() -> list[tuple[str, str, bool]]:
    """Module, what it imports, and whether inside of a function."""
    return [
        (name, target, late)
        for name, path in modules()
        for target, late in imports(ast.parse(path.read_text(encoding="utf-8")))
    ]


IMPORTS = all_imports()


def test_every_part_has_a_rule() -> None:
    parts = {part_of(name) for name, _ in modules()}
    assert parts <= set(MAY_IMPORT) | FREE


@pytest.mark.parametrize("part", sorted(MAY_IMPORT))
def test_direction(part: str) -> None:
    wrong = {
        f"{module} imports {target}"
        for module, target, late in IMPORTS
        if part_of(module) == part and target.split(".")[0] == "chipfit"
        if part_of(target) not in MAY_IMPORT[part] | {part}
        if not (late and (part, part_of(target)) in LATE)
    }
    assert not wrong


def test_rules_have_no_circles() -> None:
    """The table itself is an order: what may be imported comes before."""
    left = {part: set(others) - {part} for part, others in MAY_IMPORT.items()}
    while left:
        ready = {part for part, others in left.items() if not others & left.keys()}
        assert ready, f"these import each other: {sorted(left)}"
        left = {part: others for part, others in left.items() if part not in ready}


def test_exceptions_are_needed() -> None:
    seen = {(part_of(module), part_of(target)) for module, target, late in IMPORTS if late}
    assert seen >= LATE.keys()


@pytest.mark.parametrize("package", sorted(HEAVY))
def test_heavy_packages_stay_in_their_rooms(package: str) -> None:
    wrong = {
        module
        for module, target, late in IMPORTS
        if target.split(".")[0] == package and not late
        if part_of(module) not in HEAVY[package]
    }
    assert not wrong


def test_operators_know_no_other_operator() -> None:
    """A file of one operator imports helpers (``_name``) only."""
    public = {
        name for name, _ in modules() if name.startswith("chipfit.ops.") and not name.split(".")[-1].startswith("_")
    }
    wrong = {f"{module} imports {target}" for module, target, _ in IMPORTS if target in public and module in public}
    assert not wrong


def test_nothing_heavy_is_needed_for_help() -> None:
    """``import chipfit`` loads no other module of the package, and none of the heavy ones."""
    early = {target for module, target, late in IMPORTS if module == "chipfit" and not late}
    assert not {t for t in early if t.split(".")[0] in {"chipfit", "numpy", *HEAVY}}
