"""What ``chipfit inspect`` and ``chipfit run`` say of a kmodel."""

from __future__ import annotations

import shlex

import numpy as np
from rich.console import RenderableType

from chipfit.kmodel import KmodelReport, KmodelRun, PackageReport, SampleRun
from chipfit.kmodel.simulate.report import greatest
from chipfit.maixpy import MaixpyReport
from chipfit.report.text import (
    Column,
    blocks,
    command,
    count,
    facts,
    memory,
    next_step,
    plural,
    safe,
    share,
    table,
    tensors,
    title,
)

MOST_VALUES = 8
"""Of an output that a line shows in full."""
_CLASSES = range(2, 2049)
_KINDS = {"classes": "classes", "numbers": "numbers as they are", "map": "maps, which need code of your own"}


def kmodel_text(report: KmodelReport, width: int, source: str) -> RenderableType:
    """``source``: the file as the user named it."""
    kpu = sum(node.unit == "KPU" for node in report.nodes)
    note = f"kmodel version {report.kmodel} ({report.maker}), {memory(report.file_bytes)}, {kpu} of "
    return blocks(
        title(report.model, f"{note}{plural(len(report.nodes), 'node')} on the KPU"),
        facts([*tensors("input", report.inputs), *tensors("output", report.outputs)]),
        _nodes(report, width),
        facts(_memory(report)),
        facts([("note", text) for text in report.notes]) if report.notes else None,
        next_step(command("run", source)),
    )


def _nodes(report: KmodelReport, width: int) -> RenderableType:
    columns = [
        Column("#", "right", style="dim"),
        Column("node"),
        Column("what it does", flexible=True, prose=True),
        Column("reads", wide=140),
        Column("writes", wide=140),
        Column("loads", "right", wide=120),
        Column("MACs", "right"),
        Column("weights", "right", wide=120),
        Column("tables", "right", wide=180),
    ]
    rows = [
        (
            str(index),
            node.op,
            node.what,
            node.reads,
            node.writes,
            "" if node.loads is None else str(node.loads),
            count(node.macs) if node.macs else "",
            count(node.weight_bytes) if node.weight_bytes else "",
            count(node.table_bytes) if node.table_bytes else "",
        )
        for index, node in enumerate(report.nodes)
    ]
    macs = report.macs_kpu + report.macs_cpu
    total = ("", "total", "", "", "", "", count(macs), count(report.weights), count(report.tables))
    return table(columns, rows, width, total)


def _memory(report: KmodelReport) -> list[tuple[str, RenderableType]]:
    use = report.memory
    macs = report.macs_kpu + report.macs_cpu
    return [
        ("KPU", f"{share(report.macs_kpu, macs)} of the MACs" if macs else "no MACs"),
        ("KPU RAM", f"{memory(use.kpu)} of {memory(use.kpu_available)} ({share(use.kpu, use.kpu_available)})"),
        ("weights", f"{memory(report.weights)}, tables {memory(report.tables)}, constants {memory(use.constants)}"),
        ("heap", f"{memory(use.working)} on the board: file {memory(report.file_bytes)}, working {memory(use.main)}"),
    ]


def package_text(report: PackageReport, width: int, source: str) -> RenderableType:
    """What a ``.kfpkg`` puts where, and the kmodels in it."""
    columns = [Column("address"), Column("bytes", "right"), Column("file", flexible=True), Column("hash before it")]
    rows = [(f"0x{f.address:06x}", count(f.size), f.name, "yes" if f.sha256_prefix else "no") for f in report.files]
    errors = [(file.name, file.error) for file in report.files if file.error is not None]
    return blocks(
        title(report.package, f"kfpkg, {plural(len(report.files), 'file')}"),
        table(columns, rows, width),
        facts(errors) if errors else None,
        *(kmodel_text(file.kmodel, width, source) for file in report.files if file.kmodel is not None),
    )


def maixpy_text(report: MaixpyReport) -> RenderableType:
    """Where the project is, what it takes, and how it gets onto the board."""
    where = report.folder if report.folder.endswith("/") else f"{report.folder}/"
    heap = f" of {memory(report.heap)} beside the camera" if report.heap is not None else ""
    lines: list[tuple[str, RenderableType]] = [
        ("flash", f"0x{report.address:06x}..0x{report.end:06x}, {memory(report.end - report.address)}"),
        ("heap", f"{memory(report.working)}{heap}"),
        ("output", _KINDS[report.kind] + (f": {', '.join(report.labels)}" if report.labels else "")),
    ]
    lines += [("note", note) for note in report.notes]
    return blocks(
        title(f"Wrote {plural(len(report.files), 'file')} to {where}", f"MaixPy, {report.board}"),
        facts(lines),
        next_step(f"cd {shlex.quote(safe(report.folder))}", *report.commands),
    )


def kmodel_run_text(run: KmodelRun, width: int, *, source: str, saved: str | None) -> RenderableType:
    """``source``: of the inputs, in words; ``saved``: where the outputs went."""
    note = f"kmodel version {run.kmodel}, simulated, {plural(len(run.samples), 'sample')} {source}"
    columns = [Column("sample"), *(Column(info.name, flexible=True, prose=True) for info in run.output_info)]
    columns.append(Column("seconds", "right"))
    rows = [(sample.name, *_values(run, sample), f"{sample.seconds:.3f}") for sample in run.samples]
    return blocks(
        title(run.model, note),
        facts(tensors("output", run.output_info)),
        table(columns, rows, width),
        facts([("note", text) for text in run.notes]) if run.notes else None,
        facts([("saved", saved)]) if saved else None,
    )


def _values(run: KmodelRun, sample: SampleRun) -> list[str]:
    return [_output(run, values.ravel().tolist(), values.size) for values in sample.outputs]


def _output(run: KmodelRun, flat: list[float], size: int) -> str:
    """All values of a small output, the greatest of one that may be classes, the range of a map."""
    if size == 1:
        return f"{flat[0]:.6g}"
    if size in _CLASSES:
        best = greatest(np.array(flat))
        named = ", ".join(f"{run.label(int(i))}: {flat[int(i)]:.4g}" for i in best)
        everything = " ".join(f"{value:.4g}" for value in flat)
        return f"{named}  [{everything}]" if size <= MOST_VALUES else named
    return f"{min(flat):.4g} .. {max(flat):.4g}"
