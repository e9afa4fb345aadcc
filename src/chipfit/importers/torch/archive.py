"""``.pt2`` archives: the graph is JSON, weights are raw bytes. Nothing in them is unpickled or run.

``torch.export.load`` is not asked: it unpickles example inputs and objects that are stored beside the graph, evaluates
expressions, and takes functions of any name. Here a graph of ATen operators is built, which torch then exports again.
Source: the schema of torch.export.save, version 8.
"""

from __future__ import annotations

import io
import json
import operator
import re
import zipfile
import zlib
from collections.abc import Callable
from typing import Any

from chipfit.errors import ChipfitError
from chipfit.importers._problems import Problem, raise_problems
from chipfit.importers.torch.framework import export
from chipfit.importers.torch.names import named

_MOST_BYTES = 1 << 30
_MAJOR = 8

_DAMAGED = "save the program again with torch.export.save"
_OTHERWISE = "load it yourself if you trust it, and hand over the program: chipfit.load(torch.export.load(path))"

_TARGET = re.compile(r"torch\.ops\.aten\.(\w+)\.(\w+)")
_WORD = re.compile(r"\w{0,24}")
_NOT_RUN = ("from_file", "fbgemm", "qlinear", "_cufft")
"""Beginnings of names of operators of ATen that touch files, or memory that is no tensor's."""

#: numbers of element types in the schema
_DTYPES = {
    1: "uint8",
    2: "int8",
    3: "int16",
    4: "int32",
    5: "int64",
    6: "float16",
    7: "float32",
    8: "float64",
    12: "bool",
    13: "bfloat16",
}
_FORMATS = {1: "contiguous_format", 2: "channels_last", 3: "channels_last_3d", 4: "preserve_format"}


