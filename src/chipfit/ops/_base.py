"""What every operator says of itself, and the registry that finds it by name.

One operator is one class in one file: attributes (dataclass fields), ports, shapes, float and integer meaning, cost,
C kernels with the arguments of their call, and samples that the generic tests run. Nothing else in chipfit knows more
of an operator than this class; only an importer's name table names it a second time.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, TypeVar

import numpy as np

from chipfit.errors import ChipfitError
from chipfit.graph import Array, DType, Graph, Node, OpBase, Quant, Shape, TensorType, Value, Variable
from chipfit.ops._coded import Coded
from chipfit.ops._flash import flash_arguments
from chipfit.ops._roles import NO_ROLES, Roles
from chipfit.ops._traversal import Rows, Traversal

# ---------------------------------------------------------------------------------------------- the C call


@dataclass(frozen=True)
class Port:
    """An argument that points at the tensor at a port of the node (NULL where an optional input is absent).

    ``index`` counts within a variadic port; ``offset`` skips that many bytes of the tensor, and ``step`` so many more
    in each further turn of the call.
    """

    name: str
    index: int = 0
    offset: int = 0
    step: int = 0


@dataclass(frozen=True)
class Const:
    """An argument that points at constants made at compile time.

    ``role``, for the report: ``weights`` (the model's own numbers in another form: packed weights, biases, a multiplier
    for each channel) or ``table`` (what the kernel needs besides: lookups, indices). ``coded``: which words of it are
    weights, where the kernel can have them compressed. ``step``: bytes that are skipped in each further turn of the
    call.
    """

    name: str
    data: Array
    role: str = "table"
    coded: Coded | None = None
    step: int = 0


@dataclass(frozen=True)
class Scratch:
    """An argument that points at working memory of the call, planned into the arena.

    ``name``: scratch of one name is the same memory for all calls of a layer; without one, no other call has it.
    """

    nbytes: int
    name: str = ""


@dataclass(frozen=True)
class State:
    """An argument that points at a variable, which survives the run."""

    variable: str


@dataclass(frozen=True)
class Accumulator:
    """An argument that points at sums (int32) that live from the first row of an image to the last."""


@dataclass(frozen=True)
class Function:
    """An argument that is a C function of the runtime: an inner part of the kernel, linked only where it is named."""

    name: str


Arg = Port | Const | Scratch | State | Accumulator | Function


@dataclass(frozen=True)
class Call:
    """One call of a C kernel: pointers in order, then a struct ``<kernel>_params`` with these fields, all constant.

    ``struct`` names the struct if it is not the kernel's own (kernels of one op share theirs).
    A field is an int, a float (``1.5f`` in C) or a tuple of ints (an array). No fields: no struct is passed.
    ``function``: what is called, if not the kernel itself: what makes its weights before. ``turns``: how often; calls
    with more than one turn that follow each other take turns.
    """

    args: Sequence[Arg]
    params: Mapping[str, int | float | tuple[int, ...]] = field(default_factory=dict[str, Any])
    struct: str | None = None
    function: str | None = None
    turns: int = 1


@dataclass(frozen=True)
class RowSums:
    """How an op over whole images (a global pool) takes its input row by row.

    ``nbytes`` of sums, 0 at first. ``add``: kernel and call for one row of the input (``Port("x")`` is that row);
    ``finish``: kernel and call that make the output of the sums. The bytes are those of the op's own kernels.
    """

    nbytes: int
    add: tuple[str, Call]
    finish: tuple[str, Call]


NARROW = 1.25
"""Bytes per weight up to which weights count as one byte each: what is around them (constants, fill) included."""


_WIDE = frozenset({"float32", "float16", "int16"})
"""Element types that cores which are ``narrow`` have no kernels for."""


@dataclass(frozen=True)
class Kernel:
    """One C implementation. The function and its header have the same name: ``runtime/kernels/<name>.h``.

    ``types`` are the element types it is for: ``(first input, output)``; None: any, it moves bytes. ``weights``: the
    element type at the port w; None: any that the operator takes with such an input.
    ``needs`` are core features (``dsp``, ``fpu`` ...); ``without`` those that rule it out. ``when`` returns True, or
    the reason why it cannot be used.
    ``call`` builds the arguments if they differ from the op's own. ``weight_bytes``: flash per weight, about.
    ``per_mac``: instructions per multiply-accumulate, about (measured on typical layers): what wider weights buy.
    ``shareable``: whether one body can serve layers of different shapes; not so where shapes are in its instructions.
    ``compact``: it trades speed for little code, and is taken only where layers share bodies; or for the nodes of
    ``also_for``, whose constants are large beside their work, as long as weights are to stay narrow.
    ``part(node, first, end)`` is the call for these output channels alone, where it can make some of them; ``first`` is
    a multiple of ``parts_of``.
    ``form`` tells kernels of the same name apart: the same function, called with less scratch. ``traversal(node,
    backward)``: when it reads and writes what; None: any time (always so where there is no function). Where there is a
    traversal backward, the parameters have a field ``backward``, which ``call`` leaves at 0.
    """

    name: str
    types: tuple[str, str] | None = None
    needs: frozenset[str] = frozenset()
    when: Callable[[Node], bool | str] | None = None
    call: Callable[[Node], Call | list[Call]] | None = None
    weight_bytes: float = 1.0
    per_mac: float | None = None
    shareable: bool = True
    compact: bool = False
    also_for: Callable[[Node], bool] | None = None
    form: str = ""
    traversal: Callable[[Node, bool], Traversal | None] | None = None
    weights: str | None = None
    without: frozenset[str] = frozenset()
    part: Callable[[Node, int, int], Call | None] | None = None
    parts_of: int = 4

    @property
    def title(self) -> str:
        """The name, and the form where there are several."""
        return f"{self.name} ({self.form})" if self.form else self.name

    def steps(self, node: Node, backward: bool = False) -> Traversal | None:
        """When it reads and writes what; None: it may read anything until its last write."""
        return self.traversal(node, backward) if self.traversal else None

    def matches(self, node: Node) -> bool:
        if self.types is None:
            return True
        first = node.operands[0] if node.operands else node.outputs[0]
        last = node.outputs[0] if node.outputs else first
        if (first.dtype.value, last.dtype.value) != self.types:
            return False
        return self.weights is None or node["w"].dtype.value == self.weights

    def reason_against(
        self, node: Node, features: frozenset[str], weight_bytes: float = NARROW, shared: bool = False
    ) -> str | None:
        """Why this kernel cannot run this node on a core with these features; None if it can.

        ``weight_bytes``: flash that a weight may take; ``shared``: all layers are to share its body.
        """
        if shared and not self.shareable:
            return "its body is made for one shape and cannot be shared"
        is_exempt = self.also_for is not None and weight_bytes <= NARROW and self.also_for(node)
        if self.compact and not shared and not is_exempt:
            return "it trades speed for little code"
        if self.weight_bytes > weight_bytes:
            return f"its weights take {self.weight_bytes:g} bytes each"
        missing = self.needs - features
        if missing:
            return f"the core has no {', '.join(sorted(missing))}"
        if unwanted := self.without & features:
            return f"it is not for cores that are {', '.join(sorted(unwanted))}"
        if "narrow" in features and (wide := {*(self.types or ()), self.weights} & _WIDE):
            return f"this core has no kernels on {', '.join(sorted(str(name) for name in wide))}"
        verdict = self.when(node) if self.when else True
        if verdict is True:
            return self._reason_against_flash(node) if "harvard" in features else None
        return verdict or "not for this node"

    def _reason_against_flash(self, node: Node) -> str | None:
        """Why it cannot run where flash is a space of its own: what it reads there must be constant."""
        places = flash_arguments(self.name)
        made = (self.call or op_of(node).call)(node) if places else []
        for call in made if isinstance(made, list) else [made]:
            for arg in (call.args[i] for i in sorted(places)):
                value = node.get(arg.name) if isinstance(arg, Port) else None
                if not isinstance(arg, (Port, Const)) or (value is not None and not value.is_const):
                    return (
                        f"it reads {arg.name if isinstance(arg, Port) else 'a table'} from flash: it must be constant"
                    )
        return None


def for_types(*names: str) -> tuple[str, str]:
    """``for_types("int8")`` or ``for_types("int8", "float32")``: element types of first input and output."""
    return (names[0], names[-1])


@dataclass(frozen=True)
class Choice:
    """The kernel chosen for a node, and every other candidate with the reason why it was not taken."""

    kernel: Kernel
    rejected: tuple[tuple[str, str], ...] = ()


# ---------------------------------------------------------------------------------------------- the operator


class Op(OpBase):
    """Base of all operators. Subclasses are frozen dataclasses, decorated with :func:`register`."""

    kernels: ClassVar[tuple[Kernel, ...]] = ()
    #: the output has the bytes of the input in the same order: it can be the same memory
    is_view: ClassVar[bool] = False
    #: state that a recurrent layer takes and gives: (input port, output port)
    states: ClassVar[tuple[tuple[str, str], ...]] = ()
    #: what its int8 form asks of scales and zero points
    quant: ClassVar[Roles] = NO_ROLES

    @abstractmethod
    def infer(self, node: Node) -> Sequence[Shape]: ...

    def eval_float(self, node: Node, *x: Array) -> Array | tuple[Array, ...]:
        """Meaning on real numbers (float32 in, float32 out)."""
        raise ChipfitError("O002", f"{self.name} '{node.name}' has no float meaning")

    def eval_int(self, node: Node, *x: Array) -> Array | tuple[Array, ...]:
        """Meaning on integers, bit for bit: the definition that all C code is held against."""
        raise ChipfitError("O002", f"{self.name} '{node.name}' has no integer meaning")

    def evaluate(self, node: Node, *x: Array) -> tuple[Array, ...]:
        """Outputs for these inputs in the element types of the node's outputs."""
        is_float = node.outputs[0].dtype.is_float if node.outputs else False
        result = self.eval_float(node, *x) if is_float else self.eval_int(node, *x)
        outputs = result if isinstance(result, tuple) else (result,)
        return tuple(
            np.ascontiguousarray(y, dtype=v.dtype.numpy).reshape(v.shape)
            for y, v in zip(outputs, node.outputs, strict=True)
        )

    def quantized(self, quant: Quant, dtype: DType = DType.INT8) -> Op:
        """The operator on integers that stands for this one on real numbers; both are those of its first output."""
        return self

    def macs(self, node: Node) -> int:
        """Multiply-accumulates of one run."""
        return 0

    def rows(self, node: Node) -> Rows | str:
        """Which input rows an output row needs, or why the output is not computed row by row."""
        return "it is not computed row by row"

    def slice_rows(self, node: Node, first: int, count: int, padded: bool) -> Node:
        """The node that computes output rows ``first`` to ``first + count - 1`` from the input rows they need.

        ``padded``: the input holds rows of padding, too, so that all windows are whole; else those rows are clipped at
        the image and the node pads. Constants are the same values. Only where ``rows`` gives them.
        """
        raise NotImplementedError

    def row_sums(self, node: Node) -> RowSums | None:
        """How the op takes its input row by row though its output is no image; None: it does not."""
        return None

    def call(self, node: Node) -> Call | list[Call]:
        """Arguments of the C kernels (those that do not bring their own ``call``); several calls run in order."""
        raise NotImplementedError

    def candidates(self, node: Node) -> list[Kernel]:
        """Kernels for the node's element types, the preferred one first."""
        return [k for k in self.kernels if k.matches(node)]

    def choose(
        self, node: Node, features: frozenset[str], weight_bytes: float = NARROW, shared: bool = False
    ) -> Choice:
        """The first candidate that a core with these features can run, under the demands of ``reason_against``.

        Raises ChipfitError O002 if there is none.
        """
        rejected: list[tuple[str, str]] = []
        chosen: Kernel | None = None
        for kernel in self.candidates(node):
            reason = kernel.reason_against(node, features, weight_bytes, shared)
            if reason is None and chosen is None:
                chosen = kernel
            else:
                rejected.append((kernel.title, reason or "a better one fits"))
        if chosen is None:
            types = ", ".join(str(v.type) for v in node.operands)
            why = "; ".join(f"{name}: {reason}" for name, reason in rejected) or "no kernel has these element types"
            raise ChipfitError(
                "O002",
                f"{self.name} '{node.name}' ({types}) has no C kernel: {why}",
                "quantize the whole model to int8, or leave it in float32",
            )
        return Choice(chosen, tuple(rejected))

    @classmethod
    def samples(cls, rng: np.random.Generator) -> Iterator[Node]:
        """Nodes for the generic tests: small, odd and prime shapes, extreme scales and zero points."""
        raise NotImplementedError(f"{cls.name} has no samples")


