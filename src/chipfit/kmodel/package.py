"""A file that ``chipfit inspect`` is given: a kmodel, or a package of files for the flash."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chipfit.errors import ChipfitError
from chipfit.kmodel.format.kfpkg import is_kfpkg, read_kfpkg
from chipfit.kmodel.format.read import is_kmodel
from chipfit.kmodel.inspection import KmodelReport
from chipfit.kmodel.model import load, read_bytes
from chipfit.report.data import SCHEMA_VERSION


@dataclass(frozen=True)
class PackagedFile:
    """``address``: in flash; ``sha256_prefix``: a flasher puts length and hash before it; ``kmodel``: what it holds, if
    it is one; ``error``: why it cannot be read, if it is one that cannot."""

    address: int
    name: str
    size: int
    sha256_prefix: bool
    kmodel: KmodelReport | None
    error: str | None


@dataclass(frozen=True)
class PackageReport:
    """What a ``.kfpkg`` puts where."""

    package: str
    files: tuple[PackagedFile, ...]

    def to_json(self) -> dict[str, Any]:
        files = [{**vars(file), "kmodel": file.kmodel.to_json() if file.kmodel else None} for file in self.files]
        return {"schema": "chipfit.kfpkg", "version": SCHEMA_VERSION, "package": self.package, "files": files}


def inspect_file(path: Path) -> KmodelReport | PackageReport:
    """Raises ChipfitError as :func:`chipfit.kmodel.load` does; of a package only for the package itself."""
    data = read_bytes(path)
    if not is_kfpkg(data):
        return load(path).inspect()
    files: list[PackagedFile] = []
    for file in read_kfpkg(data):
        report, problem = None, None
        if is_kmodel(file.data):
            try:
                report = load(file.data, Path(file.name).stem).inspect()
            except ChipfitError as error:
                problem = str(error)
        files.append(PackagedFile(file.address, file.name, len(file.data), file.sha256_prefix, report, problem))
    return PackageReport(path.name, tuple(files))
