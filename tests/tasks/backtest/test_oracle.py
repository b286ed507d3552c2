"""Who knows the future, against every schedule there is."""

import itertools

import numpy as np
import pytest

from tasks.backtest.oracle import best_schedule


def brute_force(scores, cost):
    models, blocks = scores.shape
    best = -np.inf
    for looks in itertools.chain.from_iterable(
        itertools.combinations(range(1, models), count) for count in range(models)
    ):
        serving, total = 0, -cost * len(looks)
        for block in range(blocks):
            serving = block - 1 if block - 1 in looks else serving
            total += scores[serving, block]
        best = max(best, total)
    return best


@pytest.mark.parametrize("cost", [0.0, 0.05, 0.5])
def test_no_schedule_does_better(cost):
    scores = np.random.default_rng(3).random((6, 7))
    scores[np.tril_indices(6, -1, 7)] = np.nan  # what a model learned from
    mean, looks = best_schedule(scores, cost)
    assert mean * 7 - cost * len(looks) == pytest.approx(brute_force(scores, cost))


def test_a_cost_that_nothing_outweighs_retrains_never():
    scores = np.random.default_rng(3).random((6, 7))
    assert best_schedule(scores, 100.0) == (pytest.approx(scores[0].mean()), ())
