"""The text form of graphs: it prints and parses back exactly, and says where it does not parse."""

from __future__ import annotations

from contextlib import suppress
from functools import cache

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chipfit.errors import ChipfitError
from chipfit.graph import Array, DType, Graph, Node, OpBase, Quant, TensorType, Value, Variable
from chipfit.graph.text import parse_graph, print_graph
from chipfit.ops import REGISTRY, graph_of
from chipfit.ops.assign_variable import AssignVariable
from chipfit.ops.concatenation import Concatenation
from chipfit.ops.conv2d import Conv2D
from chipfit.ops.pad import Pad
from chipfit.ops.read_variable import ReadVariable
from chipfit.ops.slice import Slice

resolve = REGISTRY.__getitem__


@cache
def sample_nodes(name: str) -> list[Node]:
    return list(REGISTRY[name].samples(np.random.default_rng(0)))


def assert_same(a: Graph, b: Graph) -> None:
    """Equal in everything: values in order with types and bytes, nodes, variables, inputs and outputs."""

    def operator(op: OpBase) -> object:
        """Operators are equal, but for graphs inside of them, of which the same is asked."""
        return type(op), {k: facts(a) if isinstance(a, Graph) else a for k, a in op.attributes().items()}

    def facts(graph: Graph) -> list[object]:
        def value(v: Value | None) -> object:
            return v and (v.name, v.type, None if v.data is None else (v.data.dtype, v.data.tobytes()))

        return [
            graph.name,
            [value(v) for v in graph.inputs],
            [value(v) for v in graph.outputs],
            [(operator(n.op), [value(v) for v in n.inputs], [value(v) for v in n.outputs]) for n in graph.nodes],
            [(k, v.name, v.type, v.initial.tobytes()) for k, v in graph.variables.items()],
        ]

    assert facts(a) == facts(b)


def constants_of(graph: Graph) -> dict[str, Array]:
    """All of them by name, those of graphs inside included."""
    found = {v.name: v.array for v in graph.values() if v.is_const}
    for node in graph.nodes:
        for inner in node.op.attributes().values():
            found.update(constants_of(inner) if isinstance(inner, Graph) else {})
    return {**found, **{name: v.initial for name, v in graph.variables.items()}}


@pytest.mark.parametrize("name", sorted(REGISTRY))
def test_every_operator_round_trips(name: str) -> None:
    for node in sample_nodes(name):
        graph = graph_of(node)
        assert_same(parse_graph(print_graph(graph, data=True), resolve), graph)
        assert_same(parse_graph(print_graph(graph, data=False), resolve, constants_of(graph)), graph)


quants = st.one_of(
    st.none(),
    st.builds(Quant.per_tensor, st.floats(1e-10, 10.0), st.integers(-128, 127)),
    st.lists(st.tuples(st.floats(1e-30, 1.0), st.integers(-3, 3)), min_size=1, max_size=4).map(
        lambda pairs: Quant(tuple(s for s, _ in pairs), tuple(z for _, z in pairs), 0)
    ),
)


@given(
    names=st.lists(st.text(), min_size=5, max_size=5, unique=True),
    title=st.text(),
    x_quant=quants,
    dtype=st.sampled_from([DType.INT8, DType.INT64, DType.FLOAT16, DType.FLOAT32, DType.FLOAT64, DType.BOOL]),
    rows=st.integers(0, 12),
    data=st.data(),
)
def test_any_names_types_and_bytes_round_trip(
    names: list[str], title: str, x_quant: Quant | None, dtype: DType, rows: int, data: st.DataObject
) -> None:
    """Names of any characters, constants of any bytes (so also infinities and NaNs), state."""
    kind = TensorType((rows, 1), dtype, x_quant)
    raw = data.draw(st.binary(min_size=kind.nbytes, max_size=kind.nbytes))
    elements = np.frombuffer(raw, np.uint8) % 2 if dtype is DType.BOOL else np.frombuffer(raw, dtype.numpy)
    array = elements.astype(dtype.numpy).reshape(kind.shape)
    x, c, y, state = Value(names[0], kind), Value(names[1], kind, array), Value(names[2], kind), Value(names[3], kind)
    y.type = TensorType((2 * rows, 1), dtype, x_quant)
    variables = {names[4]: Variable(names[4], kind, array.copy())}
    nodes = [
        Node(ReadVariable(names[4]), [], [state]),
        Node(Concatenation(0), [state, c], [y]),
        Node(AssignVariable(names[4]), [x], []),
    ]
    graph = Graph(title, [x], [y], nodes, variables)
    graph.verify()
    assert_same(parse_graph(print_graph(graph, data=True), resolve), graph)
    assert_same(parse_graph(print_graph(graph, data=False), resolve, constants_of(graph)), graph)


