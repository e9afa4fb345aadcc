"""The quantization debugger: what every tensor and layer of an integer network costs, and what to do about it."""

from __future__ import annotations

from dataclasses import dataclass

from chipfit.quantize.diagnose.advice import Advice
from chipfit.quantize.diagnose.evidence import Evidence, Sensitivity, investigate
from chipfit.quantize.diagnose.figures import Histogram, TensorDetails, WeightDetails
from chipfit.quantize.diagnose.rules_gains import GAIN_RULES, KNOWN_RULES
from chipfit.quantize.diagnose.rules_samples import SAMPLE_RULES
from chipfit.quantize.diagnose.trial import Trial
from chipfit.quantize.run import Quantized
from chipfit.quantize.sources import Progress, Samples, no_progress


@dataclass(frozen=True)
class Diagnosis:
    """``samples``: how many were looked at. ``judged``: the tensor that the network is judged by; ``sqnr``: its signal
    to noise in the integer network, dB, None: without noise; ``simulated``: in the simulation that gains refer to.

    ``ranking``: each rounding alone, the most expensive first. ``advice``: about the samples first, then what gains
    most, then what takes RAM, then what is only to be known.
    """

    samples: int
    judged: str
    sqnr: float | None
    simulated: float | None
    tensors: tuple[TensorDetails, ...]
    ranking: tuple[Sensitivity, ...]
    advice: tuple[Advice, ...]


def diagnose(made: Quantized, samples: Samples, progress: Progress = no_progress) -> Diagnosis:
    """Explain an integer network. ``samples``: those that it was calibrated with."""
    evidence = investigate(made, samples, progress)
    trial = Trial(evidence)
    target = evidence.network.target
    return Diagnosis(
        samples=len(evidence.network.floats[target]),
        judged=target.name,
        sqnr=evidence.sqnr,
        simulated=trial.decibels,
        tensors=tuple(evidence.tensors.values()),
        ranking=evidence.ranking,
        advice=_advice(evidence, trial, progress),
    )


def _advice(evidence: Evidence, trial: Trial, progress: Progress) -> tuple[Advice, ...]:
    found: list[list[Advice]] = []
    groups = (SAMPLE_RULES, GAIN_RULES, KNOWN_RULES)
    rules, done = sum(map(len, groups)), 0
    for group in groups:
        found.append([])
        for rule in group:
            found[-1] += rule(evidence, trial)
            done += 1
            progress("trying changes", done, rules)
    samples, gains, known = found
    gains.sort(key=lambda a: (a.rule == "wider_tensor", -(a.gain or 0.0)))
    return (*samples, *gains, *known)


__all__ = [
    "Advice",
    "Diagnosis",
    "Histogram",
    "Sensitivity",
    "TensorDetails",
    "WeightDetails",
    "diagnose",
]
