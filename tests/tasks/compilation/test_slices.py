"""Columns and conditions as slices of rows."""

import numpy as np
import pandas as pd
import pytest

from configs.evaluation import EvaluationConfig
from configs.intake import ImageIntakeConfig, TabularIntakeConfig, TextIntakeConfig
from tasks.compilation.slices import attributes, by_column, declared_slices
from tasks.intake import build_intake
from tasks.records import DatasetVersion
from tasks.rows.parts import record_of, write

AGES = pd.Series([*range(17, 90)] * 10, name="age")


def parts(column, *bins):
    return {each.name: int(each.members.sum()) for each in by_column(column, *bins)}


def test_a_column_of_few_values_has_a_slice_a_value_and_one_of_gaps():
    column = pd.Series(["b", "a", None, "b", "", "c"], name="kind")
    assert parts(column) == {"kind = b": 2, "kind = a": 1, "kind = c": 1, "kind missing": 2}
    assert parts(pd.Series([0.24, 1, np.nan], dtype="float32", name="temp")) == {
        "temp = 0.24": 1,
        "temp = 1": 1,
        "temp missing": 1,
    }
    assert parts(pd.Series([True, False, True], name="new")) == {"new = True": 2, "new = False": 1}


def test_only_the_most_frequent_values_are_slices():
    words = pd.Series(
        [word for count, word in enumerate("abcdefghijklmno", start=1) for _ in range(count)], name="word"
    )
    assert list(parts(words)) == [f"word = {word}" for word in "onmlkjihgf"]


def test_a_number_is_cut_into_about_equal_ranges_with_readable_edges():
    assert parts(AGES) == {"age ≤ 35": 190, "35 < age ≤ 53": 180, "53 < age ≤ 71": 180, "age > 71": 180}
    assert list(parts(AGES / 1000, 2)) == ["age ≤ 0.05", "age > 0.05"]
    assert list(parts(AGES / 100 + 1013, 2)) == ["age ≤ 1013.5", "age > 1013.5"]
    assert list(parts(AGES * 12345.678, 3)) == ["age ≤ 500000", "500000 < age ≤ 800000", "age > 800000"]


@pytest.mark.parametrize(
    ("usual", "names"), [(0, ["gain ≤ 0", "gain > 0"]), (99, ["gain ≤ 30", "gain > 30"])]
)
def test_a_number_that_is_mostly_one_value_is_cut_beside_it(usual, names):
    assert list(parts(pd.Series([usual] * 100 + [*range(10, 31)], name="gain"))) == names


def test_times_are_cut_at_days():
    days = pd.Series(pd.date_range("2024-01-01T13:00", periods=100, freq="D"), name="day")
    assert list(parts(days, 2)) == ["day ≤ 2024-02-19", "day > 2024-02-19"]


@pytest.fixture
def attributed(tmp_path):
    """Makes the attributes of the rows of a frame but the first, which is not in the test split."""

    def make(section, **columns):
        frame = pd.DataFrame({"id": list("abcdef"), **columns})
        write([frame.assign(split=["train"] + ["test"] * 5)], tmp_path)
        facts = {"project": "p", "version": 1, "tag": "p/v1", "commit": "c", "rows": 6, "splits": {"test": 5}}
        dataset, intake = DatasetVersion(**record_of(tmp_path).model_dump(), **facts), build_intake(section)
        return attributes(dataset, intake, intake.rows(frame[1:].reset_index(drop=True)))

    return make


@pytest.fixture
def sliceable(attributed):
    """Of a table whose season is a code, and whose region is no input."""
    section = TabularIntakeConfig(kind="tabular", numeric=("wind",), categorical=("season",))
    wind = [0.1, 0.2, None, 0.4, 0.5, 0.6]
    return attributed(section, season=[1, 2, 3, 1, 2, 3], wind=wind, region=list("nnsnns"), raw=[[1, 2]] * 6)


def named(frame, *slices):
    return {
        each.name: each.members.tolist() for each in declared_slices(frame, EvaluationConfig(slices=slices))
    }


def test_every_plain_column_can_be_named_and_a_code_stays_one(sliceable):
    assert set(sliceable) == {"season", "wind", "region"}
    assert named(sliceable, "region") == {
        "region = n": [True, False, True, True, False],
        "region = s": [False, True, False, False, True],
    }
    assert pd.api.types.is_string_dtype(sliceable["season"])


def test_texts_and_images_are_sliced_by_their_descriptors(attributed):
    texts = attributed(
        TextIntakeConfig(kind="text"), text=["", "a", "a b", "A B C", "1", "b"], label=list("xxyyxx")
    )
    assert named(texts, "words", "label")["words = 1"] == [True, False, False, True, True]
    image = np.arange(24, dtype=np.uint8).reshape(6, 4)
    images = attributed(
        ImageIntakeConfig(kind="image", height=2, width=2),
        image=list(image),
        brightness=[1.5, 1.5, 1.5, 1.5, 7.5, 7.5],
    )
    assert named(images, "brightness")["brightness = 7.5"] == [False, False, False, True, True]
    assert {"contrast", "ink"} < set(images)
    assert "image" not in images


def test_a_condition_is_sql_about_any_column_and_not_met_by_a_gap(sliceable):
    found = named(sliceable, {"where": "wind > 0.3\n and region = 'n'"}, {"where": "wind > 7"})
    assert found == {"wind > 0.3 and region = 'n'": [False, False, True, True, False]}


def test_what_cannot_be_sliced_by_is_named_with_what_can(sliceable):
    with pytest.raises(
        ValueError, match=r"evaluation\.slices: the data set has no column 'sex'; it has wind, region, season"
    ):
        named(sliceable, "sex")
    with pytest.raises(
        ValueError, match=r"(?s)evaluation\.slices: where 'winds > 1': .*columns are wind, region, season"
    ):
        named(sliceable, {"where": "winds > 1"})
