"""Names of outputs, from the way in which a model returns them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any


def output_names(program: Any) -> list[str]:
    """Of the outputs of an exported program that are tensors, in order."""
    kinds = [spec for spec in program.graph_signature.output_specs if spec.kind.name == "USER_OUTPUT"]
    structure = program.call_spec.out_spec.unflatten(range(len(kinds)))
    return named(structure, [hasattr(spec.arg, "value") for spec in kinds])


def named(structure: Any, is_constant: list[bool]) -> list[str]:
    """``structure``: nested containers, whose leaves are the numbers of the outputs.

    The keys on the way to each: ``logits``, ``boxes_0``; ``output`` for one without any, ``output_0`` for several.
    """
    found = {leaf: path for path, leaf in _leaves(structure, ()) if not is_constant[leaf]}
    single = len(found) == 1
    names: list[str] = []
    for leaf in sorted(found):
        path = tuple(part for part in found[leaf] if not (single and isinstance(part, int)))
        if not path or isinstance(path[0], int):
            path = ("output", *path)
        names.append("_".join(map(str, path)))
    return names


def _leaves(item: Any, path: tuple[Any, ...]) -> Iterator[tuple[tuple[Any, ...], int]]:
    fields = getattr(item, "_asdict", None)
    if fields is not None:
        item = fields()
    if isinstance(item, dict):
        for key, part in item.items():
            yield from _leaves(part, (*path, str(key)))
    elif isinstance(item, (tuple, list)):
        for i, part in enumerate(item):
            yield from _leaves(part, (*path, i))
    elif isinstance(item, int):
        yield path, item
    elif hasattr(item, "__dict__"):
        yield from _leaves(vars(item), path)
