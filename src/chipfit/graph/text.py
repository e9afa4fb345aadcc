"""A graph as text, one line per node, that prints and parses back to the same graph.

    graph "kws"
    input %input_1 : int8[1,49,10,1] q(0.5847029089927673, 83)
    const %w : int8[64,10,4,1] q(axis=0; 0.001, 0.002, ...; 0) = <2560 bytes, crc32 1a2b3c4d>
    const %b : int32[2] q(axis=0; 0.01, 0.02; 0) = [17, -3]
    var %state : int8[1,2,40] q(0.05, -128) = base64:"eJxjYAAAAAIAAQ=="
    %y : int8[1,25,5,64] q(0.02, -128) = conv2d(%input_1, %w, %b) {stride=(2, 2), act="relu"}
    assign_variable(%z) {variable="state"}
    output %y

Attributes at their default are omitted, an absent optional input is ``none``, several outputs or graph outputs are
separated by commas. Names beyond letters, digits and ``_./:;-`` are quoted as in JSON: ``%"a b"``. One zero point
stands for all where they are equal. Lines that are empty or begin with ``#`` say nothing.
"""

from __future__ import annotations

import ast
import base64
import binascii
import dataclasses
import json
import math
import re
import zlib
from collections.abc import Callable, Mapping
from typing import Any, NoReturn

import numpy as np

from chipfit.errors import ChipfitError
from chipfit.graph.graph import Graph, Node, OpBase, Value, Variable
from chipfit.graph.types import Array, DType, Quant, TensorType

_PLAIN_NAME = re.compile(r"[\w./:;-]+")
_SMALL = 8
"""Constants of at most so many elements are written as a list."""


# ---------------------------------------------------------------------------------------------- printing


def print_graph(graph: Graph, *, data: bool) -> str:
    """The text of a graph. ``data``: with the elements of all constants, else only their size and checksum."""
    lines = [f"graph {json.dumps(graph.name)}"]
    lines += [f"input {_typed(v.name, v.type)}" for v in graph.inputs]
    lines += [
        f"const {_typed(v.name, v.type)} = {_elements(v.array, data)}" for v in graph.values() if v.data is not None
    ]
    lines += [f"var {_typed(name, v.type)} = {_elements(v.initial, data)}" for name, v in graph.variables.items()]
    lines += [print_node(node, data=data) for node in graph.nodes]
    lines.append(f"output {', '.join(_name(v.name) for v in graph.outputs)}".rstrip())
    return "\n".join(lines) + "\n"


def print_node(node: Node, *, data: bool = False) -> str:
    """The line of one node. ``data``: with the elements of the constants of a graph inside it."""
    operands = ", ".join("none" if v is None else _name(v.name) for v in node.inputs)
    text = f"{node.op.name}({operands})"
    if node.outputs:
        text = f"{', '.join(_typed(v.name, v.type) for v in node.outputs)} = {text}"
    shown = [f for f in dataclasses.fields(node.op) if getattr(node.op, f.name) != f.default]
    if shown:
        attributes = ", ".join(f"{f.name}={_literal(getattr(node.op, f.name), data)}" for f in shown)
        text += f" {{{attributes}}}"
    return text


def _name(name: str) -> str:
    return f"%{name}" if _PLAIN_NAME.fullmatch(name) else f"%{json.dumps(name)}"


def _typed(name: str, type_: TensorType) -> str:
    quant = f" {_quant(type_.quant)}" if type_.quant else ""
    return f"{_name(name)} : {type_}{quant}"


def _quant(q: Quant) -> str:
    if q.axis is None:
        return f"q({q.s!r}, {q.zp})"
    zeros = q.zero_point[:1] if len(set(q.zero_point)) == 1 else q.zero_point
    return f"q(axis={q.axis}; {', '.join(map(repr, q.scale))}; {', '.join(map(str, zeros))})"


