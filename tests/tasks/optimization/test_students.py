"""Which smaller networks are trained, by what came of those before."""

import pytest
from pydantic import ValidationError

from configs.optimization import OptimizationConfig
from configs.training import TrainingConfig
from tasks.optimization.students import StudentSearch
from tasks.records import DatasetVersion, Sketch, TrainedModel

DATASET = DatasetVersion(
    uri="u", digest="d", project="p", version=1, tag="p/v1", commit="c", rows=10, splits={"train": 10}
)
SMALLER = tuple(
    Sketch(student=name, latency_ratio=ratio, size_ratio=ratio)
    for name, ratio in (("half", 0.4), ("quarter", 0.2), ("three_quarters", 0.7))
)


def model(validation=0.9, seconds=60.0):
    facts = {"run_id": "r", "ranks": 2, "metrics": {"accuracy": 0.9}}
    return TrainedModel(uri="u", digest="d", dataset=DATASET, validation=validation, seconds=seconds, **facts)


def search(scores, sketches=SMALLER, seconds=30.0, main=None, **optimization):
    """Names of the students that are trained, where each reaches its score of `scores`; and the search."""
    found = StudentSearch(
        OptimizationConfig(**optimization), TrainingConfig(), main or model(), sketches, max_loss=0.01
    )
    names = []
    while recipe := found.next():
        names.append(recipe.name)
        found.add(recipe, model(scores.get(recipe.name, 0.5), seconds))
    return names, found


def test_without_a_budget_only_declared_students_are_trained():
    assert search({})[0] == []
    assert search({}, students={"tiny": {"width": 0.1}})[0] == ["tiny"]


def test_a_quarter_is_tried_where_half_loses_nothing_and_three_quarters_where_it_loses_too_much():
    half = ["half", "half_taught"]
    assert search({"half": 0.895}, minutes=60)[0] == [*half, "quarter", "quarter_taught"]
    assert search({"half_taught": 0.895}, minutes=60)[0] == [*half, "quarter", "quarter_taught"]
    assert search({"half": 0.85}, minutes=60)[0] == [*half, "three_quarters", "three_quarters_taught"]


def test_a_student_that_the_budget_does_not_hold_is_left_out_and_said():
    """Half takes 0.4 of a step, and so 2.5 times the epochs; taught, 0.8 of a step. A quarter fits."""
    names, found = search({"half": 0.9}, seconds=60.0, minutes=2)
    assert names == ["half", "quarter"]
    assert found.sentences[0] == (
        "half_taught was not trained: it would train for about 2.0 minutes, "
        "and of optimization.minutes 2 there are 1.0 left"
    )


def test_students_of_a_search_have_more_epochs_as_theirs_are_cheaper():
    found = StudentSearch(OptimizationConfig(minutes=60), TrainingConfig(), model(), SMALLER, max_loss=0.01)
    factors = {recipe.name: recipe.training.epochs_factor for recipe in found.of_width("half")}
    assert factors == {"half": 2.5, "half_taught": 2.5}
    assert [recipe.training.epochs_factor for recipe in found.of_width("quarter")] == [3.0, 3.0]


def test_a_student_that_would_be_no_faster_and_no_smaller_is_not_trained():
    alike = tuple(each.model_copy(update={"latency_ratio": 0.95, "size_ratio": 0.98}) for each in SMALLER)
    names, found = search({}, alike, minutes=60)
    assert names == []
    assert (
        "half was not trained: it would take 95% of the network's time and 98% of its size" in found.sentences
    )


def test_a_network_whose_width_cannot_be_set_says_so():
    fixed = tuple(Sketch(student=each.student, reason="cannot be built: no width") for each in SMALLER)
    names, found = search({}, fixed, minutes=60)
    assert (names, found.sentences[0]) == ([], "half was not trained: it cannot be built: no width")


def test_without_validation_rows_the_search_ends_with_half_and_says_why():
    found = StudentSearch(
        OptimizationConfig(minutes=60), TrainingConfig(), model(validation=None), SMALLER, max_loss=0.01
    )
    while recipe := found.next():
        found.add(recipe, model(validation=None))
    assert set(found.trained) == {"half", "half_taught"}
    assert found.sentences == (
        "quarter was not trained: it depends on what half loses on validation rows, and there are none",
    )


def test_a_student_of_the_same_network_is_refused():
    with pytest.raises(ValidationError, match="the same network is no student"):
        OptimizationConfig(students={"same": {"epochs": 3}})


def test_a_student_starts_from_nothing_with_the_options_of_its_own():
    training = TrainingConfig(
        network="nets:Net", network_options={"dim": 64, "layers": 2}, warm_start="digits/champion", epochs=9
    )
    optimization = OptimizationConfig(students={"small": {"network_options": {"dim": 16}}})
    recipe = StudentSearch(optimization, training, model(), (), 0.01).next()
    assert recipe.training.network_options == {"dim": 16, "layers": 2}
    assert (recipe.training.network, recipe.training.epochs) == ("nets:Net", 9)
    assert recipe.training.warm_start is None
