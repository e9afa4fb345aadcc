"""Many samples through one operator at once. Arrays hold samples first: (samples, *shape of the tensor)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from chipfit.graph import Array, Graph, Node, Value
from chipfit.ops import op_of
from chipfit.ops._lookup import BYTES, lookup_table, scalar_lookup_reason
from chipfit.ops._pool import Pool
from chipfit.ops._reduce import Reduce
from chipfit.ops._unary import Unary
from chipfit.ops._weights_only import real_weights
from chipfit.ops.add import Add
from chipfit.ops.concatenation import Concatenation
from chipfit.ops.dequantize import Dequantize
from chipfit.ops.log_softmax import LogSoftmax
from chipfit.ops.mul import Mul
from chipfit.ops.pad import Pad
from chipfit.ops.quantize import Quantize
from chipfit.ops.scan import TIME, Scan
from chipfit.ops.softmax import Softmax
from chipfit.ops.sub import Sub
from chipfit.quantize.layers import LAYERS, Layer, activated

_BROADCAST = (Add, Sub, Mul)
_ALONG_SAMPLES = (*_BROADCAST, Pool, Unary, Softmax, LogSoftmax, Quantize, Dequantize)
"""Operators that treat the indices of the first axis alike."""

_CHUNK = 1 << 20
"""Elements of the larger of input and output that are in work at a time: what stays near the processor."""


def chunks(samples: int, elements: int) -> Iterator[slice]:
    """Slices over the samples, each of about as many elements as should be in work at a time."""
    step = max(1, _CHUNK // max(1, elements))
    for start in range(0, samples, step):
        yield slice(start, min(start + step, samples))


def evaluate(node: Node, operands: Sequence[Array]) -> list[Array]:
    """Outputs of a node for samples: float or integer, as the node's output is.

    ``operands``: one array for each operand that is no constant, in order.
    """
    samples = len(operands[0])
    if isinstance(node.op, Scan):
        given = iter(operands)
        full = [np.broadcast_to(v.array, (samples, *v.shape)) if v.is_const else next(given) for v in node.operands]
        body = node.op.body
        return node.op.scan(full, lambda inputs: run_body(body, inputs), TIME + 1)
    if op_of(node).is_view:
        return [operands[0].reshape(samples, *node.outputs[0].shape)]
    if by_table(node):
        return [lookup_table(node)[operands[0].view(np.uint8)].reshape(samples, *node.outputs[0].shape)]
    outputs = [np.empty((samples, *v.shape), v.dtype.numpy) for v in node.outputs]
    largest = max(v.type.size for v in (*node.operands, *node.outputs) if not v.is_const)
    for part in chunks(samples, largest):
        results = _chunk(node, [x[part] for x in operands])
        for y, result in zip(outputs, results, strict=True):
            y[part] = result
    return outputs


def run_body(body: Graph, inputs: Sequence[Array]) -> list[Array]:
    """The outputs of a graph inside of an operator, for samples."""
    values = dict(zip(body.inputs, inputs, strict=True))
    for node in body.nodes:
        results = evaluate(node, [values[v] for v in node.operands if not v.is_const])
        values.update(zip(node.outputs, results, strict=True))
    samples = len(inputs[0])
    return [np.broadcast_to(v.array, (samples, *v.shape)) if v.is_const else values[v] for v in body.outputs]


def _chunk(node: Node, operands: list[Array]) -> list[Array]:
    samples = len(operands[0])
    if _at_once(node):
        joined = iter([x.reshape(samples, *x.shape[2:]) for x in operands])
        inputs = [v.array if v.is_const else next(joined) for v in node.operands]
        is_float = node.outputs[0].dtype.is_float
        if is_float and isinstance(node.op, LAYERS):
            layer = Layer(node)
            y = activated(node, layer.sums(inputs[0], real_weights(node["w"], inputs[1])) + layer.bias)
            return [y.reshape(samples, *node.outputs[0].shape)]
        result = op_of(node).eval_float(node, *inputs) if is_float else op_of(node).eval_int(node, *inputs)
        results = result if isinstance(result, tuple) else (result,)
        return [y.reshape(samples, *v.shape) for y, v in zip(results, node.outputs, strict=True)]
    rows: list[tuple[Array, ...]] = []
    for i in range(samples):
        given = iter([x[i] for x in operands])
        rows.append(op_of(node).evaluate(node, *(v.array if v.is_const else next(given) for v in node.operands)))
    return [np.stack(column) for column in zip(*rows, strict=True)]


def by_table(node: Node) -> bool:
    """Whether each element of the result depends on one byte alone."""
    computed = [v for v in node.operands if not v.is_const]
    if len(computed) != 1 or computed[0].dtype not in BYTES:
        return False
    return isinstance(node.op, Unary | Quantize) or (
        isinstance(node.op, _BROADCAST) and scalar_lookup_reason(node) is True
    )


def _at_once(node: Node) -> bool:
    """Whether samples can lie along the first axis, which is 1 in all tensors that are computed."""
    computed: list[Value] = [v for v in (*node.operands, *node.outputs) if not v.is_const]
    if any(len(v.shape) < 2 or v.shape[0] != 1 for v in computed):
        return False
    op = node.op
    if isinstance(op, LAYERS):
        return node["w"].is_const
    if isinstance(op, Reduce):
        return 0 not in op.axes
    if isinstance(op, _BROADCAST):
        return len({len(v.shape) for v in computed}) == 1
    if isinstance(op, Concatenation):
        return op.axis != 0 and not any(v.is_const for v in node.operands)
    if isinstance(op, Pad):
        return not any(op.pads[0])
    return isinstance(op, _ALONG_SAMPLES)
