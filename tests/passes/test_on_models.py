"""The pipeline on real models: the work that goes, the bytes that stay, the time it takes."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest

from chipfit.graph import Array, Graph
from chipfit.graph.rewrite import Pipeline
from chipfit.importers import load_graph
from chipfit.ops import op_of, random_input
from chipfit.ops.add import Add
from chipfit.ops.pad import Pad
from chipfit.ops.relu import Relu
from chipfit.ops.reshape import Reshape
from chipfit.passes import PIPELINE, dead_channels
from passes.chains import Builder, interface, outputs_of

VWW = "mlperf_vww_mnv1_025_96_int8"
# model: multiply-accumulates before, with multiples of 4 channels kept, with all dead channels removed
MACS = {
    VWW: (7_489_664, 3_766_476, 3_727_313),
    "tflm_person_detect_int8": (7_157_888, 7_157_888, 7_077_246),
    "tinyengine_mcunet_vww_int8": (11_578_816, 11_132_068, 10_931_325),
    "tflm_hello_world_int8": (288, 220, 220),
    "mlperf_kws_dscnn_int8": (2_656_768, 2_656_768, 2_656_768),
    "mlperf_ic_resnet8_int8": (12_501_632, 12_501_632, 12_501_632),
}


def macs(graph: Graph) -> int:
    return sum(op_of(node).macs(node) for node in graph.nodes)


def pipeline(multiple: int) -> Pipeline:
    steps = [dead_channels(multiple) if p.name == "dead_channels" else p for p in PIPELINE.passes]
    return Pipeline(tuple(steps))


@pytest.mark.parametrize("multiple", [4, 1])
@pytest.mark.parametrize("name", list(MACS))
def test_dead_work_goes_and_no_byte_changes(name: str, multiple: int, models_dir: Path) -> None:
    before, after = load_graph(models_dir / f"{name}.tflite"), load_graph(models_dir / f"{name}.tflite")
    pipeline(multiple).run(after)
    assert (macs(before), macs(after)) == (MACS[name][0], MACS[name][1 if multiple == 4 else 2])
    assert interface(after) == interface(before)
    rng = np.random.default_rng(0)
    samples = [[random_input(rng, v.type) for v in before.inputs] for _ in range(3)]
    for inputs in (golden(models_dir, name, len(before.inputs)), *samples):
        assert outputs_of(after, inputs, 1) == outputs_of(before, inputs, 1)


def golden(models_dir: Path, name: str, inputs: int) -> list[Array]:
    with np.load(models_dir / "golden" / f"{name}.npz") as data:
        return [data[f"in{i}"] for i in range(inputs)]


def test_the_summary_tells_what_came_of_it(models_dir: Path) -> None:
    report = pipeline(1).run(load_graph(models_dir / f"{VWW}.tflite"))
    assert report.summary() == ("dead_channels: removed 1,724 of 2,738 channels: 7,489,664 -> 3,727,313 MACs",)
    assert report.reasons() == ()


def test_passes_are_fast_on_the_largest_models(models_dir: Path) -> None:
    for name in ("imagenet_mnv2_10_224_int8ptq", "tinyengine_mcunetv2_large_int8"):
        graph = load_graph(models_dir / f"{name}.tflite")
        start = time.process_time()
        PIPELINE.run(graph)
        # half a second; slow machines get some more
        assert time.process_time() - start < 5


@pytest.mark.parametrize("kind", ["relu", "reshape", "add", "pad"])
def test_passes_are_fast_on_long_graphs(kind: str) -> None:
    b = Builder()
    x = y = b.input(1, 2, 2, 2)
    for i in range(10_000):
        if kind == "relu":
            y = b.add(Relu(), y)
        elif kind == "reshape":
            y = b.add(Reshape((8,) if i % 2 else (1, 2, 2, 2)), y)
        elif kind == "add":
            y = b.add(Add(), y, x)
        elif i < 1000:
            y = b.conv(b.add(Pad(((0, 0), (1, 0), (1, 0), (0, 0))), y))
    graph = b.done(y)
    start = time.process_time()
    PIPELINE.run(graph)
    # about a second; quadratic would be minutes
    assert time.process_time() - start < 10
