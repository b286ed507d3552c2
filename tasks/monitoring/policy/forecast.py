"""What newer rows are worth to a model, learned from the project's own releases.

After a release both models, the new one and the one before, can answer the requests that neither learned
from. The difference of their scores is what the newer rows brought; on the same rows, so that a hard week
counts against neither. A model that saw n2 rows instead of n1 is taken to gain `rate` x log(n2 / n1): as a
learning curve does, and near enough to what drift does between two retrainings. The rate is a number that
changes slowly and is known with an
error: a Kalman filter in one dimension, which goes back to the prior as measurements age (a performance
forecaster as in Regol et al., When to retrain a machine learning model, ICML 2025, reduced to what a few
releases can tell).
"""

import math

from tasks.records import Record

PRIOR = 0.03
"""Of the rate: two points of score for twice the rows."""
PRIOR_VARIANCE = 0.03**2
FORGET = 0.5
"""Of what is known about the rate, once as many rows have come as the model learned from."""
MISFIT = 0.005
"""Standard deviation of a block's gain around the model's, beside chance."""


class Gain(Record):
    """What newer rows brought on one block of late labels."""

    news: float
    """log(rows that the newer model learned from / the older one's)."""
    mean: float
    """Of the difference of scores, newer minus older, on rows that neither saw."""
    error: float
    """Its standard error."""


class Rate(Record):
    """What a unit of news brings: mean and variance of what is believed."""

    mean: float = PRIOR
    variance: float = PRIOR_VARIANCE

    def aged(self, share: float) -> "Rate":
        """After so many rows have come, as a share of those that the model learned from."""
        forgotten = min(1.0, FORGET * share)
        return Rate(
            mean=self.mean + forgotten * (PRIOR - self.mean),
            variance=self.variance + forgotten * max(0.0, PRIOR_VARIANCE - self.variance),
        )

    def measured(self, gain: Gain) -> "Rate":
        """After a measurement."""
        noise = gain.error**2 + MISFIT**2
        weight = self.variance * gain.news / (gain.news**2 * self.variance + noise)
        return Rate(
            mean=self.mean + weight * (gain.mean - gain.news * self.mean),
            variance=self.variance * (1 - weight * gain.news),
        )

    def gain(self, rows: int, known: int) -> float:
        """Forecast of the score that a model gains which learns from all `known` rows instead of the first `rows`."""
        return self.mean * math.log(max(known, rows) / rows) if rows else 0.0
