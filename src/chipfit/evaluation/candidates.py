"""The models of an evaluation: a file, what of it is looked at, and the graph that chipfit makes of it, if it can."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from chipfit.errors import ChipfitError
from chipfit.exporters import to_tflite
from chipfit.graph import DType
from chipfit.importers import is_tflite, read_file
from chipfit.importers.tflite.model import ModelFile, OperatorRecord, SubgraphRecord, TensorRecord
from chipfit.model import Model, load
from chipfit.report.data import TensorInfo

_HEAD = {
    "ARG_MAX", "DEQUANTIZE", "EXPAND_DIMS", "LOGISTIC", "LOG_SOFTMAX", "QUANTIZE", "RESHAPE", "SOFTMAX", "SQUEEZE",
}  # fmt: skip
"""Operators that only turn scores into probabilities or a choice."""

_CONVERSIONS = {"CAST", "DEQUANTIZE", "QUANTIZE"}
_INTEGERS = {"INT8": "int8", "UINT8": "uint8", "INT16": "int16x8"}


@dataclass(frozen=True, eq=False)
class Candidate:
    """``source``: the file's bytes. ``model``: as chipfit compiles it; ``problem``: why it cannot, and None then.

    ``form``: of weights and activations. ``scores``: the tensor that the network is judged by, ``output`` its first
    output, both with their index in the file. ``is_binary``: one number above or below 0 stands for two classes.
    """

    name: str
    file: str | None
    source: bytes
    model: Model | None
    problem: ChipfitError | None
    inputs: tuple[TensorInfo, ...]
    form: str
    scores: tuple[int, TensorInfo]
    output: tuple[int, TensorInfo]
    is_binary: bool
    weights_bytes: int

    @property
    def is_integer(self) -> bool:
        return self.form in _INTEGERS.values() or self.form == "mixed"

    @property
    def classes(self) -> int:
        return 2 if self.is_binary else size_of(self.scores[1].shape)


def size_of(shape: Sequence[int]) -> int:
    """Elements of a tensor."""
    count = 1
    for length in shape:
        count *= length
    return count


def candidates(
    models: Sequence[Model | str | Path], allow_code: bool = False, channels_last: bool = False
) -> list[Candidate]:
    """Each model once, with a name of its own. Raises ChipfitError as :func:`candidate` does."""
    found = [candidate(m, allow_code, channels_last) for m in models]
    names = distinct_names([c.name for c in found], [c.file for c in found])
    return [replace(c, name=name) for c, name in zip(found, names, strict=True)]


def distinct_names(names: Sequence[str], files: Sequence[str | None]) -> list[str]:
    """Equal names with the folders that their files lie in before them; with numbers where that is not enough."""
    whole: list[str] = []
    for name, file in zip(names, files, strict=True):
        folder = Path(file).resolve().parent.name if file and names.count(name) > 1 else ""
        whole.append(f"{folder}/{name}" if folder else name)
    return [f"{n} ({whole[: i + 1].count(n)})" if whole.count(n) > 1 else n for i, n in enumerate(whole)]


def candidate(model: Model | str | Path, allow_code: bool = False, channels_last: bool = False) -> Candidate:
    """A model of which a single run is the answer to a single sample.

    A file that holds operators chipfit cannot compile is a candidate, too: other interpreters may run it. Raises
    ChipfitError F001..F005 for files that cannot be read, Q005 for a model that keeps state or computes nothing.
    """
    problem: ChipfitError | None = None
    if isinstance(model, Model):
        loaded, name, file = model, model.name, None
        source = model.source or to_tflite(model.graph)
    else:
        path = Path(model)
        is_folder = path.is_dir()
        source, name, file = b"" if is_folder else read_file(path), path.stem, str(model)
        try:
            given, title = (path, None) if is_folder else (source, name)
            loaded = load(given, name=title, allow_code=allow_code, channels_last=channels_last)
            source = loaded.source or to_tflite(loaded.graph)
        except ChipfitError as error:
            if error.code[0] not in "OG" or not is_tflite(source):
                raise
            loaded, problem = None, error
    record = ModelFile(source).subgraph(0)
    if any(op.builtin == "VAR_HANDLE" for op in record.operators):
        hint = "evaluate the model that it was made of: samples have nothing to do with each other"
        raise ChipfitError("Q005", f"'{name}' keeps state between runs", hint)
    if not record.operators or not record.outputs:
        raise ChipfitError("Q005", f"'{name}' computes nothing")
    output = record.outputs[0]
    scores, head = _before_head(record, output)
    weights = (
        [v.type.nbytes for v in loaded.graph.values() if v.is_const]
        if loaded
        else [t.data.nbytes for t in _constants(record) if t.data is not None]
    )
    return Candidate(
        name=name,
        file=file,
        source=source,
        model=loaded,
        problem=problem,
        inputs=tuple(_info(record, i, name) for i in record.inputs),
        form=_form(record),
        scores=(scores, _info(record, scores, name)),
        output=(output, _info(record, output, name)),
        is_binary="LOGISTIC" in head and size_of(record.tensors[scores].shape) == 1,
        weights_bytes=sum(weights),
    )


def _before_head(record: SubgraphRecord, tensor: int) -> tuple[int, set[str]]:
    """The tensor before the softmax, and the operators behind it."""
    makers: dict[int, OperatorRecord] = {i: op for op in record.operators for i in op.outputs}
    head: set[str] = set()
    while tensor in makers and makers[tensor].builtin in _HEAD:
        head.add(makers[tensor].builtin)
        tensor = makers[tensor].inputs[0]
    return tensor, head


def _info(record: SubgraphRecord, index: int, model: str) -> TensorInfo:
    tensor = record.tensors[index]
    if tensor.problem or tensor.type not in DType.__members__:
        raise ChipfitError("Q005", f"'{tensor.name}' of '{model}' {tensor.problem or f'is {tensor.type}'}")
    q = tensor.quant
    if q is None or q.axis is not None:
        return TensorInfo(tensor.name, tensor.shape, tensor.dtype.value)
    return TensorInfo(tensor.name, tensor.shape, tensor.dtype.value, q.s, q.zp)


def _form(record: SubgraphRecord) -> str:
    """What activations are; if they are float, what weights are."""
    kinds = {
        record.tensors[i].type
        for op in record.operators
        if op.builtin not in _CONVERSIONS
        for i in op.outputs
        if record.tensors[i].quant is not None
    } & _INTEGERS.keys()
    if kinds:
        return _INTEGERS[kinds.pop()] if len(kinds) == 1 else "mixed"
    stored = {t.type for t in _constants(record)}
    if "INT8" in stored:
        return "dynamic"
    return "float16" if "FLOAT16" in stored else "float32"


def _constants(record: SubgraphRecord) -> list[TensorRecord]:
    """Those that an operator reads."""
    read = {i for op in record.operators for i in op.inputs if i >= 0}
    return [record.tensors[i] for i in sorted(read) if record.tensors[i].data is not None]