# ---------------------------------------------------------------------------------------------- the registry

OpClass = TypeVar("OpClass", bound=type[Op])
REGISTRY: dict[str, type[Op]] = {}


def register(cls: OpClass) -> OpClass:
    """Make an operator known by its name."""
    if cls.name in REGISTRY:
        raise ValueError(f"two operators are named {cls.name}")
    REGISTRY[cls.name] = cls
    return cls


def op_of(node: Node) -> Op:
    """The node's operator with all that the project knows of it."""
    if not isinstance(node.op, Op):
        raise ChipfitError("G001", f"{node} has an operator that is not registered")
    return node.op


# ---------------------------------------------------------------------------------------------- for samples and tests


def make_node(
    op: Op,
    inputs: Mapping[str, TensorType | Array | tuple[TensorType, Array] | None] | Sequence[TensorType | Array],
    *outputs: tuple[DType, Quant | None],
) -> Node:
    """A node on its own. Inputs are types, or constants (array, or type and array); output shapes are inferred.

    Mapping keys only serve the reader: the order is that of the ports. ``outputs``: element type and quantization of
    each; one pair serves all outputs of an operator with several.
    """
    items: Iterable[tuple[str, Any]]
    items = inputs.items() if isinstance(inputs, Mapping) else ((f"x{i}", x) for i, x in enumerate(inputs))
    values: list[Value | None] = []
    for name, item in items:
        if item is None:
            values.append(None)
        elif isinstance(item, TensorType):
            values.append(Value(name, item))
        elif isinstance(item, tuple):
            values.append(Value(name, item[0], item[1]))
        else:
            values.append(Value(name, TensorType(tuple(item.shape), DType.of(item)), item))
    node = Node(op, values, [])
    shapes = op.infer(node)
    kinds = outputs if len(outputs) == len(shapes) else outputs * len(shapes)
    node.outputs = [
        Value("y" if len(shapes) == 1 else f"y{i}", TensorType(tuple(shape), dtype, quant))
        for i, (shape, (dtype, quant)) in enumerate(zip(shapes, kinds, strict=True))
    ]
    return node


