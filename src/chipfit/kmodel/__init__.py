"""Models of the Kendryte K210 (``.kmodel`` versions 3 and 4): read, checked, simulated, written, packed."""

from chipfit.kmodel.format.kfpkg import FlashFile, is_kfpkg, read_kfpkg, write_kfpkg
from chipfit.kmodel.format.read import is_kmodel
from chipfit.kmodel.inputs import NamedSamples, read_inputs
from chipfit.kmodel.inspection import KmodelReport
from chipfit.kmodel.model import Kmodel, kmodels_of, load
from chipfit.kmodel.package import PackagedFile, PackageReport, inspect_file
from chipfit.kmodel.results import LayerDump, save_outputs
from chipfit.kmodel.simulate.report import KmodelRun, SampleRun

__all__ = [
    "FlashFile",
    "Kmodel",
    "KmodelReport",
    "KmodelRun",
    "LayerDump",
    "NamedSamples",
    "PackageReport",
    "PackagedFile",
    "SampleRun",
    "inspect_file",
    "is_kfpkg",
    "is_kmodel",
    "kmodels_of",
    "load",
    "read_inputs",
    "read_kfpkg",
    "save_outputs",
    "write_kfpkg",
]
