"""What ``chipfit inspect`` says of a kmodel."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from chipfit.kmodel.format.access import Access, layer_access, node_access
from chipfit.kmodel.format.codec import Memory
from chipfit.kmodel.format.describe import NodeInfo, describe
from chipfit.kmodel.format.layout import KPU_BYTES
from chipfit.kmodel.format.v3 import KmodelV3
from chipfit.kmodel.format.v4 import KmodelV4
from chipfit.report.data import TensorInfo, envelope

MAKERS = {3: "nncase 0.1", 4: "nncase 0.2"}
"""Compilers whose format a version is."""


@dataclass(frozen=True)
class KmodelMemory:
    """Bytes. ``constants``: in the file, read by nodes; ``main``: allocated for a run; ``kpu``: of the KPU's memory, of
    which there are ``kpu_available``; ``working``: of the board's heap: the file, which is loaded as a whole, and
    ``main``."""

    constants: int
    main: int
    kpu: int
    kpu_available: int
    working: int


@dataclass(frozen=True)
class KmodelReport:
    """``file_bytes``: of the file; ``weights`` and ``tables``: bytes in it; ``macs_kpu`` and ``macs_cpu``: of a run;
    ``notes``: what is suspicious. ``inputs`` and ``outputs``: (n, c, h, w)."""

    model: str
    kmodel: int
    maker: str
    file_bytes: int
    inputs: tuple[TensorInfo, ...]
    outputs: tuple[TensorInfo, ...]
    memory: KmodelMemory
    weights: int
    tables: int
    macs_kpu: int
    macs_cpu: int
    nodes: tuple[NodeInfo, ...]
    notes: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        return envelope("chipfit.kmodel", self)


def report_of(
    name: str,
    file_bytes: int,
    model: KmodelV3 | KmodelV4,
    inputs: Sequence[TensorInfo],
    outputs: Sequence[TensorInfo],
    notes: tuple[str, ...],
) -> KmodelReport:
    """The report of a checked model."""
    nodes = describe(model)
    is_v4 = isinstance(model, KmodelV4)
    accesses = [node_access(n) for n in model.nodes] if is_v4 else [layer_access(n) for n in model.layers]
    memory = KmodelMemory(
        constants=len(model.constants) if is_v4 else 0,
        main=model.main_bytes,
        kpu=_kpu_bytes(accesses),
        kpu_available=KPU_BYTES,
        working=file_bytes + model.main_bytes,
    )
    return KmodelReport(
        model=name,
        kmodel=4 if is_v4 else 3,
        maker=MAKERS[4 if is_v4 else 3],
        file_bytes=file_bytes,
        inputs=tuple(inputs),
        outputs=tuple(outputs),
        memory=memory,
        weights=sum(node.weight_bytes for node in nodes),
        tables=sum(node.table_bytes for node in nodes),
        macs_kpu=sum(node.macs for node in nodes if node.unit == "KPU"),
        macs_cpu=sum(node.macs for node in nodes if node.unit == "CPU"),
        nodes=nodes,
        notes=notes,
    )


def _kpu_bytes(accesses: Sequence[Access]) -> int:
    """Bytes of the KPU's memory that any node touches. Version 3 fills it from its end."""
    spans = [span for access in accesses for span in (*access.reads, *access.writes) if span.memory is Memory.KPU]
    total = end = 0
    for span in sorted(spans, key=lambda one: one.start):
        total += max(0, span.end - max(span.start, end))
        end = max(end, span.end)
    return total