def graph_of(node: Node) -> Graph:
    """A graph of this one node: its operands that are no constants are the inputs.

    A node that reads or writes a variable gets its counterpart, so that what is written is read.
    """
    inputs = [v for v in dict.fromkeys(node.operands) if not v.is_const]
    variable = node.op.attributes().get("variable")
    if variable is not None:
        return _graph_of_state(node, variable)
    return Graph(node.op.name, inputs, list(node.outputs), [node])


def stateful_graph_of(node: Node) -> Graph:
    """As :func:`graph_of`; a recurrent layer reads its state from variables, and assigns to them what it becomes."""
    op = op_of(node)
    changed = Node(op, list(node.inputs), list(node.outputs))
    before: list[Node] = []
    after: list[Node] = []
    variables: dict[str, Variable] = {}
    for taken, given in op.states:
        name, type_ = f"state_{taken}", node[taken].type
        zero = 0 if type_.quant is None else type_.q.zp
        variables[name] = Variable(name, type_, np.full(type_.shape, zero, type_.dtype.numpy))
        read, written = state_nodes(changed, taken, given, name)
        before.append(read)
        after.append(written)
    graph = graph_of(changed)
    if op.states:
        graph.inputs = [v for v in graph.inputs if all(v is not read.outputs[0] for read in before)]
        graph.outputs = [v for v in graph.outputs if all(v is not written.operands[0] for written in after)]
        graph.nodes, graph.variables = [*before, changed, *after], variables
    return graph


