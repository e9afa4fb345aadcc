"""Where the rounding of a fully connected layer's multiplier shows."""

from __future__ import annotations

import numpy as np
import pytest

from chipfit import oracle
from chipfit.exporters.tflite import to_tflite
from chipfit.graph import DType, Quant, TensorType
from chipfit.ops import graph_of, make_node, op_of
from chipfit.ops.fully_connected import FullyConnected


def test_multiplier_is_a_product_in_double() -> None:
    """One accumulator of the MLPerf anomaly detection model is a tie if the scales' product is rounded to float32."""
    x_scale, w_scale, y_scale, acc = 0.024790890514850616, 0.0195566825568676, 0.36449846625328064, -88337
    x = TensorType((1, 4), DType.INT8, Quant.per_tensor(x_scale, 0))
    w = (TensorType((1, 4), DType.INT8, Quant.per_tensor(w_scale)), np.zeros((1, 4), np.int8))
    b = (TensorType((1,), DType.INT32, Quant.per_tensor(x_scale * w_scale)), np.array([acc], np.int32))
    node = make_node(FullyConnected(), {"x": x, "w": w, "b": b}, (DType.INT8, Quant.per_tensor(y_scale, 96)))
    inputs = np.zeros((1, 4), np.int8)
    (ours,) = op_of(node).evaluate(node, inputs, w[1], b[1])
    assert ours.tolist() == [[-21]]
    if not oracle.have_tflm():
        pytest.skip(oracle.TFLM_MISSING)
    assert oracle.tflm_run(to_tflite(graph_of(node)), [[inputs]])[0][0].tolist() == [[-21]]
