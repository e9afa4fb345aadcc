"""Models side by side: how often they are right, and what that costs on boards.

``sources`` says which models a source stands for, ``members`` makes them integer ones, ``judge`` has them answer the
same samples, ``run`` compiles them and does it all, ``report`` is what came of it.
"""

from chipfit.comparison.report import Accuracy, Change, CompareReport, Entry, Judged, OnBoard
from chipfit.comparison.run import compare_models

__all__ = ["Accuracy", "Change", "CompareReport", "Entry", "Judged", "OnBoard", "compare_models"]
