"""Each operator against onnxruntime, in the forms that models have it in."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from chipfit.importers.onnx.operators import OPERATORS
from importers.onnx.nets import check, feeds, integers, model, node, one, random, runtime_or_skip

runtime_or_skip()

IMAGE, ROW = (1, 4, 7, 9), (1, 4, 11)
POSITIVE = np.abs(random(1, 4, 7, 9)) + 0.1


def positive(op: str, **attributes: Any) -> Any:
    """A model of one node on numbers above 0."""
    nodes = [node("Abs", "x", "a"), node("Add", "a c", "p"), node(op, "p", "y", **attributes)]
    return model(nodes, {"x": IMAGE}, {"c": np.array([0.1], np.float32)}, ["y"])


def pair(op: str, opset: int = 17) -> Any:
    """Comparisons of small integers as reals, so that some are equal."""
    nodes = [node("Round", "x", "a"), node("Round", "z", "b"), node(op, "a b", "c"), node("Cast", "c", "y", to=1)]
    return model(nodes, {"x": IMAGE, "z": (4, 1, 9)}, {}, ["y"], opset)


def logic(op: str) -> Any:
    nodes = [node("Greater", "x z", "a"), node("Less", "x h", "b"), node(op, "a b", "c"), node("Cast", "c", "y", to=1)]
    return model(nodes, {"x": IMAGE, "z": IMAGE}, {"h": np.array(0.5, np.float32)}, ["y"])


def resize(sizes: list[int] | None, scales: list[float] | None = None, shape: Any = IMAGE, **attributes: Any) -> Any:
    constants = [
        None,
        None if scales is None else np.array(scales, np.float32),
        None if sizes is None else integers(*sizes),
    ]
    while constants[-1] is None:
        constants.pop()
    return one("Resize", shape, constants=constants, **attributes)


CASES: dict[str, Any] = {
    # windows
    "conv": one("Conv", IMAGE, constants=[random(6, 4, 3, 2), random(6)], strides=[2, 1], pads=[1, 0, 2, 1]),
    "conv_no_bias_dilated": one("Conv", IMAGE, constants=[random(6, 4, 3, 2)], dilations=[2, 3]),
    "conv_groups": one("Conv", IMAGE, constants=[random(6, 2, 3, 3), random(6)], group=2),
    "conv_depthwise": one("Conv", IMAGE, constants=[random(8, 1, 3, 3), random(8)], group=4, pads=[1, 1, 1, 1]),
    "conv_same_upper": one("Conv", IMAGE, constants=[random(6, 4, 2, 4)], auto_pad="SAME_UPPER", strides=[2, 3]),
    "conv_same_lower": one("Conv", IMAGE, constants=[random(6, 4, 2, 4)], auto_pad="SAME_LOWER", strides=[2, 3]),
    "conv_valid": one("Conv", IMAGE, constants=[random(6, 4, 2, 4)], auto_pad="VALID"),
    "conv_1d": one("Conv", ROW, constants=[random(6, 4, 3), random(6)], strides=[2], pads=[1, 2]),
    "conv_1d_depthwise": one("Conv", ROW, constants=[random(4, 1, 3)], group=4, dilations=[2]),
    "conv_transpose": one(
        "ConvTranspose", IMAGE, constants=[random(4, 5, 3, 2), random(5)], strides=[2, 3], pads=[1, 0, 0, 1]
    ),
    "conv_transpose_extra": one(
        "ConvTranspose", IMAGE, constants=[random(4, 5, 3, 3)], strides=[2, 2], output_padding=[1, 1], pads=[1, 1, 1, 1]
    ),
    "conv_transpose_groups": one("ConvTranspose", IMAGE, constants=[random(4, 3, 3, 3)], strides=[2, 2], group=2),
    "conv_transpose_depthwise": one("ConvTranspose", IMAGE, constants=[random(4, 1, 4, 4)], strides=[2, 2], group=4),
    "conv_transpose_dilated": one("ConvTranspose", IMAGE, constants=[random(4, 3, 3, 3)], dilations=[2, 1]),
    "conv_transpose_1d": one("ConvTranspose", ROW, constants=[random(4, 3, 4), random(3)], strides=[2]),
    "conv_transpose_same": one(
        "ConvTranspose", IMAGE, constants=[random(4, 3, 3, 3)], strides=[2, 2], auto_pad="SAME_UPPER"
    ),
    "conv_transpose_shape": one(
        "ConvTranspose", IMAGE, constants=[random(4, 3, 3, 3)], strides=[3, 2], output_shape=[20, 19]
    ),
    "max_pool": one("MaxPool", IMAGE, kernel_shape=[3, 2], strides=[2, 2], pads=[1, 0, 1, 1]),
    "max_pool_ceil": one("MaxPool", IMAGE, kernel_shape=[2, 2], strides=[2, 2], ceil_mode=1),
    "max_pool_same": one("MaxPool", IMAGE, kernel_shape=[3, 3], strides=[2, 2], auto_pad="SAME_UPPER"),
    "max_pool_1d": one("MaxPool", ROW, kernel_shape=[3], strides=[2]),
    "average_pool": one("AveragePool", IMAGE, kernel_shape=[3, 2], strides=[2, 1], pads=[1, 0, 1, 1]),
    "average_pool_pads": one("AveragePool", IMAGE, kernel_shape=[3, 3], pads=[1, 1, 1, 1], count_include_pad=1),
    "average_pool_1d": one("AveragePool", ROW, kernel_shape=[4], strides=[3]),
    "global_average_pool": one("GlobalAveragePool", IMAGE),
    "global_average_pool_1d": one("GlobalAveragePool", ROW),
    "global_max_pool": one("GlobalMaxPool", IMAGE),
    "depth_to_space": one("DepthToSpace", (1, 12, 3, 5), blocksize=2),
    "depth_to_space_crd": one("DepthToSpace", (1, 12, 3, 5), blocksize=2, mode="CRD"),
    "space_to_depth": one("SpaceToDepth", (1, 3, 4, 6), blocksize=2),
    # matrices and normalizations
    "matmul": one("MatMul", (1, 5, 6), constants=[random(6, 3)]),
    "matmul_of_constant": model([node("MatMul", "c x", "y")], {"x": (6, 5)}, {"c": random(3, 6)}, ["y"]),
    "matmul_of_two": one("MatMul", (1, 2, 5, 6), (1, 2, 6, 3)),
    "matmul_of_vectors": one("MatMul", (6,), (6, 3)),
    "matmul_of_vector": one("MatMul", (6,), constants=[random(6, 3)]),
    "gemm": one("Gemm", (1, 6), constants=[random(6, 3), random(3)], alpha=0.7, beta=1.3),
    "gemm_transposed": one("Gemm", (1, 6), constants=[random(3, 6), random(1, 3)], transB=1),
    "gemm_trans_a": one("Gemm", (6, 2), constants=[random(6, 3)], transA=1),
    "gemm_of_matrix": one("Gemm", (2, 6), constants=[random(6, 3), random(2, 3)], beta=0.5),
    "gemm_of_two": one("Gemm", (2, 6), (3, 6), transB=1, alpha=0.5),
    "batch_normalization": one(
        "BatchNormalization", IMAGE, constants=[random(4), random(4), random(4), np.abs(random(4))], epsilon=1e-3
    ),
    "instance_normalization": one("InstanceNormalization", IMAGE, constants=[random(4), random(4)]),
    "layer_normalization": one("LayerNormalization", (1, 5, 6), constants=[random(6), random(6)]),
    "layer_normalization_axes": one("LayerNormalization", (1, 5, 6), constants=[random(5, 6)], axis=1),
    "group_normalization": one("GroupNormalization", IMAGE, constants=[random(4), random(4)], num_groups=2, opset=21),
    "rms_normalization": one("RMSNormalization", (1, 5, 6), constants=[random(6)], opset=23),
    "mean_variance_normalization": one("MeanVarianceNormalization", IMAGE),
    "lp_normalization": one("LpNormalization", IMAGE, axis=1),
    "lp_normalization_1": one("LpNormalization", IMAGE, axis=-1, p=1),
    # activations
    "relu": one("Relu", IMAGE),
    "leaky_relu": one("LeakyRelu", IMAGE, alpha=0.2),
    "prelu": one("PRelu", IMAGE, constants=[random(4, 1, 1)]),
    "prelu_one": one("PRelu", IMAGE, constants=[random(1)]),
    "prelu_row": one("PRelu", (1, 6), constants=[random(6)]),
    "elu": one("Elu", IMAGE, alpha=0.7),
    "selu": one("Selu", IMAGE),
    "celu": one("Celu", IMAGE, alpha=2.0),
    "sigmoid": one("Sigmoid", IMAGE),
    "hard_sigmoid": one("HardSigmoid", IMAGE),
    "hard_sigmoid_sixth": one("HardSigmoid", IMAGE, alpha=1 / 6),
    "hard_swish": one("HardSwish", IMAGE),
    "swish": one("Swish", IMAGE, opset=24),
    "quick_gelu": one("QuickGelu", IMAGE, domain="com.microsoft", alpha=1.702),
    "tanh": one("Tanh", IMAGE),
    "softmax": one("Softmax", IMAGE, axis=1),
    "softmax_last": one("Softmax", (1, 6)),
    "softmax_11": one("Softmax", IMAGE, axis=2, opset=11),
    "log_softmax": one("LogSoftmax", (1, 6)),
    "log_softmax_11": one("LogSoftmax", IMAGE, opset=11),
    "softplus": one("Softplus", IMAGE),
    "softsign": one("Softsign", IMAGE),
    "mish": one("Mish", IMAGE, opset=18),
    "gelu": one("Gelu", IMAGE, opset=20),
    "gelu_tanh": one("Gelu", IMAGE, opset=20, approximate="tanh"),
    "gelu_microsoft": one("Gelu", IMAGE, domain="com.microsoft"),
    "fast_gelu": one("FastGelu", (1, 5, 6), constants=[random(6)], domain="com.microsoft"),
    "thresholded_relu": one("ThresholdedRelu", IMAGE, alpha=0.4),
    "shrink": one("Shrink", IMAGE, lambd=0.3, bias=0.3),
    "clip": one("Clip", IMAGE, constants=[np.float32(-0.3), np.float32(0.5)]),
    "clip_relu6": one("Clip", IMAGE, constants=[np.float32(0), np.float32(6)]),
    "clip_above": one("Clip", IMAGE, constants=[None, np.float32(0.5)]),
    "clip_attributes": one("Clip", IMAGE, opset=9, min=-0.5, max=0.25),
    # arithmetic
    "add": one("Add", IMAGE, (4, 1, 1)),
    "sub": one("Sub", IMAGE, (9,)),
    "mul": one("Mul", IMAGE, IMAGE),
    "div": one("Div", IMAGE, constants=[POSITIVE]),
    "div_of_two": model([node("Exp", "z", "e"), node("Div", "x e", "y")], {"x": IMAGE, "z": (1, 4, 1, 9)}, {}, ["y"]),
    "pow": one("Pow", IMAGE, constants=[np.float32(2)]),
    "pow_3": one("Pow", IMAGE, constants=[np.float32(3)]),
    "pow_of_integer": one("Pow", IMAGE, constants=[np.int64(3)]),
    "pow_root": positive("Sqrt"),
    "max": one("Max", IMAGE, (1, 4, 1, 1), IMAGE),
    "min": one("Min", IMAGE, (1, 4, 1, 1)),
    "sum": one("Sum", IMAGE, (1, 4, 1, 1), IMAGE),
    "mean": one("Mean", IMAGE, IMAGE, IMAGE),
    "neg": one("Neg", IMAGE),
    "abs": one("Abs", IMAGE),
    "exp": one("Exp", IMAGE),
    "log": positive("Log"),
    "reciprocal": positive("Reciprocal"),
    "floor": one("Floor", IMAGE),
    "ceil": one("Ceil", IMAGE),
    "round": one("Round", IMAGE),
    "sign": one("Sign", IMAGE),
    "sin": one("Sin", IMAGE),
    "cos": one("Cos", IMAGE),
    "tan": one("Tan", IMAGE),
    **{op.lower(): pair(op) for op in ("Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual")},
    **{op.lower(): logic(op) for op in ("And", "Or", "Xor")},
    "not": model(
        [node("Greater", "x z", "a"), node("Not", "a", "b"), node("Cast", "b", "y", to=1)],
        {"x": IMAGE, "z": IMAGE},
        {},
        ["y"],
    ),
    "where": model(
        [node("Greater", "x z", "a"), node("Where", "a x c", "y")], {"x": IMAGE, "z": IMAGE}, {"c": random(9)}, ["y"]
    ),
    "cast": one("Cast", IMAGE, to=6, types={"y": np.int32}),
    "cast_like": one("CastLike", IMAGE, constants=[np.int32(1)], types={"y": np.int32}),
    "identity": one("Identity", IMAGE),
    "dropout": one("Dropout", IMAGE, constants=[np.float32(0.4)]),
    # moves
    "reshape": one("Reshape", IMAGE, constants=[integers(0, 2, -1)]),
    "flatten": one("Flatten", IMAGE),
    "flatten_axis": one("Flatten", IMAGE, axis=-1),
    "squeeze": one("Squeeze", (1, 4, 1, 3), constants=[integers(2)]),
    "squeeze_all": one("Squeeze", (1, 4, 1, 3)),
    "squeeze_11": one("Squeeze", (1, 4, 1, 3), opset=11, axes=[0, -2]),
    "unsqueeze": one("Unsqueeze", ROW, constants=[integers(0, -1)]),
    "unsqueeze_11": one("Unsqueeze", ROW, opset=11, axes=[1]),
    "transpose": one("Transpose", IMAGE, perm=[0, 2, 3, 1]),
    "transpose_all": one("Transpose", IMAGE),
    "concat": one("Concat", IMAGE, (1, 2, 7, 9), axis=1),
    "concat_last": one("Concat", IMAGE, (1, 4, 7, 2), axis=-1),
    "split": one("Split", IMAGE, constants=[integers(1, 3)], outputs="a b", axis=1),
    "split_equal": one("Split", IMAGE, outputs="a b", axis=1),
    "split_18": one("Split", IMAGE, outputs="a b", axis=2, num_outputs=2, opset=18),
    "split_11": one("Split", IMAGE, outputs="a b", axis=1, split=[3, 1], opset=11),
    "slice": one("Slice", IMAGE, constants=[integers(1, -3), integers(3, 1000), integers(1, 3)]),
    "slice_steps": one(
        "Slice", IMAGE, constants=[integers(-1, 0), integers(-1000, 9), integers(2, 3), integers(-2, 3)]
    ),
    "slice_9": one("Slice", IMAGE, opset=9, starts=[1], ends=[3], axes=[2]),
    "gather": one("Gather", IMAGE, constants=[integers(3, -4, 0)], axis=1),
    "gather_one": one("Gather", IMAGE, constants=[np.array(-1, np.int64)], axis=2),
    "gather_rows": model(
        [node("Gather", "c x", "y")], {"x": (1, 6)}, {"c": random(5, 3)}, ["y"], types={"x": np.int64}
    ),
    "pad": one("Pad", IMAGE, constants=[integers(0, 0, 1, 2, 0, 0, 3, 0)]),
    "pad_value": one("Pad", IMAGE, constants=[integers(0, 1, 1, 0, 0, 0, 0, 2), np.float32(1.5)]),
    "pad_reflect": one("Pad", IMAGE, constants=[integers(0, 0, 1, 2, 0, 0, 3, 0)], mode="reflect"),
    "pad_edge": one("Pad", IMAGE, constants=[integers(0, 0, 1, 2, 0, 0, 3, 0)], mode="edge"),
    "pad_wrap": one("Pad", IMAGE, constants=[integers(0, 0, 1, 2, 0, 0, 3, 0)], mode="wrap", opset=19),
    "pad_less": one("Pad", IMAGE, constants=[integers(0, 0, -1, 2, 0, 0, 0, -3)]),
    "pad_axes": one("Pad", IMAGE, constants=[integers(1, 2), None, integers(-1)], opset=18),
    "pad_attribute": one("Pad", IMAGE, opset=9, pads=[0, 0, 1, 2, 0, 0, 3, 0], value=0.5),
    "expand": one("Expand", (1, 4, 1, 3), constants=[integers(2, 1, 5, 1)]),
    "tile": one("Tile", (1, 4, 3), constants=[integers(1, 2, 3)]),
    "cumulative_sum": one("CumSum", (1, 5, 6), constants=[np.int32(1)]),
    "cumulative_sum_reverse": one("CumSum", (1, 5, 6), constants=[np.int32(-1)], reverse=1, exclusive=1),
    "trilu": one("Trilu", (1, 5, 6), constants=[np.int64(1)]),
    "trilu_lower": one("Trilu", (1, 5, 6), upper=0),
    # sizes
    "resize_nearest": resize(None, [1, 1, 2, 2], mode="nearest", coordinate_transformation_mode="asymmetric"),
    "resize_nearest_half": resize(None, [1, 1, 2, 3], mode="nearest"),
    "resize_nearest_sizes": resize([1, 4, 5, 13], mode="nearest", nearest_mode="floor"),
    "resize_nearest_ceil": resize([1, 4, 5, 13], mode="nearest", nearest_mode="ceil"),
    "resize_nearest_corners": resize([1, 4, 9, 5], mode="nearest", coordinate_transformation_mode="align_corners"),
    "resize_nearest_symmetric": resize(
        None, [1, 1, 1.3, 0.6], mode="nearest", coordinate_transformation_mode="half_pixel_symmetric"
    ),
    "resize_nearest_tf": resize(
        [1, 4, 5, 13], mode="nearest", nearest_mode="floor", coordinate_transformation_mode="tf_half_pixel_for_nn"
    ),
    "resize_linear_symmetric": resize(
        None, [1, 1, 2, 3], mode="linear", coordinate_transformation_mode="half_pixel_symmetric"
    ),
    "resize_linear": resize([1, 4, 14, 5], mode="linear"),
    "resize_linear_scales": resize(None, [1, 1, 2, 3], mode="linear", coordinate_transformation_mode="asymmetric"),
    "resize_linear_corners": resize([1, 4, 9, 17], mode="linear", coordinate_transformation_mode="align_corners"),
    "resize_pytorch": resize([1, 4, 9, 17], mode="linear", coordinate_transformation_mode="pytorch_half_pixel"),
    "resize_1d": resize([1, 4, 22], shape=ROW, mode="linear"),
    "resize_10": one("Resize", IMAGE, constants=[np.array([1, 1, 2, 2], np.float32)], opset=10),
    "upsample": one("Upsample", IMAGE, constants=[np.array([1, 1, 2, 2], np.float32)], opset=9),
    "upsample_linear": one("Upsample", IMAGE, constants=[np.array([1, 1, 2, 3], np.float32)], opset=9, mode="linear"),
    # reductions
    **{
        op.lower(): one(op, IMAGE, axes=[2, 3], keepdims=0)
        for op in ("ReduceMean", "ReduceMax", "ReduceMin", "ReduceProd", "ReduceL1", "ReduceL2", "ReduceSumSquare")
    },
    "reducesum": one("ReduceSum", IMAGE, constants=[integers(1, -1)]),
    "reducesum_all": one("ReduceSum", IMAGE, keepdims=0),
    "reducesum_none": one("ReduceSum", IMAGE, noop_with_empty_axes=1),
    "reducemean_18": one("ReduceMean", IMAGE, constants=[integers(1)], opset=18),
    "reducelogsum": model([node("Exp", "x", "e"), node("ReduceLogSum", "e", "y", axes=[3])], {"x": IMAGE}, {}, ["y"]),
    "reducelogsumexp": one("ReduceLogSumExp", IMAGE, axes=[1], keepdims=0),
    "arg_max": one("ArgMax", IMAGE, axis=1, types={"y": np.int64}),
    "arg_min": one("ArgMin", IMAGE, axis=-1, keepdims=0, types={"y": np.int64}),
    "top_1": one("TopK", IMAGE, constants=[integers(1)], outputs="a b", axis=1, types={"b": np.int64}),
    # classic models
    "linear_regressor": one(
        "LinearRegressor",
        (1, 5),
        domain="ai.onnx.ml",
        coefficients=random(10).tolist(),
        intercepts=[0.5, -0.5],
        targets=2,
    ),
    "linear_classifier": one(
        "LinearClassifier",
        (1, 5),
        outputs="label scores",
        domain="ai.onnx.ml",
        coefficients=random(15).tolist(),
        intercepts=[0.1, 0.2, 0.3],
        classlabels_ints=[3, 5, 8],
        post_transform="SOFTMAX",
        types={"label": np.int64},
    ),
    "scaler": one("Scaler", (1, 3), domain="ai.onnx.ml", offset=[0.1, 0.2, 0.3], scale=[2.0, 3.0, 4.0]),
    **{f"normalizer_{n}": one("Normalizer", (1, 5), domain="ai.onnx.ml", norm=n) for n in ("MAX", "L1", "L2")},
}


@pytest.mark.parametrize("name", list(CASES))
def test_operator(name: str) -> None:
    check(CASES[name])


def test_there_are_many_and_all_are_tested() -> None:
    """Quantized operators have tests of their own."""
    assert len(OPERATORS) >= 80
    used = {n.op_type for proto in CASES.values() for n in proto.graph.node}
    others = {"Shape", "Size", "ZipMap", "GatherND", "QuantizeLinear", "DequantizeLinear", "QGemm"}
    others |= {"SimplifiedLayerNormalization", "LSTM", "GRU", "RNN"}
    assert {op for op in OPERATORS if not op.startswith("QLinear")} - used <= others


def test_integers_of_64_bits_become_int32() -> None:
    proto = one("Identity", (1, 3), types={"x0": np.int64, "y": np.int64})
    graph = check(proto)
    assert graph.inputs[0].dtype.value == "int32"


def test_gelu_written_out() -> None:
    """In the three orders that exporters write."""
    half, one_, root = (np.float32(n) for n in (0.5, 1.0, 2**0.5))
    head = [node("Div", "x r", "d"), node("Erf", "d", "e"), node("Add", "e i", "p")]
    tails = (
        [node("Mul", "x p", "m"), node("Mul", "m h", "y")],
        [node("Mul", "x h", "m"), node("Mul", "m p", "y")],
        [node("Mul", "p h", "m"), node("Mul", "m x", "y")],
    )
    for tail in tails:
        proto = model([*head, *tail], {"x": IMAGE}, {"h": half, "i": one_, "r": root}, ["y"])
        graph = check(proto)
        assert [n.op.name for n in graph.nodes] == ["gelu"]
        assert feeds(proto)