@given(value=st.floats(allow_nan=False) | st.integers(), before=st.integers(0, 3))
def test_attributes_round_trip(value: float, before: int) -> None:
    x = Value("x", TensorType((1,), DType.FLOAT64))
    y = Value("y", TensorType((1 + before,), DType.FLOAT64))
    graph = Graph("g", [x], [y], [Node(Pad(((before, 0),), value), [x], [y])])
    op = parse_graph(print_graph(graph, data=True), resolve).nodes[0].op
    assert isinstance(op, Pad)
    assert repr(op.value) == repr(value)


def small_graph() -> Graph:
    image = Value("image", TensorType((1, 4, 4, 1), DType.INT8, Quant.per_tensor(0.1, -3)))
    weights = np.arange(-9, 9, dtype=np.int8).reshape(2, 3, 3, 1)
    w = Value("w", TensorType(weights.shape, DType.INT8, Quant((0.25, 0.5), (0, 0), 0)), weights)
    b = Value("the bias", TensorType((2,), DType.INT32), np.array([17, -3], np.int32))
    y = Value("net/conv;relu", TensorType((1, 2, 2, 2), DType.INT8, Quant.per_tensor(0.02, -128)))
    z = Value("z", TensorType((1, 1, 2, 2), DType.INT8, Quant.per_tensor(0.02, -128)))
    plain = Value("plain", TensorType((1, 4, 4, 2), DType.INT8, Quant.per_tensor(0.02, -128)))
    nodes = [
        Node(Conv2D(stride=(2, 2), pad=(1, 1, 0, 0), act="relu"), [image, w, b], [y]),
        Node(Conv2D(pad=(1, 1, 1, 1)), [image, w, None], [plain]),
        Node(Slice((0, 0, 0, 0), (1, 1, 2, 2)), [y], [z]),
        Node(AssignVariable("seen"), [z], []),
    ]
    seen = Variable("seen", z.type, np.zeros(z.shape, np.int8))
    return Graph("net", [image], [plain, y], nodes, {"seen": seen})


SMALL_TEXT = """\
graph "net"
input %image : int8[1,4,4,1] q(0.10000000149011612, -3)
const %w : int8[2,3,3,1] q(axis=0; 0.25, 0.5; 0) = <18 bytes, crc32 b4125edd>
const %"the bias" : int32[2] = [17, -3]
var %seen : int8[1,1,2,2] q(0.019999999552965164, -128) = [0, 0, 0, 0]
%net/conv;relu : int8[1,2,2,2] q(0.019999999552965164, -128) = conv2d(%image, %w, %"the bias") \
{stride=(2, 2), pad=(1, 1, 0, 0), act="relu"}
%plain : int8[1,4,4,2] q(0.019999999552965164, -128) = conv2d(%image, %w, none) {pad=(1, 1, 1, 1)}
%z : int8[1,1,2,2] q(0.019999999552965164, -128) = slice(%net/conv;relu) {begin=(0, 0, 0, 0), size=(1, 1, 2, 2)}
assign_variable(%z) {variable="seen"}
output %plain, %net/conv;relu
"""


def test_text_of_a_small_graph() -> None:
    assert print_graph(small_graph(), data=False) == SMALL_TEXT


def test_small_graph_parses_with_its_constants() -> None:
    graph = small_graph()
    assert_same(parse_graph(SMALL_TEXT, resolve, constants_of(graph)), graph)


def test_blank_lines_comments_and_spaces_are_allowed() -> None:
    text = '\n# a copy\n  graph "g"\n\ninput %x:: int8[2]\n%y :  int8[ 2]=reshape( %x ){ shape = (2,) }\noutput  %y\r\n'
    text = text.replace("%x::", "%x :").replace("[ 2]", "[2]")
    assert parse_graph(text, resolve).outputs[0].name == "y"


HEAD = 'graph "g"\ninput %x : int8[2]\n'


