"""Keras models against Keras itself: each layer, nets made from a seed, forms of models, names."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from chipfit.errors import ChipfitError
from chipfit.graph import DType
from chipfit.importers import load_graph
from importers.keras_nets import check, keras_or_skip, ops_of, random_net, randomise

keras = keras_or_skip()
L: Any = keras.layers
ops: Any = keras.ops

IMAGE, ROW, VECTOR = (7, 10, 3), (11, 4), (6,)


def net(shape: tuple[int, ...], *layers: Any, dtype: str = "float32") -> Any:
    return randomise(keras.Sequential([keras.Input(shape, dtype=dtype), *layers]), 1)


CASES: dict[str, Callable[[], Any]] = {
    "dense": lambda: net(VECTOR, L.Dense(5, "relu"), L.Dense(3, use_bias=False)),
    "dense_of_images": lambda: net(IMAGE, L.Dense(5)),
    "conv2d_same": lambda: net(IMAGE, L.Conv2D(5, 3, 2, "same", activation="relu6")),
    "conv2d_valid": lambda: net(IMAGE, L.Conv2D(5, (2, 3), (1, 2), use_bias=False)),
    "conv2d_dilated": lambda: net(IMAGE, L.Conv2D(5, 3, padding="same", dilation_rate=(1, 2))),
    "conv2d_groups": lambda: net((7, 10, 6), L.Conv2D(4, 3, groups=2)),
    "conv1d_same": lambda: net(ROW, L.Conv1D(5, 3, 2, "same", activation="tanh")),
    "conv1d_causal": lambda: net(ROW, L.Conv1D(5, 3, padding="causal", dilation_rate=2)),
    "conv2d_transpose": lambda: net(IMAGE, L.Conv2DTranspose(5, 3, 2, "same", activation="relu")),
    "conv1d_transpose": lambda: net(ROW, L.Conv1DTranspose(5, 4, 3, use_bias=False), L.BatchNormalization()),
    "depthwise2d": lambda: net(IMAGE, L.DepthwiseConv2D(3, 2, "same", depth_multiplier=2)),
    "depthwise1d": lambda: net(ROW, L.DepthwiseConv1D(3, 1, "same", depth_multiplier=2)),
    "separable2d": lambda: net(IMAGE, L.SeparableConv2D(5, 3, depth_multiplier=2, activation="elu")),
    "separable1d": lambda: net(ROW, L.SeparableConv1D(5, 3)),
    "batch_norm": lambda: net(IMAGE, L.BatchNormalization(), L.Conv2D(4, 3), L.BatchNormalization(scale=False)),
    "batch_norm_no_center": lambda: net(ROW, L.Conv1D(4, 3), L.BatchNormalization(center=False)),
    "batch_norm_of_axis_1": lambda: net(IMAGE, L.BatchNormalization(axis=1)),
    "relu_layers": lambda: net(IMAGE, L.ReLU(6), L.ReLU(0.5), L.ReLU(negative_slope=0.1), L.LeakyReLU(0.3)),
    "relu_clipped_with_slope": lambda: net(IMAGE, L.ReLU(max_value=0.4, negative_slope=0.2)),
    "prelu": lambda: net(IMAGE, L.PReLU(shared_axes=(1, 2))),
    "prelu_of_every_element": lambda: net(IMAGE, L.PReLU()),
    "elu": lambda: net(IMAGE, L.ELU(0.7), L.Activation("selu")),
    "softmax": lambda: net(IMAGE, L.Softmax()),
    "softmax_axis": lambda: net(IMAGE, L.Softmax(axis=1)),
    "max_pool2d": lambda: net(IMAGE, L.MaxPooling2D((2, 3), 2, "same")),
    "average_pool2d": lambda: net(IMAGE, L.AveragePooling2D(3, 2, "same")),
    "max_pool1d": lambda: net(ROW, L.MaxPooling1D(3, 2)),
    "average_pool1d": lambda: net(ROW, L.AveragePooling1D(3, 2, "same")),
    "global_average2d": lambda: net(IMAGE, L.GlobalAveragePooling2D()),
    "global_average2d_keep": lambda: net(IMAGE, L.GlobalAveragePooling2D(keepdims=True)),
    "global_max2d": lambda: net(IMAGE, L.GlobalMaxPooling2D()),
    "global_average1d": lambda: net(ROW, L.GlobalAveragePooling1D()),
    "global_max1d": lambda: net(ROW, L.GlobalMaxPooling1D(keepdims=True)),
    "padding2d": lambda: net(IMAGE, L.ZeroPadding2D(((1, 2), (3, 0)))),
    "padding1d": lambda: net(ROW, L.ZeroPadding1D((2, 1))),
    "cropping2d": lambda: net(IMAGE, L.Cropping2D(((1, 2), (3, 0)))),
    "cropping1d": lambda: net(ROW, L.Cropping1D((2, 1))),
    "upsampling_nearest": lambda: net(IMAGE, L.UpSampling2D((2, 3))),
    "upsampling_bilinear": lambda: net(IMAGE, L.UpSampling2D(2, interpolation="bilinear")),
    "upsampling1d": lambda: net(ROW, L.UpSampling1D(3)),
    "resizing": lambda: net(IMAGE, L.Resizing(5, 13)),
    "reshape": lambda: net(IMAGE, L.Reshape((-1, 6)), L.Permute((2, 1)), L.Flatten()),
    "permute": lambda: net(IMAGE, L.Permute((3, 1, 2))),
    "repeat": lambda: net(VECTOR, L.RepeatVector(4)),
    "embedding": lambda: net((5,), L.Embedding(7, 3), L.Flatten(), dtype="int32"),
    "rescaling": lambda: net(IMAGE, L.Rescaling(1 / 127.5, -1)),
    "rescaling_of_channels": lambda: net(IMAGE, L.Rescaling([0.5, 0.25, 2.0], [0.0, 1.0, -1.0])),
    "normalization": lambda: net(IMAGE, L.Normalization(mean=[0.1, 0.2, 0.3], variance=[0.5, 2.0, 1.0])),
    "normalization_inverse": lambda: net(IMAGE, L.Normalization(mean=0.3, variance=0.25, invert=True)),
    "nothing": lambda: net(IMAGE, L.Dropout(0.5), L.GaussianNoise(1.0), L.SpatialDropout2D(0.5), L.RandomFlip()),
    "time_distributed": lambda: net((4, *IMAGE), L.TimeDistributed(L.Conv2D(3, 3)), L.TimeDistributed(L.Flatten())),
    "time_distributed_dense": lambda: net(ROW, L.TimeDistributed(L.Dense(5, "relu"))),
    "layer_as_activation": lambda: net(IMAGE, L.Conv2D(4, 3, activation=L.LeakyReLU(0.3))),
    "lambda": lambda: net(IMAGE, L.Lambda(lambda x: ops.relu(x) * 2.0), L.Flatten(), L.Dense(2)),
    "function_as_activation": lambda: net(IMAGE, L.Activation(lambda x: ops.relu6(x) * 0.5 + 1.0)),
}


@pytest.mark.parametrize("name", CASES)
def test_layer(name: str) -> None:
    if name == "average_pool2d" and keras.backend.backend() == "torch":
        pytest.skip("with torch, Keras counts padding in averages where it is uneven; elsewhere it does not")
    keras.utils.set_random_seed(1)  # three units with ReLU can all be 0
    check(keras, CASES[name]())


MERGED = ("Add", "Subtract", "Multiply", "Maximum", "Minimum", "Average", "Concatenate")


@pytest.mark.parametrize("name", MERGED)
def test_layers_of_several_inputs(name: str) -> None:
    """Also three of them, where the layer takes so many, and one that is broadcast."""
    a, b, c = keras.Input(IMAGE, name="first"), keras.Input(IMAGE, name="second"), keras.Input((1, 1, 3), name="third")
    layer = getattr(L, name)()
    two = layer([a, b])
    three = two if name in ("Subtract", "Concatenate") else getattr(L, name)()([a, b, c])
    graph = check(keras, keras.Model([a, b, c], [two, three]))
    assert [v.name for v in graph.inputs] == ["first", "second", "third"]


FUNCTIONS: dict[str, Callable[[Any], Any]] = {
    "arithmetic": lambda x: (2.0 - x) * x / 4.0 + 0.5,
    "negative_square": lambda x: -ops.square(x),
    "clip": lambda x: ops.clip(x, -0.25, 0.5),
    "extrema": lambda x: ops.minimum(ops.maximum(x, -0.5), 0.25),
    "activations": lambda x: ops.relu(x) + ops.relu6(x) + ops.sigmoid(x) + ops.tanh(x) + ops.silu(x),
    "hard_activations": lambda x: ops.hard_sigmoid(x) + ops.hard_silu(x) + ops.leaky_relu(x, 0.1) + ops.elu(x, 0.5),
    "softmaxes": lambda x: ops.softmax(x) + ops.softmax(x, axis=1) + ops.log_softmax(x),
    "reductions": lambda x: ops.mean(x, axis=(1, 2), keepdims=True) + ops.max(x, axis=2, keepdims=True),
    "sum": lambda x: ops.sum(x, axis=-1),
    "shapes": lambda x: ops.squeeze(ops.expand_dims(ops.reshape(x, (-1, 35, 6)), 2), 2),
    "transpose": lambda x: ops.transpose(x, (0, 3, 1, 2)),
    "concatenate": lambda x: ops.concatenate([x, x * 2.0], axis=1),
    "stack": lambda x: ops.stack([x, x * 2.0], axis=1),
    "split": lambda x: ops.subtract(*ops.split(x, 2, axis=2)),
    "split_at": lambda x: ops.concatenate(ops.split(x, [1, 4], axis=1)[::-1], axis=1),
    "items": lambda x: x[:, 1:-1, ::2, 1],
    "items_from_the_end": lambda x: x[..., ::2][:, -1],
    "new_axis": lambda x: x[:, None, :, 0],
    "pad": lambda x: ops.pad(x, [[0, 0], [1, 2], [0, 1], [0, 0]]),
    "pad_with_value": lambda x: ops.pad(x, [[0, 0], [1, 2], [0, 1], [0, 0]], constant_values=0.5),
    "pad_reflect": lambda x: ops.pad(x, [[0, 0], [1, 2], [3, 1], [0, 0]], mode="reflect"),
    "pad_symmetric": lambda x: ops.pad(x, [[0, 0], [7, 2], [0, 1], [0, 3]], mode="symmetric"),
    "flip": lambda x: ops.flip(x, axis=1) + ops.flip(x, axis=(2, 3)),
    "tile": lambda x: ops.tile(x, (1, 2, 1, 3)),
    "tile_the_last": lambda x: ops.tile(x, (2,)),
    "broadcast": lambda x: ops.broadcast_to(x[:, :1], (1, 7, 10, 3)),
    "matmul": lambda x: ops.matmul(x, np.linspace(-1, 1, 6, dtype=np.float32).reshape(3, 2)),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_function(name: str) -> None:
    if name == "pad_symmetric" and keras.backend.backend() == "torch":
        pytest.skip("Keras on torch repeats other elements than numpy.pad does")
    x = keras.Input(IMAGE)
    check(keras, keras.Model(x, FUNCTIONS[name](x)))


@pytest.mark.parametrize("seed", range(30))
def test_random_net(seed: int) -> None:
    check(keras, random_net(keras, seed), seed)


def test_channels_first() -> None:
    """Whatever the layout of the layer, the result is that of Keras."""
    first: dict[str, Any] = {"data_format": "channels_first"}
    layers = [
        L.ZeroPadding2D(((1, 2), (0, 1)), **first),
        L.Conv2D(6, 3, 2, **first),
        L.BatchNormalization(axis=1),
        L.DepthwiseConv2D(3, **first),
        L.BatchNormalization(axis=1),
        L.ReLU(6),
        L.MaxPooling2D(2, **first),
        L.UpSampling2D(2, **first),
        L.Cropping2D(1, **first),
        L.Flatten(**first),
        L.Dense(3),
    ]
    inputs = x = keras.Input((3, 19, 23))
    for layer in layers:
        x = layer(x)
    model = randomise(keras.Model(inputs, x), 3)
    check(keras, model)
    graph = load_graph(model)
    assert "mul" not in ops_of(graph), "batch normalization is folded through the transpositions"


# ---------------------------------------------------------------------------------------------- folding


def test_batch_norms_fold_into_the_layer_before() -> None:
    layers = [L.Conv2D(4, 3), L.BatchNormalization(), L.DepthwiseConv2D(3), L.BatchNormalization()]
    model = net(IMAGE, *layers, L.Flatten(), L.Dense(5), L.BatchNormalization())
    graph = check(keras, model)
    assert ops_of(graph) == ["conv2d", "depthwise_conv2d", "reshape", "fully_connected"]
    assert graph.outputs[0].name == model.layers[-1].name


def test_a_shared_layer_folds_once_for_each_reader() -> None:
    """One convolution, called twice, with another normalization behind each call."""
    a, b = keras.Input(IMAGE), keras.Input(IMAGE)
    conv = L.Conv2D(4, 3, name="shared")
    model = keras.Model([a, b], [L.BatchNormalization()(conv(a)), L.BatchNormalization()(conv(b))])
    graph = check(keras, randomise(model, 5))
    assert ops_of(graph) == ["conv2d", "conv2d"]


def test_what_something_else_reads_is_not_folded() -> None:
    x = keras.Input(IMAGE)
    y = L.Conv2D(3, 3, padding="same")(x)
    graph = check(keras, randomise(keras.Model(x, L.Add()([y, L.BatchNormalization()(y)])), 2))
    assert ops_of(graph) == ["conv2d", "mul", "add", "add"]


def test_weights_of_a_shared_layer_are_there_once() -> None:
    a, b = keras.Input(VECTOR), keras.Input(VECTOR)
    dense = L.Dense(5)
    graph = check(keras, randomise(keras.Model([a, b], [dense(a), dense(b)]), 6))
    first, second = graph.nodes
    assert first["w"] is second["w"]
    assert first["b"] is second["b"]


# ---------------------------------------------------------------------------------------------- forms and names


class Residual(L.Layer):
    """A layer of the user's that is made of layers and functions."""

    def build(self, shape: Any) -> None:
        self.dense = L.Dense(shape[-1], name="inner")
        self.dense.build(shape)
        self.factor = self.add_weight(shape=(shape[-1],), initializer="random_normal", name="factor")

    def call(self, x: Any, training: bool | None = None) -> Any:
        return x + ops.relu(self.dense(x)) * self.factor