def load_archive(torch: Any, data: bytes) -> tuple[Any, list[str]]:
    """The exported program in an archive, and the names of its outputs.

    Raises ChipfitError F003 or F005 for damaged archives, F004 for other versions, O001 or O002 for what is not read.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            if sum(item.file_size for item in archive.infolist()) > _MOST_BYTES:
                raise ChipfitError("F005", "the archive has more than 1 GiB unpacked", "is it a model?")
            return _Reader(torch, archive).run()
    except ChipfitError:
        raise
    except (zipfile.BadZipFile, zlib.error, ValueError, OSError, EOFError, RuntimeError) as error:
        raise ChipfitError("F003", f"the .pt2 archive is damaged: {error}", _DAMAGED) from None
    except (LookupError, TypeError, AttributeError, RecursionError, NotImplementedError) as error:
        reason = f"{type(error).__name__}: {error}"
        raise ChipfitError("F003", f"the .pt2 archive is damaged: {reason}", _DAMAGED) from None


class _Reader:
    def __init__(self, torch: Any, archive: zipfile.ZipFile) -> None:
        self.torch = torch
        self._archive = archive
        self._files = {name.partition("/")[2]: name for name in archive.namelist()}
        self._problems: list[Problem] = []
        self._nodes: dict[str, Any] = {}

    def run(self) -> tuple[Any, list[str]]:
        models = [name for name in self._files if name.startswith("models/") and name.endswith(".json")]
        if len(models) != 1:
            raise ChipfitError("F002", f"the archive holds {len(models)} models", "save each in a file of its own")
        title = models[0].removeprefix("models/").removesuffix(".json")
        model = json.loads(self._read(models[0]))
        if model["schema_version"]["major"] != _MAJOR:
            version = model["schema_version"]["major"]
            raise ChipfitError("F004", f"the archive has schema version {version}, {_MAJOR} is read", _OTHERWISE)
        if model.get("range_constraints"):
            hint = "export it without dynamic_shapes, or load it yourself and give example_inputs"
            raise ChipfitError("O002", "the program has sizes that are not known", hint)
        tensors = {**self._payload("weights", title), **self._payload("constants", title)}
        raise_problems(self._problems, "parts")
        module, inputs = self._module(model["graph_module"], tensors)
        outputs = self._output_names(model["graph_module"])
        return export(self.torch, module, tuple(inputs), {}), outputs

    def _read(self, name: str) -> bytes:
        return self._archive.read(self._files[name])

    # ------------------------------------------------------------------------------------------ tensors

    def _payload(self, what: str, title: str) -> dict[str, Any]:
        """Tensors by name, of their raw bytes."""
        config = f"data/{what}/{title}_{what}_config.json"
        if config not in self._files:
            raise ChipfitError("F002", f"the archive stores its {what} as pickled objects", _OTHERWISE)
        found: dict[str, Any] = {}
        for name, entry in json.loads(self._read(config))["config"].items():
            if entry["use_pickle"] or entry["tensor_meta"] is None:
                hint = f"it is a pickled object, which is not read; {_OTHERWISE}"
                self._problems.append(Problem("O002", f"'{name}' ({what}) cannot be read", hint))
                continue
            found[name] = self._tensor(entry["tensor_meta"], self._read(f"data/{what}/{entry['path_name']}"))
        return found

    def _tensor(self, meta: dict[str, Any], data: bytes) -> Any:
        torch, dtype = self.torch, self._dtype(meta["dtype"])
        size, stride = _ints(meta["sizes"]), _ints(meta["strides"])
        offset = int(meta["storage_offset"]["as_int"])
        if not data or 0 in size:
            return torch.zeros(size, dtype=dtype)
        flat = torch.frombuffer(bytearray(data), dtype=dtype)
        if min(size, default=1) < 0 or min(stride, default=0) < 0 or offset < 0:
            raise ValueError(f"a tensor of sizes {size}, strides {stride}, offset {offset}")
        return flat.as_strided(size, stride, offset).clone(memory_format=torch.contiguous_format)

    def _dtype(self, number: int) -> Any:
        if number not in _DTYPES:
            raise ChipfitError("O002", f"the archive has elements of the type number {number}", _OTHERWISE)
        return getattr(self.torch, _DTYPES[number])

    # ------------------------------------------------------------------------------------------ graph

    def _module(self, stored: dict[str, Any], tensors: dict[str, Any]) -> tuple[Any, list[Any]]:
        """A module that runs the stored graph, and inputs of the right shapes."""
        torch, graph = self.torch, self.torch.fx.Graph()
        root, inputs = torch.nn.Module(), []
        metas = stored["graph"]["tensor_values"]
        for spec in stored["signature"]["input_specs"]:
            (kind, fields), *_ = spec.items()
            name, value = self._input(kind, fields, metas)
            if name is None:
                continue
            if kind == "user_input":
                self._nodes[name] = graph.placeholder(_identifier(name))
                inputs.append(value)
            else:
                _place(torch, root, value, tensors[value])
                self._nodes[name] = graph.get_attr(value)
        for item in stored["graph"]["nodes"]:
            self._call(graph, item)
        raise_problems(self._problems, "operators")
        results = [self._result(spec) for spec in stored["signature"]["output_specs"]]
        graph.output(tuple(results))
        return torch.fx.GraphModule(root, graph), inputs

    def _input(self, kind: str, fields: dict[str, Any], metas: dict[str, Any]) -> tuple[str | None, Any]:
        """The name of an input, with an example, or with the name of a parameter, buffer or constant."""
        if kind == "user_input":
            arg = fields["arg"]
            if "as_tensor" in arg:
                name = arg["as_tensor"]["name"]
                meta = metas[name]
                return name, self.torch.zeros(_ints(meta["sizes"]), dtype=self._dtype(meta["dtype"]))
        elif kind in ("parameter", "buffer", "tensor_constant"):
            return fields["arg"]["name"], fields[f"{kind}_name"]
        elif kind == "constant_input":
            return None, None
        self._problems.append(Problem("O001", f"an input of the kind {kind} is not read", _OTHERWISE))
        return None, None

    def _call(self, graph: Any, item: dict[str, Any]) -> None:
        """Add a call of an ATen operator, and nodes for its outputs."""
        match = _TARGET.fullmatch(item["target"])
        known = match is not None and not match[1].startswith(_NOT_RUN)
        packet = getattr(self.torch.ops.aten, match[1], None) if match and known else None
        if match is None or packet is None or match[2] not in packet.overloads():
            text = f"'{item['target']}' is no operator of ATen that is read from files"
            self._problems.append(Problem("O001", text, _OTHERWISE))
            target: Any = operator.getitem
        else:
            target = getattr(packet, match[2])
        values = [(entry, self._argument(entry["arg"])) for entry in item["inputs"]]
        args = tuple(value for entry, value in values if entry.get("kind", 1) != 2)
        kwargs = {_identifier(entry["name"]): value for entry, value in values if entry.get("kind", 1) == 2}
        node = graph.call_function(target, args, kwargs)
        node.meta["nn_module_stack"] = _stack(str(item["metadata"].get("nn_module_stack", "")))
        outputs = item["outputs"]
        if len(outputs) == 1 and "as_tensor" in outputs[0]:
            self._nodes[outputs[0]["as_tensor"]["name"]] = node
            return
        listed = [o["as_tensor"] for o in outputs if "as_tensor" in o]
        listed += [t for o in outputs for t in o.get("as_tensors", [])]
        for i, tensor in enumerate(listed):
            part = graph.call_function(operator.getitem, (node, i))
            part.meta["nn_module_stack"] = node.meta["nn_module_stack"]
            self._nodes[tensor["name"]] = part

    def _argument(self, stored: dict[str, Any]) -> Any:
        """An argument: tensors, numbers, lists of them. Names of things are words without a path."""
        (kind, value), *_ = stored.items()
        read: dict[str, Callable[[Any], Any]] = {
            "as_none": lambda v: None,
            "as_tensor": lambda v: self._nodes[v["name"]],
            "as_tensors": lambda v: [self._nodes[t["name"]] for t in v],
            "as_optional_tensor": lambda v: self._argument(v),
            "as_optional_tensors": lambda v: [self._argument(t) for t in v],
            "as_int": int,
            "as_ints": lambda v: [int(n) for n in v],
            "as_float": float,
            "as_floats": lambda v: [float(n) for n in v],
            "as_bool": bool,
            "as_bools": lambda v: [bool(n) for n in v],
            "as_scalar_type": self._dtype,
            "as_memory_format": lambda v: getattr(self.torch, _FORMATS[v]),
            "as_layout": lambda v: self.torch.strided,
            "as_device": lambda v: self.torch.device("cpu"),
            "as_string": _word,
        }
        if kind not in read:
            self._problems.append(Problem("O002", f"an argument of the kind {kind} is not read", _OTHERWISE))
            return None
        return read[kind](value)

    # ------------------------------------------------------------------------------------------ outputs

    def _result(self, spec: dict[str, Any]) -> Any:
        (kind, fields), *_ = spec.items()
        if kind != "user_output":
            hint = "state between runs is not imported: take it as an input and return what it becomes"
            raise ChipfitError("O002", f"the model changes what it is given when it runs ({kind})", hint)
        return self._argument(fields["arg"])

    @staticmethod
    def _output_names(stored: dict[str, Any]) -> list[str]:
        """Of the structure that the model returns: tuples, lists, dictionaries; else they are numbered."""
        is_constant = ["as_tensor" not in spec["user_output"]["arg"] for spec in stored["signature"]["output_specs"]]
        calls = [call for call in stored["module_call_graph"] if call["fqn"] == "" and call.get("signature")]
        leaves = iter(range(len(is_constant)))
        structure = _structure(json.loads(calls[0]["signature"]["out_spec"])[1], leaves) if calls else None
        if structure is None or next(leaves, None) is not None:
            structure = tuple(range(len(is_constant)))
        return named(structure, is_constant)


def _structure(spec: dict[str, Any], leaves: Any) -> Any:
    """A stored tree of containers, with the numbers of the outputs; None for one of another kind."""
    kind = spec["type"]
    if kind is None:
        return next(leaves)
    parts = [_structure(part, leaves) for part in spec["children_spec"]]
    if kind in ("builtins.tuple", "builtins.list"):
        return tuple(parts)
    if kind in ("builtins.dict", "collections.OrderedDict"):
        return dict(zip(json.loads(spec["context"]), parts, strict=True))
    return None


def _place(torch: Any, root: Any, name: str, tensor: Any) -> None:
    """Make a tensor a buffer of the module, in modules of its own as its name says."""
    *path, leaf = (_identifier(part) for part in name.split("."))
    for part in path:
        if part not in root._modules:
            root.add_module(part, torch.nn.Module())
        root = root._modules[part]
    if leaf not in root._buffers:
        root.register_buffer(leaf, tensor)


def _stack(stored: str) -> dict[str, tuple[str, str]]:
    """``key,path,class`` of the modules that a call is made in, outermost first."""
    levels = [level.split(",") for level in stored.split(";") if level.count(",") == 2]
    return {key: (path, kind) for key, path, kind in levels}


def _ints(sizes: list[dict[str, int]]) -> list[int]:
    return [int(size["as_int"]) for size in sizes]


def _identifier(name: str) -> str:
    """A name that torch may write into the code of a module. Raises ValueError for one that could be code itself."""
    if not re.fullmatch(r"\w+", name):
        raise ValueError(f"the name {name[:40]!r}")
    return name


def _word(text: str) -> str:
    """A mode of an operator. Raises ValueError for what could be a path."""
    if not _WORD.fullmatch(text):
        raise ValueError(f"the argument {text[:40]!r}")
    return text
