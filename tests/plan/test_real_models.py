"""Real models: the arena is as small as the lower bound, and planning takes no time worth mentioning."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from chipfit.importers import load_graph
from chipfit.plan import Unit, find_views, live_peak, nodes_without_work, plan_memory, schedule

PEAKS = {
    "mlperf_kws_dscnn_int8": 16_000,
    "mlperf_vww_mnv1_025_96_int8": 55_296,
    "mlperf_ic_resnet8_int8": 49_152,
    "mlperf_ad_toycar_int8": 768,
    "mlperf_streaming_wakeword_int8": 6_656,
    "tflm_person_detect_int8": 55_296,
    "tflm_micro_speech_int8": 5_960,
    "arduino_magic_wand_int8": 7_168,
    "tinyengine_mcunet_vww_int8": 161_472,
    "tinyengine_mcunetv2_large_int8": 2_451_840,
    "tinyengine_mnist_lenet300_ptq": 3_920,
    "esphome_okay_nabu_v2_stream": 1_024,
    "esphome_vad_v2_stream": 96,
    "imagenet_mnv2_10_224_int8ptq": 1_505_280,
    "imagenet_mnv1_025_224_f32": 1_204_224,
}
STATE = {"esphome_okay_nabu_v2_stream": 3_880, "esphome_vad_v2_stream": 1_368}


@pytest.mark.parametrize("name", PEAKS)
def test_the_peak_is_the_lower_bound(models_dir: Path, name: str) -> None:
    graph = load_graph(models_dir / f"{name}.tflite")
    start = time.process_time()
    views = find_views(graph)
    order, idle = schedule(graph), nodes_without_work(graph, views)
    memory = plan_memory(graph, [Unit((node,)) for node in order if node not in idle], views)
    assert time.process_time() - start < 1
    memory.check(graph)
    assert memory.arena_bytes == memory.lower_bound == live_peak(graph, order) == PEAKS[name]
    assert live_peak(graph, graph.nodes) == PEAKS[name]
    assert memory.state_bytes == STATE.get(name, 0)
