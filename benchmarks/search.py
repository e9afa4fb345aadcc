"""A search on real pictures: for 20 KB of RAM and 80 KB of flash, in one process, killed and gone on with, and by Ray.

Pictures of vehicles lie in the folder that CHIPFIT_DATA names (default: ../shared/data beside the repository). Searches
are kept in FOLDER, so that an interrupted benchmark goes on. Each is the command line itself; all must find the same
networks, byte for byte. Writes the tables of docs/search.md.

    python benchmarks/search.py [FOLDER]
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from page import between_marks, table

from chipfit.search import Point
from chipfit.search.cost import COSTS

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "search.md"
DATA = Path(os.environ.get("CHIPFIT_DATA", ROOT.parent / "shared" / "data"))

SPACE = f"""alpha = [0.125, 0.25]
size = [32, 48, 64]
colour = ["grey", "rgb"]
depth = [0.5, 1.0]
compression = ["none", "cluster 16"]

[train]
epochs = 2
batch = 128
rate = 3e-3

[compress]
epochs = 1

[weights]
"mobilenet_v1 0.25" = "{DATA / "weights" / "mobilenet_2_5_224_tf_no_top.h5"}"
"""
LIMITS = ["--max-ram", "20", "--max-flash", "80"]
TRIALS, KILLED_TRIALS = 12, 3
"""Of the search that is killed, the others are not waited for: the first ones are the same."""
AIM = 0.96


def command(folder: Path, name: str, trials: int, *options: str) -> list[str]:
    words = [sys.executable, "-m", "chipfit", "search", str(folder / "space.toml"), "-b", "arduino-nano-33-ble"]
    words += ["--data", str(DATA / "vehicles"), *LIMITS, "--trials", str(trials), *options]
    return [*words, "-o", str(folder / name)]


def found(folder: Path, name: str) -> dict[str, Any]:
    return json.loads((folder / name / "search.json").read_text(encoding="utf-8"))


def killed_in_a_training(words: Sequence[str], out: Path) -> str:
    """Start a search, and kill it when the first trial is done and another one trains. Says where that was."""
    with subprocess.Popen(words) as process:
        while process.poll() is None:
            done = list(out.glob("trials/*/trial.json"))
            for file in sorted(out.glob("trials/*/run/run.json")):
                run = json.loads(file.read_text(encoding="utf-8"))
                if done and run["status"] == "running" and run["history"]:
                    process.send_signal(signal.SIGKILL)
                    process.wait()
                    return f"behind epoch {len(run['history'])} of trial {int(file.parts[-3])}"
            time.sleep(0.05)
    raise SystemExit("the search ended before it could be killed")


def same(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """Whether all trials of the other one are the first ones of the one: choices, accuracies, needs, and bytes."""
    if not other["trials"]:
        return False
    for a, b in zip(one["trials"], other["trials"], strict=False):
        if any(a[key] != b[key] for key in ("number", "point", "float32", "integer", "needs", "file")):
            return False
        if len({(Path(t["folder"]) / t["file"]).read_bytes() for t in (a, b)}) > 1:
            return False
    return True


_ASPECTS = {"flash": "flash", "ram": "RAM", "instructions": "instructions"}


def foreseen(folder: Path, report: dict[str, Any]) -> str:
    """How near the costs that were known before the training are to what trained networks need."""
    costs = json.loads((folder / COSTS).read_text(encoding="utf-8"))
    off: dict[str, list[float]] = {key: [] for key in _ASPECTS}
    for trial in report["trials"]:
        before = costs[Point(**trial["point"]).key]["needs"]
        for key, found in off.items():
            found.append(abs(trial["needs"][key] / before[key] - 1))
    equal = [f"{name} of {off[key].count(0)}" for key, name in _ASPECTS.items()]
    most = [f"{100 * max(off[key]):.1f} %" for key in _ASPECTS]
    said = f"Of {len(report['trials'])} trained networks, {', '.join(equal)} were foreseen to the last one"
    return f"{said}; the others differ by at most {', '.join(most)}."


def row(name: str, report: dict[str, Any], is_same: bool) -> tuple[str, ...]:
    trials = report["trials"]
    best = max(trials, key=lambda t: t["integer"] if not t["needs"]["problem"] else 0.0)
    front = sum(t["on_front"] for t in trials)
    accuracy, seconds = f"{100 * best['integer']:.2f} %", f"{report['seconds'] / 60:.1f}"
    return (name, str(len(trials)), accuracy, str(front), "yes" if is_same else "NO", seconds)


def front_of(report: dict[str, Any]) -> list[str]:
    rows: list[tuple[str, ...]] = []
    for trial in sorted((t for t in report["trials"] if t["on_front"]), key=lambda t: -t["integer"]):
        point, needs = trial["point"], trial["needs"]
        words = (f"alpha {point['alpha']:g}", f"depth {point['depth']:g}", f"{point['size']}x{point['size']}")
        memory = (f"{needs[key] / 1024:.1f}" for key in ("flash", "ram"))
        shares = (f"{100 * trial[key]:.2f} %" for key in ("float32", "integer"))
        name = ", ".join([*words, point["colour"]])
        rows.append((name, point["compression"], *shares, *memory, f"{needs['instructions']:,}"))
    head = ("network", "compression", "float", "int8", "flash KiB", "RAM KiB", "instructions")
    return table(head, rows, left=2)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path, default=Path(tempfile.gettempdir()) / "chipfit-search")
    folder: Path = parser.parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "space.toml").write_text(SPACE, encoding="utf-8")
    subprocess.run(command(folder, "alone", TRIALS), check=True)
    note, stopped = folder / "killed.txt", command(folder, "killed", KILLED_TRIALS)
    if not note.is_file():
        note.write_text(killed_in_a_training(stopped, folder / "killed"), encoding="utf-8")
    subprocess.run(stopped, check=True)
    subprocess.run(command(folder, "ray", TRIALS, "--ray", "local"), check=True)

    alone, killed, ray = (found(folder, name) for name in ("alone", "killed", "ray"))
    alike = same(alone, killed), same(alone, ray) and len(ray["trials"]) == len(alone["trials"])
    rows = [
        row("in one process", alone, True),
        row(f"killed {note.read_text(encoding='utf-8')}, gone on with", killed, alike[0]),
        row("`--ray local`, two workers", ray, alike[1]),
    ]
    head = ("search", "trials", "best int8", "on the front", "same networks", "minutes")
    known = (
        f"{alone['costed']} of {alone['candidates']} candidates were compiled, {alone['refused']} were over the limits."
    )
    known = f"{known} {foreseen(folder / 'alone', alone)} The front:"
    text = "\n".join([*table(head, rows, left=1), "", known, "", *front_of(alone)])
    PAGE.write_text(between_marks(PAGE.read_text(encoding="utf-8"), text), encoding="utf-8")
    print(text)
    best = max(t["integer"] for t in alone["trials"] if not t["needs"]["problem"])
    return 0 if all(alike) and best >= AIM else 1


if __name__ == "__main__":
    sys.exit(main())
