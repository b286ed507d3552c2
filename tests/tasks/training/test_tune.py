"""Trials on real workers: side by side, pruned, with errors that name the key."""

import threading

import pytest

from configs.search import SearchConfig
from tasks.training import hyperparameter_search as core
from tasks.training.tracking import Tracker
from tasks.training.tune import Trials

SECTION = SearchConfig(
    parameters={"training.learning_rate": {"choices": [1e-6, 0.004]}, "training.epochs": {"choices": [3]}},
    trials=2,
)


@pytest.fixture
def trials(client, plan, tmp_path):
    """Makes the trials of a section, tracked in an MLflow of their own."""

    def make(section=SECTION, rows=None):
        made = plan("search", **({"rows": rows} if rows else {}))

        def tracker(trial, number):
            return Tracker(f"sqlite:///{tmp_path}/mlflow.db", tmp_path, trial, f"trial {number}")

        return Trials(client, made, section, tracker)

    return make


def test_two_workers_try_two_settings_side_by_side_and_the_better_one_wins(trials, tmp_path):
    made, both = trials(SECTION.model_copy(update={"sampler": "grid"})), threading.Barrier(2)

    def together(values, number, report):
        both.wait(timeout=60)
        return made.evaluate(values, number, report)

    found = core.search("pair", f"sqlite:///{tmp_path}/search.db", made.section, together, made.slots)
    assert found.best == ({"training.learning_rate": 0.004, "training.epochs": 3},)
    assert made.slots == 2
    assert not list(made.plan.folder.glob("trial-*")), "checkpoints of trials are left"


def test_a_value_that_does_not_fit_is_named(trials):
    with pytest.raises(
        ValueError, match=r"search.parameters.training.epochs: -3: Input should be greater than or equal to 1"
    ):
        trials().planned({"training.epochs": -3}, 0)


def test_a_search_for_nothing_and_one_without_a_validation_split_are_refused(trials, digits):
    with pytest.raises(ValueError, match=r"search.parameters is empty; name keys with their values"):
        trials(SearchConfig())
    with pytest.raises(ValueError, match=r"digits/v1 has no validation split to score trials on"):
        trials(rows=digits(64, validation=0))


def test_a_search_on_more_ranks_than_workers_is_refused(trials):
    with pytest.raises(ValueError, match=r"search.ranks 3 needs as many Dask workers; the cluster has 2"):
        trials(SECTION.model_copy(update={"ranks": 3}))
