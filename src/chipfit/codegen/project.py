"""The output folder: sources, the kernels they use, and ``chipfit.json`` that says what it all is."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from importlib import resources
from pathlib import Path
from typing import Any

from chipfit.codegen.harness import host_c, main_c
from chipfit.codegen.memory import Bundle
from chipfit.codegen.model import model_c, model_h, weights_c, weights_h
from chipfit.codegen.program import Program
from chipfit.errors import ChipfitError
from chipfit.ops._flash import AVR_HEADER, FLASH_HEADER

MANIFEST = "chipfit.json"
MANIFEST_VERSION = 2
_SET_KEYS = ("name", "board", "target", "core", "arch", "models", "report")
_MANIFEST_KEYS = ("name", "entry", "board", "target", "core", "arch", "inputs", "outputs", "layers", "report")


def runtime_folder() -> Path:
    """The folder of the C runtime inside the installed package."""
    return Path(str(resources.files("chipfit") / "runtime"))


def source_files(program: Program | Bundle, harness: str) -> dict[str, str]:
    """Text of every file of one model, or of several, by path.

    ``harness``: ``main`` (chip), ``host`` (shared library) or ``none``.
    """
    bundle = program if isinstance(program, Bundle) else Bundle((program,))
    files = {
        "model.h": model_h(bundle),
        # model_c first: state that needs an initial image adds a constant
        "model.c": model_c(bundle),
    }
    files["weights.h"] = weights_h(bundle)
    files["weights.c"] = weights_c(bundle)
    if harness == "main":
        files["main.c"] = main_c(bundle)
    elif harness == "host":
        files["host.c"] = host_c(bundle)
    files.update(_kernel_files(bundle))
    return files


def _kernel_files(bundle: Bundle) -> dict[str, str]:
    """The kernels in use and all headers they include, under ``chipfit/``."""
    root = runtime_folder()
    folders = (root / "kernels", root / "include")
    found: dict[str, str] = {}
    wanted = [f"{name}.h" for program in bundle.programs for step in program.steps for name in step.kernel_names]
    wanted += [FLASH_HEADER, AVR_HEADER] if bundle.has_flash_apart else []
    wanted += ["cf_rows.h"] if any(unit.rows for program in bundle.programs for unit in program.plan.units) else []
    while wanted:
        name = wanted.pop()
        path = f"chipfit/{name}"
        if path in found:
            continue
        file = next((f / name for f in folders if (f / name).is_file()), None)
        if file is None:
            raise ChipfitError("G001", f"the runtime has no file {name}")
        found[path] = file.read_text(encoding="utf-8")
        wanted += [line.split('"')[1] for line in found[path].splitlines() if line.startswith('#include "')]
    return found


@contextmanager
def staged_folder(folder: Path, *, force: bool = False) -> Generator[Path]:
    """Work in a temporary folder that becomes ``folder`` if all goes well; if not, nothing is left of it.

    An existing folder is replaced only if it is empty or chipfit wrote it (it holds ``chipfit.json``); else
    ChipfitError P001. With ``force`` the files are put into a foreign folder, beside what is there; so they are into
    the working folder of this process, which would be lost under the user's feet otherwise.
    """
    folder = folder.resolve()
    if folder.exists() and not force and not _is_ours(folder):
        raise ChipfitError(
            "P001", f"{folder} exists and was not written by chipfit", "choose another folder with -o, or pass --force"
        )
    folder.parent.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        yield staging
        staging.chmod(0o755)
        if folder.exists() and (not _is_ours(folder) or Path.cwd().is_relative_to(folder)):
            shutil.copytree(staging, folder, dirs_exist_ok=True)
        else:
            _swap(staging, folder)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def write_files(folder: Path, files: Mapping[str, str | bytes], manifest: Mapping[str, Any]) -> None:
    """Write files by path, text or bytes, and the manifest."""
    for name, text in {**files, MANIFEST: json.dumps(manifest, indent=2) + "\n"}.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode() if isinstance(text, str) else text)


def _is_ours(folder: Path) -> bool:
    return folder.is_dir() and (not any(folder.iterdir()) or (folder / MANIFEST).is_file())


def _swap(staging: Path, folder: Path) -> None:
    """Put the staged folder in place; the old one goes only once the new one is there."""
    if not folder.exists():
        staging.replace(folder)
        return
    old = Path(tempfile.mkdtemp(prefix=f".{folder.name}-old-", dir=folder.parent))
    folder.replace(old / "folder")
    try:
        staging.replace(folder)
    except OSError:
        (old / "folder").replace(folder)
        raise
    finally:
        shutil.rmtree(old, ignore_errors=True)


def holds_several(folder: Path) -> bool:
    """Whether a folder is one of several models that were compiled together."""
    try:
        return "models" in json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError, TypeError):
        return False


def read_manifest(folder: Path, *, several: bool = False) -> dict[str, Any]:
    """``chipfit.json`` of a compiled folder, of one model or of ``several``.

    Raises ChipfitError P002 where there is none of this version.
    """
    path = folder / MANIFEST
    again = "compile it again with `chipfit compile MODEL -b BOARD`"
    try:
        manifest: Any = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ChipfitError(
            "P002", f"{folder} is not a compiled model: {error}", "compile one with `chipfit compile MODEL -b BOARD`"
        ) from error
    version = manifest.get("version") if isinstance(manifest, dict) else None
    if version != MANIFEST_VERSION:
        raise ChipfitError("P002", f"{path} is version {version}, this chipfit reads {MANIFEST_VERSION}", again)
    if several != ("models" in manifest):
        holds = "several models" if "models" in manifest else "one model"
        name = "FirmwareSet" if "models" in manifest else "Firmware"
        raise ChipfitError("P002", f"{folder} holds {holds}", f"open it with chipfit.{name}.open")
    missing = [key for key in (_SET_KEYS if several else _MANIFEST_KEYS) if key not in manifest]
    if missing and "framework" in manifest:
        hint = f"`chipfit flash {folder}` brings it onto the board; on the emulator: `chipfit run MODEL -b BOARD`"
        raise ChipfitError("P002", f"{folder} holds a project for {manifest['framework']}, not a compiled model", hint)
    if missing:
        raise ChipfitError("P002", f"{path} lacks {', '.join(missing)}", again)
    return manifest
