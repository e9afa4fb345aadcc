"""Models held against each other and against labels, on the user's own data."""

from chipfit.evaluation.figures import BoardFigures, EvaluationReport, Latency, ModelFigures
from chipfit.evaluation.run import evaluate_models, right_answers
from chipfit.evaluation.statistics import Confusion, Difference, Share

__all__ = [
    "BoardFigures",
    "Confusion",
    "Difference",
    "EvaluationReport",
    "Latency",
    "ModelFigures",
    "Share",
    "evaluate_models",
    "right_answers",
]
