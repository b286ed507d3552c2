"""The search: finds what is better, prunes what is worse, goes on after a kill."""

import math
import subprocess
import sys
import time

import pytest
from pydantic import ValidationError

from configs.search import SearchConfig
from tasks.training.hyperparameter_search import open_study, picture, search

SECTION = {
    "parameters": {
        "training.learning_rate": {"low": 1e-4, "high": 1.0, "log": True},
        "training.epochs": {"choices": [1, 2, 4]},
    }
}


@pytest.fixture
def storage(tmp_path):
    return f"sqlite:///{tmp_path}/search.db"


def bowl(values, number, report):
    """Best at a learning rate of 0.01 and 4 epochs."""
    score = 1 - abs(math.log10(values["training.learning_rate"]) + 2) / 10 + values["training.epochs"] / 100
    for epoch in range(1, 6):
        report(epoch, score)
    return {"score": score, "seconds": float(values["training.epochs"])}


@pytest.mark.parametrize("sampler", ["tpe", "random"])
def test_a_search_finds_better_values_than_the_first_it_tried(storage, sampler):
    found = search("bowl", storage, SearchConfig(**SECTION, sampler=sampler, trials=25), bowl, slots=2)
    scores = [trial["score"] for trial in found.trials if "score" in trial]
    assert len(found.trials) == 25
    assert found.figures[0]["score"] == max(scores) > scores[0]
    assert abs(found.best[0]["training.learning_rate"] / 0.01) < 10


def test_a_grid_tries_every_combination_once(storage):
    parameters = {
        "training.epochs": {"low": 1, "high": 3, "step": 1},
        "training.network": {"choices": ["a:A", None]},
    }
    section = SearchConfig(parameters=parameters, sampler="grid", trials=100)
    found = search("grid", storage, section, lambda values, *_: {"score": values["training.epochs"]}, slots=2)
    tried = sorted((trial["training.epochs"], str(trial["training.network"])) for trial in found.trials)
    assert tried == [(epochs, name) for epochs in (1, 2, 3) for name in ("None", "a:A")]


def test_trials_that_do_worse_are_pruned(storage):
    reported = []

    def steady(values, number, report):
        for epoch in range(1, 6):
            report(epoch, 1.0 if number < 5 else 0.0)
            reported.append(number)
        return {"score": 1.0}

    found = search("pruned", storage, SearchConfig(**SECTION, trials=8), steady, slots=1)
    assert [trial["state"] for trial in found.trials] == ["complete"] * 5 + ["pruned"] * 3
    assert reported.count(7) < 5


def test_several_objectives_give_every_best_compromise(storage):
    found = search(
        "two", storage, SearchConfig(**SECTION, objectives=("score", "seconds"), trials=20), bowl, slots=1
    )
    assert len(found.best) > 1
    assert {tuple(figures) for figures in found.figures} == {("score", "seconds")}


def test_a_failing_trial_does_not_end_the_search_but_nothing_but_failures_does(storage):
    def odd(values, number, report):
        if number % 2:
            raise ValueError("no memory")
        return {"score": 1.0}

    found = search("odd", storage, SearchConfig(**SECTION, trials=4), odd, slots=1)
    assert sorted(trial["state"] for trial in found.trials).count("complete") == 4

    def broken(values, number, report):
        raise ValueError("no memory at all")

    with pytest.raises(ValueError, match="no memory at all"):
        search("broken", storage, SearchConfig(**SECTION, trials=20), broken, slots=1)


KILLED = """
import sys, time
from pathlib import Path
from configs.search import SearchConfig
from tasks.training.hyperparameter_search import search
marks = Path(sys.argv[2])
def slow(values, number, report):
    time.sleep(0.3)
    (marks / f"{number}-{values['training.learning_rate']:.12f}").touch()
    return {"score": values["training.learning_rate"]}
section = SearchConfig(parameters={"training.learning_rate": {"low": 0.1, "high": 1.0}}, sampler="random", trials=8)
search("killed", sys.argv[1], section, slow, slots=2)
"""


def test_a_killed_search_goes_on_and_repeats_no_finished_trial(storage, tmp_path):
    marks = tmp_path / "marks"
    marks.mkdir()
    command = [sys.executable, "-c", KILLED, storage, str(marks)]
    running = subprocess.Popen(command)
    deadline = time.monotonic() + 60
    while len(list(marks.iterdir())) < 3 and time.monotonic() < deadline:
        time.sleep(0.02)
    running.kill()
    running.wait(timeout=30)
    before = {path.name for path in marks.iterdir()}
    assert 3 <= len(before) < 8
    subprocess.run(command, check=True, timeout=60)
    tried = [path.name.partition("-") for path in marks.iterdir()]
    states = [trial.state.name for trial in open_study("killed", storage, SearchConfig(**SECTION)).trials]
    assert states.count("COMPLETE") == 8
    assert len(tried) <= 8 + 2, "at most the two that ran when it was killed were measured twice"


def test_a_search_for_something_else_is_refused(storage):
    search("bowl", storage, SearchConfig(**SECTION, trials=1), bowl, slots=1)
    with pytest.raises(
        ValueError, match="search 'bowl' was for score, not for seconds; give it another name"
    ):
        search("bowl", storage, SearchConfig(**SECTION, objectives=("seconds",), trials=1), bowl, slots=1)


def test_the_picture_shows_the_search(storage):
    section = SearchConfig(**SECTION, trials=5)
    search("bowl", storage, section, bowl, slots=1)
    assert picture(open_study("bowl", storage, section), section).startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("parameter", "message"),
    [
        ({}, "give `choices`, or `low` and a larger `high`"),
        ({"low": 2, "high": 1}, "give `choices`, or `low` and a larger `high`"),
        ({"low": 0, "high": 1, "log": True}, "needs a positive `low`"),
    ],
)
def test_a_parameter_without_values_is_refused(parameter, message):
    with pytest.raises(ValidationError, match=message):
        SearchConfig(parameters={"training.epochs": parameter})