def _literal(value: Any, data: bool = False) -> str:
    """An attribute as ``ast.literal_eval`` reads it; a graph is its text, as a string."""
    if isinstance(value, Graph):
        return _literal(print_graph(value, data=data))
    if isinstance(value, str):
        # beyond ASCII, JSON's escapes (of UTF-16 units) are not Python's (of characters)
        return json.dumps(value) if value.isascii() else ascii(value)
    if isinstance(value, tuple):
        items: list[str] = [_literal(item) for item in value]  # pyright: ignore[reportUnknownArgumentType]
        return f"({items[0]},)" if len(items) == 1 else f"({', '.join(items)})"
    if isinstance(value, float) and math.isinf(value):
        return "1e999" if value > 0 else "-1e999"
    if value is None or (isinstance(value, bool | int | float) and value == value):
        return repr(value)
    raise ChipfitError("G001", f"the attribute value {value!r} ({type(value).__name__}) cannot be written as text")


def _elements(array: Array, data: bool) -> str:
    if array.size <= _SMALL and bool(np.isfinite(array).all()):
        # str of a numpy number is the shortest text that reads back to the same number of that type
        return f"[{', '.join(str(x) for x in array.reshape(-1))}]"
    raw = _raw(array)
    if not data:
        return f"<{len(raw)} bytes, crc32 {zlib.crc32(raw):08x}>"
    return f'base64:"{base64.b64encode(zlib.compress(raw, 9)).decode()}"'


def _raw(array: Array) -> bytes:
    """The elements in row-major order, little endian."""
    return np.ascontiguousarray(array).astype(array.dtype.newbyteorder("<"), copy=False).tobytes()


# ---------------------------------------------------------------------------------------------- parsing


def parse_graph(
    text: str, resolve: Callable[[str], type[OpBase]], constants: Mapping[str, Array] | None = None
) -> Graph:
    """The graph that a text describes, verified.

    ``resolve`` finds an operator's class by its name and raises KeyError if there is none. ``constants`` has the
    elements, by name, of those constants and variables that the text only gives a checksum of. Raises ChipfitError
    G002 with line and column where the text does not parse, and what ``Graph.verify`` raises.
    """
    parser = _Parser(resolve, constants or {})
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip() and not line.lstrip().startswith("#"):
            parser.line(_Line(line.rstrip(), number))
    graph = parser.graph
    if graph is None:
        raise ChipfitError("G002", "line 1, column 1: expected 'graph \"name\"'")
    try:
        graph.verify()
    except (TypeError, ValueError, LookupError, ArithmeticError, AttributeError) as e:
        # operators rely on the kinds that their fields are declared with; a literal can be anything
        raise ChipfitError("G002", f"an attribute or type is of the wrong kind: {e}") from e
    return graph


