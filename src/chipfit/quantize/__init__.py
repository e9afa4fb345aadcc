"""From a float graph and samples to a smaller graph."""

from chipfit.quantize.calibrate import run_batches
from chipfit.quantize.modes import MODES, STEPS, ModeInfo, Step
from chipfit.quantize.observers import Range
from chipfit.quantize.pictures import Preprocessing, image_files
from chipfit.quantize.recipe import METHODS, LayerRule, Recipe, parse_recipe
from chipfit.quantize.run import Quantized, QuantizeReport, quantize_graph, require_samples
from chipfit.quantize.sources import (
    Progress,
    Samples,
    SampleSource,
    image_samples,
    no_progress,
    pixel_samples,
    samples_of,
)

__all__ = [
    "METHODS",
    "MODES",
    "STEPS",
    "LayerRule",
    "ModeInfo",
    "Preprocessing",
    "Progress",
    "QuantizeReport",
    "Quantized",
    "Range",
    "Recipe",
    "SampleSource",
    "Samples",
    "Step",
    "image_files",
    "image_samples",
    "no_progress",
    "parse_recipe",
    "pixel_samples",
    "quantize_graph",
    "require_samples",
    "run_batches",
    "samples_of",
]
