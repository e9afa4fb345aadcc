"""From a float graph and samples to an integer graph."""

from chipfit.quantize.calibrate import run_batches
from chipfit.quantize.observers import Range
from chipfit.quantize.recipe import METHODS, STEPS, LayerRule, Recipe, Step, parse_recipe
from chipfit.quantize.run import Quantized, QuantizeReport, quantize_graph
from chipfit.quantize.sources import (
    Preprocessing,
    Progress,
    Samples,
    image_files,
    image_samples,
    no_progress,
    samples_of,
)

__all__ = [
    "METHODS",
    "STEPS",
    "LayerRule",
    "Preprocessing",
    "Progress",
    "QuantizeReport",
    "Quantized",
    "Range",
    "Recipe",
    "Samples",
    "Step",
    "image_files",
    "image_samples",
    "no_progress",
    "parse_recipe",
    "quantize_graph",
    "run_batches",
    "samples_of",
]