class Branching(L.Layer):
    """A layer whose call looks at numbers."""

    def compute_output_shape(self, shape: Any) -> Any:
        return shape

    def call(self, x: Any) -> Any:
        return x if float(ops.sum(x)) > 0 else -x


class Subclassed(keras.Model):
    def __init__(self) -> None:
        super().__init__(name="mine")
        self.conv, self.norm, self.flat = L.Conv2D(4, 3), L.BatchNormalization(), L.Flatten()
        self.residual, self.dense = Residual(), L.Dense(3, name="last")

    def call(self, x: Any, training: bool | None = None) -> Any:
        return self.dense(self.residual(self.flat(ops.relu(self.norm(self.conv(x), training=training)))))


def test_a_subclassed_model() -> None:
    model = Subclassed()
    model(np.zeros((2, *IMAGE), np.float32))
    graph = check(keras, randomise(model, 7))
    assert graph.name == "mine"
    assert "conv2d" in ops_of(graph)
    assert "mul" in ops_of(graph)


def test_a_subclassed_model_that_was_not_built() -> None:
    with pytest.raises(ChipfitError, match="no input shape") as error:
        load_graph(Subclassed())
    assert error.value.code == "O001"
    assert "call it once" in error.value.hint


def test_nested_models() -> None:
    inner = keras.Sequential([keras.Input(IMAGE), L.Conv2D(4, 3, name="conv"), L.BatchNormalization()], name="trunk")
    x = keras.Input(IMAGE, name="picture")
    shared = inner(x)
    model = keras.Model(x, L.Dense(2, name="scores")(L.Flatten()(L.Add()([shared, inner(x * 2.0)]))))
    graph = check(keras, randomise(model, 8))
    names = {v.name for v in graph.values()}
    assert {"picture", "scores", "trunk/conv/kernel"} <= names


