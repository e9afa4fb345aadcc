"""From pictures or a model to a program on a board: all steps, or what would fit."""

from chipfit.deployment.advice import Advice, Candidate
from chipfit.deployment.deploy import deploy
from chipfit.deployment.figures import Limits, Needs
from chipfit.deployment.report import Accuracy, DeployReport, Proof, Step
from chipfit.deployment.request import Listener, Request

__all__ = [
    "Accuracy",
    "Advice",
    "Candidate",
    "DeployReport",
    "Limits",
    "Listener",
    "Needs",
    "Proof",
    "Request",
    "Step",
    "deploy",
]
