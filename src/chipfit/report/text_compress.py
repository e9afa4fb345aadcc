"""What ``chipfit compress`` says."""

from __future__ import annotations

from pathlib import Path

from rich.console import Group, RenderableType
from rich.text import Text

from chipfit.compress.channels.report import GroupResult, PruneDetails, Sensitivity
from chipfit.compress.decompose.report import DecomposeDetails, LayerParts
from chipfit.compress.distill_report import DistillDetails
from chipfit.compress.report import CompressReport, ModelFigures
from chipfit.compress.weights_report import WeightsDetails
from chipfit.report.text import Column, blocks, command, count, facts, memory, next_step, plural, safe, table, title
from chipfit.report.text_train import qat_text
from chipfit.training.report import QatFigures
from chipfit.training.run_folder import integer_name


def compress_text(report: CompressReport, width: int) -> RenderableType:
    head = title(f"{report.model}: {report.method}", f"{report.folder}/, in {report.seconds:.0f} s")
    before, after = report.before, report.after
    shown = None if before is None or after is None else _figures(before, after, width)
    return blocks(head, shown, _details(report, width), facts(_facts(report)), next_step(*_next(report)))


def _figures(before: ModelFigures, after: ModelFigures, width: int) -> RenderableType:
    columns = [Column(""), Column("before", "right"), Column("after", "right"), Column("share", "right")]
    rows: list[tuple[str, str, str, str]] = []
    for name in ("accuracy", "int8_accuracy"):
        one, two = getattr(before, name), getattr(after, name)
        if one is not None and two is not None:
            label = "float accuracy" if name == "accuracy" else "int8 accuracy"
            rows.append((label, _percent(one), _percent(two), f"{100 * (two - one):+.2f} points"))
    if before.accuracy is None and before.loss is not None and after.loss is not None:
        rows.append(("float loss", f"{before.loss:.4g}", f"{after.loss:.4g}", ""))
    if before.agreement is not None and after.agreement is not None:
        rows.append(("int8 as float was", _percent(before.agreement), _percent(after.agreement), ""))
    rows.append(("parameters", *_counts(before.parameters, after.parameters)))
    rows.append(("multiply-accumulates", *_counts(before.macs, after.macs)))
    if before.board is not None and after.board is not None:
        a, b = before.board, after.board
        rows.append((f"flash, {a.board}", memory(a.flash), memory(b.flash), _share(b.flash, a.flash)))
        rows.append(("of it constants", memory(a.constants), memory(b.constants), _share(b.constants, a.constants)))
        rows.append(("RAM, stack included", memory(a.ram), memory(b.ram), _share(b.ram, a.ram)))
        rows.append(("instructions of a run", *_counts(a.instructions, b.instructions)))
        if a.milliseconds is not None and b.milliseconds is not None:
            share = f"{100 * b.milliseconds / a.milliseconds:.1f}%"
            rows.append(("about", f"{a.milliseconds:,.1f} ms", f"{b.milliseconds:,.1f} ms", share))
    if before.board is not None and after.compressed is not None:
        a, b = before.board, after.compressed
        rows.append(("with compressed weights:", "", "", ""))
        rows.append(("flash", memory(a.flash), memory(b.flash), _share(b.flash, a.flash)))
        rows.append(("of it constants", memory(a.constants), memory(b.constants), _share(b.constants, a.constants)))
        rows.append(("RAM, stack included", memory(a.ram), memory(b.ram), _share(b.ram, a.ram)))
        rows.append(("instructions of a run", *_counts(a.instructions, b.instructions)))
    return table(columns, rows, width)


def _percent(share: float) -> str:
    return f"{100 * share:.2f}%"


def _counts(a: int | None, b: int | None) -> tuple[str, str, str]:
    return count(a), count(b), _share(b, a)


def _share(part: int | None, whole: int | None) -> str:
    return "" if part is None or not whole else f"{100 * part / whole:.1f}%"


# ---------------------------------------------------------------------------------------------- what methods did


def _details(report: CompressReport, width: int) -> RenderableType | None:
    details = report.details
    if isinstance(details, PruneDetails):
        return Group(_groups(details.groups, width), Text(""), _stages(details, width))
    if isinstance(details, WeightsDetails):
        return _weights(details, width)
    if isinstance(details, QatFigures):
        return qat_text(details)
    if isinstance(details, DecomposeDetails):
        return _parts(details, width)
    if isinstance(details, DistillDetails):
        return _distilled(details)
    return None


def _weights(details: WeightsDetails, width: int) -> RenderableType:
    columns = [
        Column("weights of", flexible=True),
        Column("weights", "right"),
        Column("different", "right"),
        Column("zeros", "right"),
        Column("error", "right"),
    ]
    rows = [
        (w.name, count(w.weights), count(w.different), f"{100 * w.zeros / max(1, w.weights):.1f}%", _error(w.error))
        for w in details.layers
    ]
    return table(columns, rows, width)


def _parts(details: DecomposeDetails, width: int) -> RenderableType:
    columns = [
        Column("layer", flexible=True),
        Column("becomes"),
        Column("ranks", "right"),
        Column("multiply-accumulates", "right"),
        Column("weights", "right"),
        Column("error", "right"),
    ]
    rows = [_layer_parts(layer) for layer in details.layers]
    lines: list[tuple[str, RenderableType]] = [("ranks", details.rule), ("errors", details.errors)]
    if details.loss is not None:
        accuracy = "" if details.accuracy is None else f", {_percent(details.accuracy)}"
        where = f"{details.measured}; {plural(details.samples, 'sample')}"
        lines.append(("at first", f"loss {details.loss:.4f}{accuracy} ({where})"))
    return Group(table(columns, rows, width), Text(""), facts(lines))