def test_names_of_dictionaries() -> None:
    a, b = keras.Input(VECTOR, name="a"), keras.Input(VECTOR, name="b")
    model = keras.Model({"a": a, "b": b}, {"sum": L.Add()([a, b]), "difference": L.Subtract()([a, b])})
    graph = check(keras, model)
    assert {v.name for v in graph.inputs} == {"a", "b"}
    assert {v.name: n.op.name for v, n in graph.producers().items()} == {"sum": "add", "difference": "sub"}


def test_names_are_those_of_layers() -> None:
    layers = [L.Conv2D(4, 3, activation="relu", name="conv"), L.Flatten(name="flat"), L.Dense(2, name="scores")]
    graph = load_graph(net(IMAGE, *layers))
    assert [n.name for n in graph.nodes] == ["conv/conv2d", "conv", "flat", "scores"]
    assert [v.name for v in graph.values() if v.is_const] == [
        "conv/kernel",
        "conv/bias",
        "scores/kernel",
        "scores/bias",
    ]


def test_an_output_that_is_an_input_and_one_that_is_there_twice() -> None:
    x = keras.Input(VECTOR, name="x")
    y = L.ReLU(name="y")(x)
    graph = load_graph(keras.Model(x, [x, y, y]))
    assert len({id(v) for v in graph.outputs}) == 3
    assert graph.outputs[1].name == "y"