class _Line:
    """A line of text and how far it has been read. Blanks between tokens don't matter."""

    def __init__(self, text: str, number: int) -> None:
        self.text, self.number, self.at = text, number, 0
        self._skip()

    def _skip(self) -> None:
        while self.at < len(self.text) and self.text[self.at] in " \t\r":
            self.at += 1

    def error(self, message: str, at: int | None = None) -> NoReturn:
        column = (self.at if at is None else at) + 1
        raise ChipfitError("G002", f"line {self.number}, column {column}: {message}")

    def match(self, pattern: str) -> re.Match[str] | None:
        """Read what matches the pattern here, if anything does."""
        found = re.compile(pattern).match(self.text, self.at)
        if found:
            self.at = found.end()
            self._skip()
        return found

    def need(self, pattern: str, what: str) -> re.Match[str]:
        return self.match(pattern) or self.error(f"expected {what}")

    def end(self) -> None:
        if self.at < len(self.text):
            self.error("expected the end of the line")

    def quoted(self) -> str:
        """A JSON string."""
        try:
            value, self.at = json.JSONDecoder().raw_decode(self.text, self.at)
        except (ValueError, RecursionError):
            self.error("expected a quoted string")
        if not isinstance(value, str):
            self.error("expected a quoted string")
        self._skip()
        return value

    def name(self) -> str:
        if not self.match("%"):
            self.error("expected a name: %...")
        if self.text.startswith('"', self.at):
            return self.quoted()
        return self.need(_PLAIN_NAME.pattern, "a name").group()

    def numbers(self) -> list[str]:
        """Numbers separated by commas, as text."""
        found = self.need(r"[^;)\]]*", "numbers").group()
        return [item.strip() for item in found.split(",")] if found.strip() else []

    def type(self) -> TensorType:
        start = self.at
        kind, dims = self.need(r"(\w+)\[([\d,]*)\]", "a type: int8[1,2]").groups()
        try:
            shape = tuple(int(d) for d in dims.split(",")) if dims else ()
            dtype = DType(kind)
        except ValueError as e:
            self.error(str(e), start)
        return TensorType(shape, dtype, self._quant() if self.match(r"q\(") else None)

    def _quant(self) -> Quant:
        start, axis = self.at, self.match(r"axis=(\d+);")
        try:
            if axis is None:
                scale, zero = self.need(r"([^,)]+),([^)]+)", "a scale and a zero point").groups()
                quant = Quant((float(scale),), (int(zero),))
            else:
                scales = tuple(float(s) for s in self.numbers())
                self.need(";", "';'")
                zeros = tuple(int(z) for z in self.numbers())
                quant = Quant(scales, zeros * len(scales) if len(zeros) == 1 else zeros, int(axis.group(1)))
        except ValueError as e:
            self.error(str(e), start)
        self.need(r"\)", "')'")
        return quant


