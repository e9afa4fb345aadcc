"""What became of each layer, and how near its result is to that of the float model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from chipfit.graph import Array, Value
from chipfit.kmodel.compile.compiled import Compiled
from chipfit.kmodel.compile.constraints import Place, why_cpu
from chipfit.kmodel.compile.lower import Unit
from chipfit.kmodel.compile.lower.state import KpuMap, Shape4, four
from chipfit.kmodel.format.v3 import KmodelV3
from chipfit.kmodel.simulate.layers import run_v3
from chipfit.kmodel.simulate.program import run_v4
from chipfit.quantize.calibrate import trace
from chipfit.quantize.sources import Samples

Status = Literal["kpu", "helped", "cpu"]


@dataclass(frozen=True)
class LayerReport:
    """``ops``: operators of the model in order; ``status``: ``kpu`` (fully accelerated), ``helped`` (accelerated, but
    the CPU moves pixels for it) or ``cpu``. ``nodes``: of the kmodel; ``why``: the rules that decide, in words;
    ``fix``: what would let the KPU do it all. ``sqnr``: signal to noise against the float model, dB; None: not
    measured, or without noise."""

    name: str
    ops: tuple[str, ...]
    shape: tuple[int, ...]
    status: Status
    nodes: tuple[str, ...]
    why: tuple[str, ...]
    fix: tuple[str, ...]
    sqnr: float | None


def layers_of(compiled: Compiled, noise: dict[str, float | None] | None = None) -> tuple[LayerReport, ...]:
    """The units that compute something. ``noise``: from :func:`noise_of`."""
    state = compiled.lowered.state
    kinds: dict[str, list[str]] = {}
    for step, node in zip(state.steps, compiled.model.nodes, strict=True):
        kinds.setdefault(step.layer, []).append(type(node).__name__)
    reports: list[LayerReport] = []
    for unit in compiled.lowered.units:
        nodes = kinds.get(unit.name, [])
        if not nodes and not unit.is_layer:
            continue
        status, places = _status(unit, state.reasons.get(unit.name, []))
        ops = tuple(n.op.name for n in unit.nodes)
        reports.append(
            LayerReport(
                unit.name,
                ops,
                unit.value.shape,
                status,
                tuple(nodes),
                tuple(dict.fromkeys(p.text for p in places)),
                tuple(dict.fromkeys(p.fix for p in places)),
                (noise or {}).get(unit.name),
            )
        )
    return tuple(reports)


def _status(unit: Unit, places: list[Place]) -> tuple[Status, list[Place]]:
    if unit.is_layer:
        return ("helped" if places else "kpu"), places
    if unit.rule is not None:
        return "cpu", [Place(unit.rule.text, unit.rule.fix)]
    return "cpu", [why_cpu(unit.nodes[0].op.name)]


def sqnr(wanted: Array, got: Array) -> float | None:
    """Signal to noise, dB; None: without noise."""
    noise = float(((wanted.astype(np.float64) - got) ** 2).sum())
    signal = float((wanted.astype(np.float64) ** 2).sum())
    return 10.0 * float(np.log10(max(signal, 1e-30) / noise)) if noise > 0.0 else None


def noise_of(compiled: Compiled, samples: Samples, older: KmodelV3 | None = None) -> dict[str, float | None]:
    """Signal to noise of every unit's result in the simulated kmodel, by its name; and of all outputs under ''.

    ``older``: the same as version 3, of which the outputs then are.
    """
    units = {unit.value: unit for unit in compiled.lowered.units}
    found: dict[str, tuple[list[Array], list[Array]]] = {
        name: ([], []) for name in ("", *(u.name for u in units.values()))
    }
    graph = compiled.graph
    for index in range(len(samples)):
        sample = tuple(a[index : index + 1] for a in samples.arrays)
        floats = {v: x[0] for v, x in trace(graph, sample)}
        results: dict[int, Array] = {}
        outputs = run_v4(compiled.model, input_bytes(compiled, sample), results.__setitem__)
        if older is not None:
            outputs = [y.view("<f4") for y in run_v3(older, input_bytes(compiled, sample)[0][0])]
        for value, unit in units.items():
            got = _result(compiled, value, results)
            if got is not None:
                found[unit.name][0].append(_stored(floats[value]))
                found[unit.name][1].append(got)
        for value, got in zip(graph.outputs, outputs, strict=True):
            found[""][0].append(_stored(floats[value]))
            found[""][1].append(got.astype(np.float64))
    return {name: sqnr(np.concatenate(wanted), np.concatenate(got)) for name, (wanted, got) in found.items() if wanted}


def input_bytes(compiled: Compiled, sample: Sequence[Array]) -> list[Array]:
    """One sample, (1, *shape) each, as the kmodel takes it: bytes or floats, channels first."""
    given: list[Array] = []
    for value, x, place in zip(compiled.graph.inputs, sample, compiled.model.inputs, strict=True):
        if place.dtype.numpy == np.uint8:
            codes = compiled.lowered.state.grid(value).codes(x[0])
            given.append(np.ascontiguousarray(codes.transpose(0, 3, 1, 2)))
        else:
            first = x[0].transpose(0, 3, 1, 2) if x[0].ndim == 4 else x[0]
            given.append(np.ascontiguousarray(first, np.float32).reshape(four(value.shape)))
    return given


def _stored(x: Array) -> Array:
    """Flat, in the order of the kmodel's memory."""
    return (x.transpose(0, 3, 1, 2) if x.ndim == 4 else x).ravel()


def _result(compiled: Compiled, value: Value, results: dict[int, Array]) -> Array | None:
    """What a tensor became, real, flat; None: it is nowhere by itself."""
    state = compiled.lowered.state
    forms = state.forms.get(value)
    if forms is None:
        return None
    index = {block: i for i, step in enumerate(state.steps) for block in step.writes[:1]}
    if forms.kpu is not None and forms.kpu.block in index:
        return _of_map(forms.kpu, results[index[forms.kpu.block]])
    if forms.bytes_ in index:
        shape: Shape4 = four(value.shape)
        codes = results[index[forms.bytes_]].reshape(shape)
        return state.grid(value).reals(codes.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2).ravel()
    return results[index[forms.floats]].ravel() if forms.floats in index else None


def _of_map(made: KpuMap, codes: Array) -> Array:
    view = made.view
    rows = slice(view.top, view.top + (view.rows - 1) * view.step + 1, view.step)
    columns = slice(view.left, view.left + (view.columns - 1) * view.step + 1, view.step)
    cut = codes.reshape(view.channels, view.height, view.width)[:, rows, columns]
    return made.grid.reals(cut.transpose(1, 2, 0)).transpose(2, 0, 1).ravel()
