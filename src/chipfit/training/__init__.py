"""From a folder of pictures to a trained network."""

from chipfit.training.augment import NONE, STRENGTHS, Augmentation, batches, parse_augmentation
from chipfit.training.pictures import Broken, PictureSet, read_pictures
from chipfit.training.sheet import draw_sheet
from chipfit.training.split import Copies, Split, class_weights, split_pictures

__all__ = [
    "NONE",
    "STRENGTHS",
    "Augmentation",
    "Broken",
    "Copies",
    "PictureSet",
    "Split",
    "batches",
    "class_weights",
    "draw_sheet",
    "parse_augmentation",
    "read_pictures",
    "split_pictures",
]
