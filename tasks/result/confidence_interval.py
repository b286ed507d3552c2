"""How far a mean over rows may be off, because other rows might have been drawn."""

import numpy as np
import numpy.typing as npt

RESAMPLES = 1000
SEED = 7
FEW = 16
"""Different values that are drawn by their counts, which is the same and does not grow with the rows."""


def interval(values: npt.NDArray[np.float64]) -> tuple[float, float]:
    """The bootstrap's 95 % percentile interval of the mean of `values` [rows], equal on every run.

    Efron and Tibshirani, An Introduction to the Bootstrap (1993), chapter 13.
    """
    draw = np.random.default_rng(SEED)
    distinct, counts = np.unique(values, return_counts=True)
    if len(distinct) <= FEW:
        means = draw.multinomial(len(values), counts / len(values), RESAMPLES) @ distinct / len(values)
    else:
        means = np.array(
            [values[draw.integers(0, len(values), len(values))].mean() for _ in range(RESAMPLES)]
        )
    low, high = np.percentile(means, [2.5, 97.5])
    return float(low), float(high)
