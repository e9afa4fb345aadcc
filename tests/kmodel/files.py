"""Small kmodels that the tests make themselves, and where the real ones are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from chipfit.kmodel.format import layers as v3
from chipfit.kmodel.format import nodes as v4
from chipfit.kmodel.format.codec import DataType, Memory, MemoryRange
from chipfit.kmodel.format.layout import LINE, MapLayout
from chipfit.kmodel.format.registers import Activation, BatchNorm, Registers, Segment, layer_registers
from chipfit.kmodel.format.v3 import KmodelV3, Place
from chipfit.kmodel.format.v4 import KmodelV4
from folders import models_folder

Rng = np.random.Generator
Array = np.ndarray[Any, Any]


def k210_folder() -> Path:
    """Real kmodels and pairs of input and output: a folder beside that of the models."""
    return models_folder().parent / "k210"


real_files = pytest.mark.skipif(not k210_folder().is_dir(), reason="the folder of real kmodels is not there")


def real_kmodels(*versions: int) -> list[Path]:
    """All that there are of these versions."""
    heads = {3: b"\x03\0\0\0\0", 4: b"LDMK\x04"}
    found = sorted(k210_folder().glob("*/*.kmodel"))
    return [path for path in found if any(_has(path, heads[v]) for v in versions)]


def _has(path: Path, head: bytes) -> bool:
    data = path.read_bytes()[:8]
    # version 3 begins with 3, then flags
    return data[:4] == head[:4] if head[0] == 3 else data[:5] == head[:5]


def main(start: int, shape: Sequence[int], dtype: DataType = DataType.FLOAT32) -> MemoryRange:
    """A range of main memory that holds an array of a shape."""
    return MemoryRange(Memory.MAIN, dtype, start, int(np.prod(shape)) * dtype.numpy.itemsize)


def kpu(line: int, shape: Sequence[int]) -> MemoryRange:
    """A range of the KPU's memory that holds (n, c, h, w)."""
    size = MapLayout(shape[1], shape[2], shape[3]).size * shape[0]
    return MemoryRange(Memory.KPU, DataType.UINT8, line * LINE, size)


def activation(rng: Rng, version: int = 4) -> Activation:
    """Segments as compilers write them, of which every layer here meets several."""
    starts = [-(1 << 35), *sorted(int(x) for x in rng.integers(-60_000, 60_000, 15))]
    segments = [
        Segment(start, int(rng.integers(-900, 900)), int(rng.integers(13, 19)), int(rng.integers(0, 256)))
        for start in starts
    ]
    if version == 4:
        segments[0] = Segment(starts[0], 0, 0, 0)
    return Activation(tuple(segments))


def batch_norm(rng: Rng, channels: int) -> BatchNorm:
    return BatchNorm(
        rng.integers(-400, 400, channels),
        rng.integers(-20_000, 20_000, channels),
        rng.integers(6, 10, channels),
    )


def registers(
    rng: Rng, source: MapLayout, out: int, kernel: int, pool: int, depthwise: bool = False, version: int = 4
) -> Registers:
    """A layer that reads line 0 and writes behind that."""
    zero_x, zero_w = int(rng.integers(100, 150)), int(rng.integers(100, 150))
    # version 3 has fractions of zero points
    shift, part = (0, 0) if version == 4 else (6, 3)
    return layer_registers(
        source=source,
        out_channels=out,
        kernel=kernel,
        src_line=0,
        dst_line=source.lines,
        depthwise=depthwise,
        pool_type=pool,
        pad_value=int(rng.integers(256)),
        arg_x=-(zero_w << shift) + part,
        arg_w=-(zero_x << shift) + part,
        arg_add=kernel**2 * zero_x * zero_w,
        shr_x=shift,
        shr_w=shift,
    )


def tiny_v4(rng: Rng | None = None) -> KmodelV4:
    """Convolution with pooling on the KPU, then dequantize, a dense layer and softmax: 3x8x8 to 4 classes."""
    rng = rng or np.random.default_rng(0)
    source = MapLayout(3, 8, 8)
    first = replace(registers(rng, source, 4, 3, 1), send_data_out=1)
    pixels, hidden = (1, 4, 4, 4), (1, 64, 1, 1)
    conv = v4.KpuConv2D(
        first,
        batch_norm(rng, 4),
        activation(rng),
        rng.integers(0, 256, first.weight_count).astype(np.uint8),
        main(0, pixels, DataType.UINT8),
    )
    weights = rng.normal(size=(64, 4)).astype("<f4")
    constants = MemoryRange(Memory.CONST, DataType.FLOAT32, 0, weights.nbytes)
    dense = v4.MatMul(
        main(64, hidden), constants, main(320, (4,)), 1, 64, 4, v4.NO_MIN, v4.NO_MAX, np.zeros(4, np.float32)
    )
    return KmodelV4(
        inputs=(kpu(0, (1, 3, 8, 8)),),
        input_shapes=((1, 3, 8, 8),),
        outputs=(main(336, (4,)),),
        constants=weights.tobytes(),
        main_bytes=352,
        nodes=(
            conv,
            v4.Dequantize(main(0, pixels, DataType.UINT8), main(64, pixels), 3, 20.0),
            dense,
            v4.Softmax(main(320, (4,)), main(336, (4,)), 4, 1, 1.0),
        ),
    )


def tiny_v3(rng: Rng | None = None) -> KmodelV3:
    """Convolution with pooling on the KPU, then dequantize, a dense layer and softmax: 3x8x8 to 4 classes."""
    rng = rng or np.random.default_rng(0)
    first = registers(rng, MapLayout(3, 8, 8), 4, 3, 1, version=3)
    conv = v3.K210Conv(
        v3.MAIN_OUTPUT,
        0,
        first,
        batch_norm(rng, 4),
        activation(rng, 3),
        rng.integers(0, 256, first.weight_count).astype(np.uint8),
    )
    weights = rng.normal(size=256).astype("<f4")
    dense = v3.FullyConnected(1, 64, 320, 64, 4, v3.Act.LINEAR, weights, np.zeros(4, "<f4"))
    return KmodelV3(
        outputs=(Place(336, 16),),
        main_bytes=352,
        layers=(conv, v3.Dequantize(1, 0, 64, 64, 0.05, -3.0), dense, v3.Softmax(1, 320, 336, 4)),
    )
