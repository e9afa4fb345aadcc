"""Transposed convolutions of Keras: every stride, kernel, padding and output padding; what folds into them; layouts."""

from __future__ import annotations

from typing import Any

import pytest

from chipfit.errors import ChipfitError
from chipfit.importers import load_graph
from importers.keras_nets import check, keras_or_skip, ops_of, randomise

keras = keras_or_skip()
L: Any = keras.layers
IMAGE = (3, 4, 2)


not_torch = pytest.mark.skipif(
    keras.backend.backend() == "torch",
    reason="with torch, Keras cuts off other rows than elsewhere where the output is padded, too",
)


@not_torch
@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("padding", ["same", "valid"])
def test_sizes(padding: str, stride: int) -> None:
    """Kernels smaller and larger than the stride, even and odd, with all paddings of the output that Keras can run."""
    inputs = keras.Input(IMAGE)
    outputs: list[Any] = []
    for kernel in ((1, 5), (3, 1), (1, 2), (3, 4), (2, 6)):
        least = 1 if padding == "same" and kernel[1] % 2 == 0 else 0  # TensorFlow cannot leave so much out
        for more in (None, *range(least, stride)):
            outputs.append(L.Conv2DTranspose(3, kernel, stride, padding, output_padding=more)(inputs))
    graph = check(keras, randomise(keras.Model(inputs, outputs), 3))
    assert set(ops_of(graph)) == {"transpose_conv"}


@not_torch
def test_uneven_strides_and_one_axis() -> None:
    inputs = keras.Input(IMAGE)
    image = L.Conv2DTranspose(4, 3, (1, 3), "same", output_padding=(0, 2))(inputs)
    line = L.Conv1DTranspose(3, 4, 2, "same", output_padding=1)(L.Reshape((12, 2))(inputs))
    check(keras, randomise(keras.Model(inputs, [image, line]), 5))


def test_batch_normalization_and_activation_become_part_of_it() -> None:
    layers = [L.Conv2DTranspose(4, 3, 2, "same", use_bias=False), L.BatchNormalization(), L.ReLU()]
    graph = check(keras, randomise(keras.Sequential([keras.Input(IMAGE), *layers]), 2))
    assert ops_of(graph) == ["transpose_conv"]
    assert graph.nodes[0]["b"].is_const
    assert graph.nodes[0].op.attributes()["act"] == "relu"


def test_channels_first() -> None:
    layer = L.Conv2DTranspose(4, 3, 2, "same", data_format="channels_first")
    check(keras, randomise(keras.Sequential([keras.Input((2, 3, 4)), layer]), 7))


def test_dilation_is_refused() -> None:
    model = keras.Sequential([keras.Input(IMAGE), L.Conv2DTranspose(4, 3, dilation_rate=2)])
    with pytest.raises(ChipfitError) as caught:
        load_graph(model)
    assert caught.value.code == "O002"
    assert "dilation_rate" in caught.value.message
