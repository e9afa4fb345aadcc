"""Let convolutions between SPACE_TO_BATCH_ND and BATCH_TO_SPACE_ND be dilated, as converters write such ones."""

from __future__ import annotations

import dataclasses

from chipfit.graph import Graph, Node, Value
from chipfit.graph.rewrite import Changed, Uses, pass_of_rules
from chipfit.ops import op_of
from chipfit.ops._window import Pads
from chipfit.ops.batch_to_space_nd import BatchToSpaceNd
from chipfit.ops.conv2d import Conv2D
from chipfit.ops.depthwise_conv2d import DepthwiseConv2D
from chipfit.ops.reshape import Reshape
from chipfit.ops.space_to_batch_nd import SpaceToBatchNd


def fold_dilation(graph: Graph, node: Node, uses: Uses) -> Changed | str | None:
    """Every block-th pixel of the image, put beside each other, convolved and put back: that is a dilated convolution.

    Exact: each output is the sum over the same elements. Padding is the real number 0 in both. Blocks of one axis have
    views around the convolution, which make an image of one row.
    """
    if not isinstance(node.op, BatchToSpaceNd):
        return None
    conv = _source(uses, node["x"], len(node.op.block))
    if conv is None or not isinstance(conv.op, Conv2D | DepthwiseConv2D):
        return None
    before = _source(uses, conv["x"], len(node.op.block))
    if before is None or not isinstance(before.op, SpaceToBatchNd):
        return None
    if before.op.block != node.op.block:
        return f"puts blocks of {node.op.block} back, but those before the convolution are {before.op.block}"
    reason = _why_not(conv, before, node, uses)
    if reason is not None:
        return reason
    return _fold(before, conv, node, uses)


def _source(uses: Uses, value: Value, axes: int) -> Node | None:
    """What makes a value; with blocks of one axis, what the view before it looks at."""
    node = uses.producer(value)
    if node is None or axes == 2:
        return node
    line, image = sorted((node.operands[0].shape, value.shape), key=len)
    is_row = op_of(node).is_view and len(line) == 3 and image == (line[0], 1, *line[1:])
    return uses.producer(node.operands[0]) if is_row else None


def _why_not(conv: Node, before: Node, after: Node, uses: Uses) -> str | None:
    op = conv.op
    assert isinstance(op, Conv2D | DepthwiseConv2D)
    if op.stride != (1, 1) or op.dilation != (1, 1):
        return f"comes after '{conv.name}', which has strides or is dilated itself"
    chain = [before["y"], conv["x"], conv["y"], after["x"]]
    if any(uses.only_reader(value) is None for value in chain):
        return f"comes after '{conv.name}', but something else needs what lies between"
    if (
        len({v.type.quant for v in (before["x"], *chain[:2])}) > 1
        or len({v.type.quant for v in (*chain[2:], after["y"])}) > 1
    ):
        return f"comes after '{conv.name}', and one of its neighbours has another quantization"
    if min(_pads(conv, before, after)) < 0:
        return f"cuts off more than is padded before '{conv.name}'"
    return None


def _pads(conv: Node, before: Node, after: Node) -> Pads:
    """Those of the dilated convolution: of the blocks, and of the convolution in steps of a block, less the crops."""
    block = (1, *_block(before))[-2:]
    pads = ((0, 0), *before.op.attributes()["pads"])[-2:]
    crops = ((0, 0), *after.op.attributes()["crops"])[-2:]
    top, left, bottom, right = conv.op.attributes()["pad"]
    (above, below), (first, last) = (
        (pad[0] + own[0] * b - crop[0], pad[1] + own[1] * b - crop[1])
        for pad, own, b, crop in zip(pads, ((top, bottom), (left, right)), block, crops, strict=True)
    )
    return (above, first, below, last)


def _block(node: Node) -> tuple[int, ...]:
    return node.op.attributes()["block"]


def _fold(before: Node, conv: Node, after: Node, uses: Uses) -> Changed:
    """The convolution reads what SPACE_TO_BATCH_ND read and makes what BATCH_TO_SPACE_ND made; views stay."""
    op, block, pads = conv.op, (1, *_block(before))[-2:], _pads(conv, before, after)
    assert isinstance(op, Conv2D | DepthwiseConv2D)
    x, y = before["x"], after["y"]
    uses.remove(before)
    uses.remove(after)
    if len(_block(before)) == 2:
        uses.set_inputs(conv, [x, *conv.inputs[1:]])
        uses.set_outputs(conv, [y])
    else:
        first, last = uses.producer(conv["x"]), uses.only_reader(conv["y"])
        assert first is not None
        assert last is not None
        for view, line in ((first, x), (last, y)):
            shape = (line.shape[0], 1, *line.shape[1:])
            image = conv["x"] if view is first else conv["y"]
            image.type = dataclasses.replace(image.type, shape=shape)
            view.op = Reshape(shape if view is first else line.shape)
        uses.set_inputs(first, [x])
        uses.set_outputs(last, [y])
    conv.op = dataclasses.replace(op, dilation=(block[0], block[1]), pad=pads)
    return Changed(f"moved the blocks around '{y.name}' into {op.name}")


FOLD_DILATION = pass_of_rules(
    "fold_dilation",
    "A convolution of blocks of pixels (SPACE_TO_BATCH_ND, BATCH_TO_SPACE_ND) becomes a dilated one.",
    [fold_dilation],
)
