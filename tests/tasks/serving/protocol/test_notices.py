"""What is said of rows with missing and unseen values."""

import numpy as np

from tasks.rows.raw import TensorSpec, rows_from
from tasks.serving.protocol.notices import MOST, notices, training_values

INPUTS = (TensorSpec("age", "float32", ()), TensorSpec("sex", "str", ()))
TRAINED = training_values({"age": {"usual": "39"}, "sex": {"categories": ["Female", "Male"]}})


def told(ages, sexes):
    return notices(rows_from(INPUTS, {"age": ages, "sex": np.array(sexes, object)}), INPUTS, TRAINED)


def test_rows_as_in_training_need_no_word():
    assert told([1, 2], ["Male", "Female"]) == []


def test_missing_and_unseen_values_are_counted_and_the_first_is_named():
    assert told([1, np.nan, np.nan], ["female", "Male", "x"]) == [
        "input 'age': 2 of 3 rows (the first is row 1) have no value; the training rows' median 39 stands for it",
        "input 'sex': 2 of 3 rows (the first is row 0) have a category that counts as missing, such as 'female' (did you mean 'Female'?); "
        "training rows have 'Female', 'Male'",
    ]


def test_a_row_without_any_value_is_told_first():
    assert told([1, np.nan], ["Male", ""])[0] == (
        "row 1 has no value in any input: the answer is what the model says of a row that it knows nothing of"
    )
    assert not any("any input" in each for each in told([np.nan, 1], ["Male", ""]))


def test_a_model_of_which_nothing_is_known_has_missing_values_alone():
    rows = rows_from(INPUTS, {"age": [np.nan], "sex": np.array(["x"], object)})
    assert notices(rows, INPUTS, {}) == ["input 'age': row 0 has no value"]


def test_notices_are_bounded():
    inputs = tuple(TensorSpec(f"column {number}", "float32", ()) for number in range(100))
    found = notices(rows_from(inputs, {spec.name: [np.nan, 1] for spec in inputs}), inputs, {})
    assert len(found) == MOST + 2
    assert found[-1] == "80 more inputs have missing or unseen values"
    assert "".join(told([1], ["x" * 10_000])) == "".join(told([1], ["x" * 10_000]))[:400]