def _layer_parts(layer: LayerParts) -> tuple[str, ...]:
    if layer.form is None:
        return layer.name, f"stays: {layer.reason}", "", count(layer.macs), count(layer.weights), ""
    return (
        layer.name, layer.form, ", ".join(map(str, layer.ranks)), f"{count(layer.macs)} → {count(layer.macs_after)}",
        f"{count(layer.weights)} → {count(layer.weights_after)}", _error(layer.error),
    )  # fmt: skip


def _distilled(details: DistillDetails) -> RenderableType:
    lines: list[tuple[str, RenderableType]] = []
    accuracy = (
        "" if details.teacher_accuracy is None else f", {_percent(details.teacher_accuracy)} right on these pictures"
    )
    lines.append(("teacher", f"{safe(details.teacher)}: {count(details.teacher_macs)} multiply-accumulates{accuracy}"))
    if details.agreement is not None:
        lines.append(("agreement", f"the student answers as it does for {_percent(details.agreement)} of them"))
    lines.append(("lesson", f"temperature {details.temperature:g}, labels {100 * details.hard:g}% of the loss"))
    lines += [("alike", f"{safe(ours)} and {safe(theirs)}") for ours, theirs in details.features]
    if details.qat is None:
        return facts(lines)
    return Group(facts(lines), Text(""), qat_text(details.qat))


def _error(error: float | None) -> str:
    return "" if error is None else f"{100 * error:.2f}%"


def _groups(groups: tuple[GroupResult, ...], width: int) -> RenderableType:
    columns = [
        Column("channels of", flexible=True),
        Column("before", "right"),
        Column("after", "right"),
        Column("why they stay", flexible=True, prose=True),
    ]
    rows = [(_named(g), count(g.before), count(g.after), g.reason if g.fixed else "") for g in groups]
    return table(columns, rows, width)


def _named(group: GroupResult) -> str:
    more = len(group.tensors) - 1
    return group.name if not more else f"{group.name} and {more} tied to it"


def _stages(details: PruneDetails, width: int) -> RenderableType:
    columns = [
        Column("stage", "right"),
        Column("channels removed", "right"),
        Column("loss", "right"),
        Column("accuracy", "right"),
        Column("epochs", "right"),
        Column("validation then", "right"),
    ]
    rows = [
        (
            str(s.number), count(s.channels), f"{s.loss:.4f}", "" if s.accuracy is None else _percent(s.accuracy),
            str(s.epochs), "" if s.val_accuracy is None else _percent(s.val_accuracy),
        )
        for s in details.stages
    ]  # fmt: skip
    return table(columns, rows, width)


def _facts(report: CompressReport) -> list[tuple[str, RenderableType]]:
    lines: list[tuple[str, RenderableType]] = []
    if report.judged:
        lines.append(("judged", f"{plural(report.judged, 'validation picture')} of {report.data}"))
    if report.history:
        seconds = sum(epoch.seconds for epoch in report.history)
        lines.append(("learned", f"{plural(len(report.history), 'epoch')} in {seconds:.0f} s"))
    lines += [("note", safe(note)) for note in report.notes]
    if len(report.applied) > 1:
        lines.append(("methods", ", ".join(report.applied)))
    lines.append(("folder", f"{report.folder}: {', '.join(report.files)}"))
    return lines


def _next(report: CompressReport) -> list[str]:
    is_smaller = report.after is not None and report.after.compressed is not None
    packed = ["--compress-weights"] if is_smaller else []
    if report.settings is not None:
        return [command("deploy", report.folder, "-b", report.board_name, *packed)]
    small = f"{integer_name(report.model)}.tflite"
    file = str(Path(report.folder) / (small if small in report.files else f"{report.model}.tflite"))
    data = ["--data", report.data] if report.data is not None else []
    return [command("deploy", file, *data, "-b", report.board_name, *packed)]


def sensitivity_text(found: Sensitivity, width: int) -> RenderableType:
    """A row for each group, a column for each share of it that was removed."""
    accuracy = "" if found.accuracy is None else f", {_percent(found.accuracy)}"
    head = title(f"{found.model}: groups of channels", f"the whole network: loss {found.loss:.4f}{accuracy}")
    most = max((len(_points(found, g)) for g in found.groups), default=0)
    columns = [Column("channels of", flexible=True), Column("channels", "right")]
    columns += [Column("without: loss" if i == 0 else "", "right") for i in range(most)]
    rows: list[tuple[str, ...]] = []
    for group in found.groups:
        cells = _points(found, group)
        rows.append((_named(group), count(group.before), *cells, *[""] * (most - len(cells))))
    stays = [(safe(g.name), g.reason) for g in found.groups if g.fixed == g.before]
    measured = f"{found.measured}; {plural(found.samples, 'sample')}"
    return blocks(
        head, table(columns, rows, width), facts([("measured", measured), *(("stays", f"{n}: {r}") for n, r in stays)])
    )


def _points(found: Sensitivity, group: GroupResult) -> list[str]:
    mine = [p for p in found.points if p.group == group.name]
    return [f"{p.removed}: {p.loss:.3f}" + ("" if p.accuracy is None else f" {100 * p.accuracy:.1f}%") for p in mine]