def state_nodes(node: Node, taken: str, given: str, variable: str) -> tuple[Node, Node]:
    """Nodes that read the variable before ``node`` and assign to it afterwards.

    The values at the ports ``taken`` and ``given`` become ``<variable>/old`` and ``<variable>/new``.
    """
    from chipfit.ops.assign_variable import AssignVariable
    from chipfit.ops.read_variable import ReadVariable

    old, new = Value(f"{variable}/old", node[taken].type), Value(f"{variable}/new", node[given].type)
    node.inputs[node.op.inputs.index(taken)] = old
    node.outputs[node.op.outputs.index(given)] = new
    return Node(ReadVariable(variable), [], [old]), Node(AssignVariable(variable), [new], [])


def _graph_of_state(node: Node, variable: str) -> Graph:
    from chipfit.ops.assign_variable import AssignVariable
    from chipfit.ops.read_variable import ReadVariable

    type_ = (node.operands or node.outputs)[0].type
    if node.outputs:
        write, read = Node(AssignVariable(variable), [Value("x", type_)], []), node
    else:
        write, read = node, Node(ReadVariable(variable), [], [Value("y", type_)])
    state = Variable(variable, type_, np.zeros(type_.shape, type_.dtype.numpy))
    return Graph(node.op.name, write.operands, read.outputs, [write, read], {variable: state})