def test_integers_at_the_input() -> None:
    graph = check(keras, net(VECTOR, L.Rescaling(1 / 255), L.Dense(3), dtype="uint8"))
    assert graph.inputs[0].dtype is DType.UINT8


# ---------------------------------------------------------------------------------------------- refusals


def test_all_problems_at_once() -> None:
    x = keras.Input(IMAGE)
    y = L.Conv2DTranspose(4, 2, dilation_rate=2, name="up")(x)
    y = L.Softmax(axis=(1, 2), name="whole")(y)
    y = L.ReLU(threshold=0.5, name="late")(y)
    y = L.Conv2D(3, 3, activation="sparsemax", name="soft")(y)
    model = keras.Model(x, ops.erf(L.Dense(2)(y)))
    with pytest.raises(ChipfitError) as error:
        load_graph(model)
    assert error.value.code == "O001"
    lines = error.value.message.split("\n")
    assert lines[0] == "5 layers cannot be compiled:"
    assert lines[1].strip() == "Conv2DTranspose 'up' (float32[1,7,10,3]): dilation_rate=(2, 2) cannot be compiled"
    assert lines[2] == "  Softmax 'whole' (float32[1,9,12,4]): axis=(1, 2) cannot be compiled"
    assert lines[3] == "  ReLU 'late' (float32[1,9,12,4]): threshold=0.5 cannot be compiled"
    assert lines[4].startswith("  Conv2D 'soft' (float32[1,9,12,4]): activation 'sparsemax'")
    assert lines[5].startswith("  Erf ")
    assert "dilation_rate=1" in error.value.hint
    assert "use a Softmax over one axis" in error.value.hint


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (lambda: keras.Sequential([L.Dense(3)]), "no input shape"),
        (lambda: keras.Sequential([keras.Input((None, None, 3)), L.Conv2D(3, 3)]), "sizes are not known"),
        (lambda: net((5,), L.Embedding(7, 3, mask_zero=True), dtype="int32"), "mask_zero=True"),
        (lambda: net(IMAGE, L.UpSampling2D(2, interpolation="bicubic")), "interpolation='bicubic'"),
        (lambda: net((4, 9, 3), L.ConvLSTM1D(3, 2, name="steps")), "ConvLSTM1D 'steps'"),
        (lambda: net(IMAGE, Branching(name="either")), "Branching 'either' .*cannot be traced"),
    ],
)  # fmt: skip
def test_refused(model: Callable[[], Any], words: str) -> None:
    with pytest.raises(ChipfitError, match=words) as error:
        load_graph(model())
    assert error.value.code[0] == "O"
    assert error.value.hint


def test_objects_that_are_no_model() -> None:
    for source in (L.Dense(3), 3, np.zeros(3)):
        with pytest.raises(ChipfitError) as error:
            load_graph(source)
        assert error.value.code == "F002"
