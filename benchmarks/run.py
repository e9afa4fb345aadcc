"""`make bench`: measure the benchmark models, write results.json and the page docs/benchmarks.md.

The five int8 models of MLPerf Tiny lie in the folder CHIPFIT_MODELS (default: ../shared/models beside the repository);
the demo model comes with chipfit. Without the folder the rows of the five stay as they are in results.json.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from page import Peers, page

import chipfit
from chipfit.bench import BenchReport, BenchRow, bench, compiler_name, failures
from chipfit.build import Aim
from chipfit.demo import model_path
from chipfit.model import Model

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results.json"
PEERS = ROOT / "benchmarks" / "peers.json"
PAGE = ROOT / "docs" / "benchmarks.md"
MODELS = (
    "mlperf_kws_dscnn_int8",
    "mlperf_vww_mnv1_025_96_int8",
    "mlperf_ic_resnet8_int8",
    "mlperf_ad_toycar_int8",
    "mlperf_streaming_wakeword_int8",
)
BOARDS = ("nucleo-l4r5zi", "raspberry-pi-pico", "esp32-c3")
AIMS: dict[Aim, tuple[str, ...]] = {
    "balanced": BOARDS,
    "speed": BOARDS[:1],
    "size": BOARDS[:1],
    "ram": BOARDS[:1],
}
"""The boards on which each goal is measured."""


def main() -> int:
    """What became worse is told and written all the same: this is how it is accepted. 1 if outputs are wrong."""
    before = read_results(RESULTS) if RESULTS.is_file() else None
    report = measured(before)
    RESULTS.write_text(json.dumps(report.to_json(), indent=1) + "\n", encoding="utf-8", newline="\n")
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(page(report, read_peers(), MODELS), encoding="utf-8", newline="\n")
    for line in failures(before, report):
        print(f"worse: {line}", file=sys.stderr)
    return 0 if report.passed else 1


def measured(before: BenchReport | None) -> BenchReport:
    """The report of all models that are there; rows of those that are not are kept."""
    models = benchmark_models()
    rows: list[BenchRow] = []
    for aim, boards in AIMS.items():
        rows += bench(models, boards, optimize=aim, progress=lambda text: print(text, file=sys.stderr)).rows
    names = ("digits_int8", *MODELS)
    rows.sort(key=lambda row: (names.index(row.model), BOARDS.index(row.board)))
    there = {model.name for model in models}
    kept = [row for row in before.rows if row.model not in there] if before else []
    return BenchReport((*rows, *kept), compiler_name())


def benchmark_models() -> list[Model]:
    """The demo model, and those of the five that are there."""
    folder = Path(os.environ.get("CHIPFIT_MODELS", ROOT.parent / "shared" / "models"))
    files = [folder / f"{name}.tflite" for name in MODELS]
    return [chipfit.load(model_path("int8")), *(chipfit.load(file) for file in files if file.is_file())]


def read_results(path: Path) -> BenchReport:
    return BenchReport.from_json(json.loads(path.read_text(encoding="utf-8")))


def read_peers() -> Peers:
    return json.loads(PEERS.read_text(encoding="utf-8"))


if __name__ == "__main__":
    sys.exit(main())