@pytest.mark.parametrize(
    ("text", "place", "part"),
    [
        ("", "line 1, column 1", "expected 'graph"),
        ("graph g\n", "line 1, column 7", "quoted string"),
        ('graph "g"\ngraph "h"\n', "line 2, column 1", "a second graph"),
        ("input %x : int8[2]\n", "line 1, column 1", "expected 'graph"),
        ('graph "g" 7\n', "line 1, column 11", "end of the line"),
        ('graph "g"\ninput x : int8[2]\n', "line 2, column 7", "expected a name"),
        ('graph "g"\ninput %"x : int8[2]\n', "line 2, column 8", "quoted string"),
        ('graph "g"\ninput %x int8[2]\n', "line 2, column 10", "expected ':'"),
        ('graph "g"\ninput %x : int9[2]\n', "line 2, column 12", "int9"),
        ('graph "g"\ninput %x : int8\n', "line 2, column 12", "a type"),
        ('graph "g"\ninput %x : int8[2] q(0.5)\n', "line 2, column 22", "a scale and a zero point"),
        ('graph "g"\ninput %x : int8[2] q(a, 0)\n', "line 2, column 22", "could not convert"),
        ('graph "g"\ninput %x : int8[2] q(axis=0; 1.0; 0, 0)\n', "line 2, column 22", "1 scales but 2 zero points"),
        (HEAD + "input %x : int8[2]\n", "line 3, column 7", "'x' is defined twice"),
        (HEAD + "%y : int8[2] = reshape(%z) {shape=(2,)}\n", "line 3, column 24", "'z' is not defined above"),
        (HEAD + "%y : int8[2] = deform(%x)\n", "line 3, column 16", "there is no operator 'deform'"),
        (HEAD + "%y : int8[2] reshape(%x)\n", "line 3, column 14", "expected '='"),
        (HEAD + "%y : int8[2] = reshape(%x\n", "line 3, column 26", "expected ',' or ')'"),
        (HEAD + "%y : int8[2] = reshape(%x) {form=(2,)}\n", "line 3, column 28", "no attribute 'form'"),
        (HEAD + "%y : int8[2] = reshape(%x) {shape=open('x')}\n", "line 3, column 28", "bad attributes"),
        (HEAD + "%y : int8[2] = reshape(%x) {shape=(2,}\n", "line 3, column 28", "bad attributes"),
        (HEAD + "%y : int8[2] = reshape(%x) {(2,)}\n", "line 3, column 28", "expected name=value"),
        (HEAD + "const %c : int8[2]\n", "line 3, column 19", "expected '='"),
        (HEAD + "const %c : int8[2] = 7\n", "line 3, column 22", "expected elements"),
        (HEAD + "const %c : int8[2] = [7]\n", "line 3, column 22", "got 1 elements"),
        (HEAD + "const %c : int8[2] = [7, 300]\n", "line 3, column 23", "bad element"),
        (HEAD + "const %c : bool[1] = [maybe]\n", "line 3, column 23", "bad element"),
        (HEAD + 'const %c : int8[2] = base64:"AAAA"\n', "line 3, column 22", "bad base64 data"),
        (HEAD + "const %c : int8[9] = <9 bytes, crc32 00000000>\n", "line 3, column 22", "neither in the text nor"),
        (HEAD + "var %s : int8[1] = [0]\nvar %s : int8[1] = [0]\n", "line 4, column 5", "is defined twice"),
        (HEAD + "output %y\n", "line 3, column 8", "not defined above"),
        (HEAD + "output %x %x\n", "line 3, column 11", "end of the line"),
    ],
)
def test_errors_name_line_and_column(text: str, place: str, part: str) -> None:
    with pytest.raises(ChipfitError) as caught:
        parse_graph(text, resolve)
    assert caught.value.code == "G002"
    assert caught.value.message.startswith(f"{place}: ")
    assert part in caught.value.message


def test_wrong_constants_are_refused() -> None:
    graph = small_graph()
    constants = constants_of(graph)
    constants["w"] = constants["w"] + np.int8(1)
    with pytest.raises(ChipfitError, match="are not those of the text"):
        parse_graph(SMALL_TEXT, resolve, constants)


def test_too_long_data_is_refused_without_unpacking_it() -> None:
    long = Value("c", TensorType((1000,), DType.INT8), np.zeros(1000, np.int8))
    graph = Graph("g", [], [long])
    text = print_graph(graph, data=True).replace("int8[1000]", "int8[10]")
    with pytest.raises(ChipfitError, match="the data is not the 10 bytes"):
        parse_graph(text, resolve)


def test_an_invalid_graph_does_not_parse() -> None:
    with pytest.raises(ChipfitError) as caught:
        parse_graph(HEAD + "%y : int8[3] = reshape(%x) {shape=(2,)}\n", resolve)
    assert caught.value.code == "G003"


@pytest.mark.parametrize("literal", ["7", "None", "'ab'", "(1.5,)", "((2,),)", "{}", "(-2, -1)"])
def test_an_attribute_of_the_wrong_kind_is_refused(literal: str) -> None:
    with pytest.raises(ChipfitError):
        parse_graph(HEAD + f"%y : int8[2] = reshape(%x) {{shape={literal}}}\n", resolve)


@given(text=st.text(alphabet='graph input %xy:="[]{}()<>int82,. \n', max_size=60))
def test_random_text_never_crashes(text: str) -> None:
    with suppress(ChipfitError):
        parse_graph(HEAD + text, resolve)