def int8_type(
    rng: np.random.Generator, *shape: int, scale: float | None = None, zero_point: int | None = None
) -> TensorType:
    """A random int8 activation type; the zero point is extreme in one of three draws."""
    s = float(rng.uniform(0.002, 0.3)) if scale is None else scale
    z = int(rng.choice([-128, 127, int(rng.integers(-128, 128))])) if zero_point is None else zero_point
    return TensorType(tuple(shape), DType.INT8, Quant.per_tensor(s, z))


def int16_type(rng: np.random.Generator, *shape: int, scale: float | None = None) -> TensorType:
    """A random int16 activation type: symmetric."""
    s = float(rng.uniform(0.00001, 0.001)) if scale is None else scale
    return TensorType(tuple(shape), DType.INT16, Quant.per_tensor(s))


def float_type(*shape: int) -> TensorType:
    return TensorType(tuple(shape), DType.FLOAT32)


def random_input(rng: np.random.Generator, type_: TensorType) -> Array:
    """Elements over the whole range of an integer type; normal ones for floats."""
    if type_.dtype.is_float:
        return rng.normal(0.0, 2.0, type_.shape).astype(type_.dtype.numpy)
    if type_.dtype is DType.BOOL:
        return rng.integers(0, 2, type_.shape).astype(np.bool_)
    low, high = type_.dtype.range
    return rng.integers(low, high, type_.shape, dtype=type_.dtype.numpy, endpoint=True)


def dequantize(x: Array, quant: Quant) -> Array:
    """Real numbers of quantized elements, float32."""
    scale, zero = np.array(quant.scale, np.float32), np.array(quant.zero_point, np.float32)
    if quant.axis is not None:
        shape = [1] * x.ndim
        shape[quant.axis] = -1
        scale, zero = scale.reshape(shape), zero.reshape(shape)
    return ((x.astype(np.float32) - zero) * scale).astype(np.float32)
