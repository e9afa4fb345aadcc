"""What Arm's compiler for Ethos-U makes of a .tflite file."""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from pathlib import Path

DEVICES = ("ethos-u55-128", "ethos-u65-256")


def cpu_operators(file: Path) -> dict[str, int]:
    """How many operators Vela leaves to the CPU, by device."""
    return {device: _cpu_operators(file, device) for device in DEVICES}


def _cpu_operators(file: Path, device: str) -> int:
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "ethosu.vela", str(file), "--accelerator-config", device]
        done = subprocess.run([*command, "--output-dir", folder], capture_output=True, text=True, check=False)
    found = re.search(r"CPU operators = (\d+)", done.stdout)
    if done.returncode or found is None:
        sys.exit(f"Vela ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return int(found.group(1))
