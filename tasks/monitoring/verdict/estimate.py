"""How often the champion errs, estimated before any label comes.

From how sure it is, and how often it erred when it was as sure in its test.

A logistic curve is fitted to the errors of held-out rows (Platt 1999) over the logarithm of the odds of their
confidence, or of numbers over the answer and its square, and averaged over production (confidence-based
estimation, Garg et al. 2022). It sees what makes a model unsure. It cannot see that the truth of the same
inputs became another: only late labels show that, which is why the page puts both side by side.
"""

import math
from statistics import NormalDist

import numpy as np
import pandas as pd

from tasks.monitoring.performance import FEWEST_TESTED, USUAL
from tasks.monitoring.verdict.tally import Floats
from tasks.production.drift_reference import ERROR
from tasks.records import Estimate

CONFIDENCE, ANSWER = "model confidence", "model answer"
SUREST = 1e-6
"""Distance of a confidence from 0 and 1 that still counts."""
STEPS, SHRINKAGE = 50, 1e-3
"""Of Newton's method at most, and what keeps a curve from becoming a step."""
Z = NormalDist().inv_cdf(0.975)


def estimate(now: pd.DataFrame, tested: pd.DataFrame) -> Estimate | None:
    """Of production's rows.

    None where the bundle has too few held-out rows with their errors, or answers say nothing of errors.

    now, tested: descriptors of answers, of the held-out ones with their ERROR
    """
    if ERROR not in tested:
        return None
    tested = tested[tested[ERROR].notna()]
    sides = signals(now, tested)
    if sides is None or len(tested) < FEWEST_TESTED or not len(now):
        return None
    errors = tested[ERROR].to_numpy(np.float64)
    near = None if CONFIDENCE in tested else float(np.quantile(errors, USUAL))
    wrong = (errors > (near or 0.0)).astype(np.float64)
    of_now, of_tested = sides
    weights, uncertainty = fit(of_tested, wrong)
    likely = odds_to_share(of_now @ weights)
    share, doubt = float(likely.mean()), likely * (1 - likely)
    slope = (doubt[:, None] * of_now).mean(axis=0)
    deviation = math.sqrt(float(slope @ uncertainty @ slope) + float(doubt.sum()) / len(doubt) ** 2)
    low, high = max(0.0, share - Z * deviation), min(1.0, share + Z * deviation)
    return Estimate(errors=share, low=low, high=high, tested=float(wrong.mean()), near=near)


def signals(now: pd.DataFrame, tested: pd.DataFrame) -> tuple[Floats, Floats] | None:
    """What errors are told by, [rows, numbers] of each side, each row beginning with a 1."""
    name = CONFIDENCE if CONFIDENCE in tested and CONFIDENCE in now else ANSWER
    if name not in tested or not pd.api.types.is_numeric_dtype(tested[name].dtype):
        return None
    of_now, of_tested = (side[name].to_numpy(np.float64) for side in (now, tested))
    of_now = of_now[np.isfinite(of_now)]
    if not len(of_now) or not np.isfinite(of_tested).all():
        return None
    if name == CONFIDENCE:
        return powers(log_odds(of_now), 1), powers(log_odds(of_tested), 1)
    middle, width = float(of_tested.mean()), float(of_tested.std()) or 1.0
    # An answer beyond all that were tested tells no more than the farthest of these.
    of_now = of_now.clip(of_tested.min(), of_tested.max())
    return powers((of_now - middle) / width, 2), powers((of_tested - middle) / width, 2)


def log_odds(confidence: Floats) -> Floats:
    """Of shares, those of certainty bounded."""
    sure = confidence.clip(SUREST, 1 - SUREST)
    found: Floats = np.log(sure / (1 - sure))
    return found


def powers(values: Floats, highest: int) -> Floats:
    """[rows, highest + 1]: of each value all powers from the zeroth on."""
    found: Floats = np.stack([values**power for power in range(highest + 1)], axis=1)
    return found


def fit(signal: Floats, wrong: Floats) -> tuple[Floats, Floats]:
    """Weights of a logistic curve and their covariance, by Newton's method."""
    count = float(wrong.sum())
    # Platt's targets: a test without any error does not show that there are none.
    wanted = np.where(wrong > 0, (count + 1) / (count + 2), 1 / (len(wrong) - count + 2))
    weights: Floats = np.zeros(signal.shape[1])
    curvature: Floats = np.eye(len(weights))
    for _ in range(STEPS):
        likely = odds_to_share(signal @ weights)
        slope = signal.T @ (wanted - likely) - SHRINKAGE * weights
        curvature = (signal * (likely * (1 - likely))[:, None]).T @ signal + SHRINKAGE * np.eye(len(weights))
        step = np.linalg.solve(curvature, slope)
        # A long step may jump over the top and never come back.
        weights = weights + step * min(1.0, 2.0 / max(float(np.abs(step).max()), 1e-12))
        if float(np.abs(step).max()) < 1e-8:
            break
    covariance: Floats = np.asarray(np.linalg.inv(curvature), np.float64)
    return weights, covariance


def odds_to_share(odds: Floats) -> Floats:
    """The logistic function."""
    found: Floats = 1 / (1 + np.exp(-np.clip(odds, -500, 500)))
    return found