class _Parser:
    """Builds the graph line by line."""

    def __init__(self, resolve: Callable[[str], type[OpBase]], constants: Mapping[str, Array]) -> None:
        self.graph: Graph | None = None
        self.values: dict[str, Value] = {}
        self._resolve, self._constants = resolve, constants

    def line(self, line: _Line) -> None:
        keyword = line.match(r"(graph|input|const|var|output)(?=\s|$)")
        kind = keyword.group(1) if keyword else "node"
        if kind == "graph":
            if self.graph:
                line.error("a second graph", 0)
            self.graph = Graph(line.quoted())
        elif self.graph is None:
            line.error("expected 'graph \"name\"'", 0)
        elif kind == "input":
            self.graph.inputs.append(self._define(line))
        elif kind == "const":
            value = self._define(line)
            value.data = self._data(line, value.name, value.type)
        elif kind == "var":
            self._variable(line, self.graph)
        elif kind == "output":
            self._outputs(line, self.graph)
        else:
            self.graph.nodes.append(self._node(line))
        line.end()

    def _variable(self, line: _Line, graph: Graph) -> None:
        start, name = line.at, line.name()
        if name in graph.variables:
            line.error(f"the variable '{name}' is defined twice", start)
        line.need(":", "':' and a type")
        type_ = line.type()
        graph.variables[name] = Variable(name, type_, self._data(line, name, type_))

    def _outputs(self, line: _Line, graph: Graph) -> None:
        while line.at < len(line.text):
            graph.outputs.append(self._use(line))
            if not line.match(","):
                return

    def _define(self, line: _Line) -> Value:
        start, name = line.at, line.name()
        if name in self.values:
            line.error(f"'{name}' is defined twice", start)
        line.need(":", "':' and a type")
        value = self.values[name] = Value(name, line.type())
        return value

    def _use(self, line: _Line) -> Value:
        start, name = line.at, line.name()
        return self.values.get(name) or line.error(f"'{name}' is not defined above", start)

    def _node(self, line: _Line) -> Node:
        outputs: list[Value] = []
        while line.text.startswith("%", line.at):
            outputs.append(self._define(line))
            if not line.match(","):
                line.need("=", "'=' and an operator")
                break
        start = line.at
        name = line.need(r"\w+", "the name of an operator").group()
        try:
            op = self._resolve(name)
        except KeyError:
            line.error(f"there is no operator '{name}'", start)
        inputs = self._operands(line)
        return Node(self._attributes(line, op), inputs, outputs)

    def _operands(self, line: _Line) -> list[Value | None]:
        line.need(r"\(", "'('")
        inputs: list[Value | None] = []
        while not line.match(r"\)"):
            if inputs:
                line.need(",", "',' or ')'")
            inputs.append(None if line.match(r"none\b") else self._use(line))
        return inputs

    def _attributes(self, line: _Line, op: type[OpBase]) -> OpBase:
        """The operator with the attributes of ``{name=literal, ...}``, which is the rest of the line."""
        start, found = line.at, line.match(r"\{(.*)\}$")
        known = {f.name: f for f in dataclasses.fields(op)}
        attributes: dict[str, Any] = {}
        try:
            call = ast.parse(f"f({found.group(1) if found else ''})", mode="eval").body
            if not isinstance(call, ast.Call) or call.args:
                raise ValueError("expected name=value")
            for keyword in call.keywords:
                if keyword.arg not in known:
                    raise ValueError(f"{op.name} has no attribute '{keyword.arg}'")
                value = ast.literal_eval(keyword.value)
                if known[keyword.arg].type == Graph.__name__:
                    value = parse_graph(str(value), self._resolve, self._constants)
                attributes[keyword.arg] = value
            return op(**attributes)
        except (SyntaxError, ValueError, TypeError, MemoryError, RecursionError) as e:
            line.error(f"bad attributes: {e.msg if isinstance(e, SyntaxError) else e}", start)

    def _data(self, line: _Line, name: str, type_: TensorType) -> Array:
        line.need("=", "'=' and the elements")
        start = line.at
        if line.match(r"\["):
            array = _listed(line, type_)
            line.need(r"\]", "']'")
        elif found := line.match(r'base64:"([\w+/=]*)"'):
            array = _decoded(line, start, found.group(1), type_)
        elif found := line.match(r"<(\d+) bytes, crc32 ([0-9a-f]{8})>"):
            if name not in self._constants:
                line.error(f"the elements of '{name}' are neither in the text nor in the constants", start)
            array = np.ascontiguousarray(self._constants[name])
            if (len(_raw(array)), zlib.crc32(_raw(array))) != (int(found.group(1)), int(found.group(2), 16)):
                line.error(f"the elements that were given for '{name}' are not those of the text", start)
        else:
            line.error('expected elements: [...], base64:"..." or <... bytes, crc32 ...>')
        if array.size != type_.size or array.dtype != type_.dtype.numpy:
            line.error(f"'{name}' is {type_} but got {array.size} elements of {array.dtype}", start)
        return array.reshape(type_.shape)


def _listed(line: _Line, type_: TensorType) -> Array:
    start, items = line.at, line.numbers()
    try:
        if type_.dtype is DType.BOOL:
            return np.array([{"True": True, "False": False}[item] for item in items], np.bool_)
        numbers = [float(item) if type_.dtype.is_float else int(item) for item in items]
        return np.array(numbers, type_.dtype.numpy)
    except (ValueError, KeyError, OverflowError) as e:
        line.error(f"bad element: {e}", start)


def _decoded(line: _Line, start: int, text: str, type_: TensorType) -> Array:
    try:
        # one byte more than there should be shows an excess without unpacking all of it
        raw = zlib.decompressobj().decompress(base64.b64decode(text, validate=True), type_.nbytes + 1)
    except (binascii.Error, zlib.error, ValueError, OverflowError) as e:
        line.error(f"bad base64 data: {e}", start)
    if len(raw) != type_.nbytes:
        line.error(f"the data is not the {type_.nbytes} bytes of {type_}", start)
    return np.frombuffer(raw, type_.dtype.numpy.newbyteorder("<")).astype(type_.dtype.numpy)
