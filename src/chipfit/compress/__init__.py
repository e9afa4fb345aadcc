"""Smaller models: fewer channels, fewer different weights, weights that are zero; and what that really saves."""

from chipfit.compress.channels.prune import Prune, analyze
from chipfit.compress.cluster import Cluster
from chipfit.compress.decompose.method import Decompose, Rule, decomposed
from chipfit.compress.distill import Distill, Lesson
from chipfit.compress.report import BoardFigures, CompressReport, ModelFigures
from chipfit.compress.run import Request, compress, compress_or_resume
from chipfit.compress.sparse import Sparsify
from chipfit.compress.subject import open_subject

__all__ = [
    "BoardFigures",
    "Cluster",
    "CompressReport",
    "Decompose",
    "Distill",
    "Lesson",
    "ModelFigures",
    "Prune",
    "Request",
    "Rule",
    "Sparsify",
    "analyze",
    "compress",
    "compress_or_resume",
    "decomposed",
    "open_subject",
]
