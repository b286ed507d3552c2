"""A person's rows in the types of training: what is read, what is said of it, and what is refused by name."""

import numpy as np
import pytest

from configs.source import ColumnConfig
from tasks.prediction.contract_values import by_contract
from tasks.prediction.row_values import input_columns, raw_rows

DESCRIBED = [
    {"name": "age", "datatype": "FP32", "shape": [-1], "categories": None, "usual": "39"},
    {"name": "Sex", "datatype": "BYTES", "shape": [-1], "categories": ["Female", "Male"], "usual": None},
    {"name": "grade", "datatype": "BYTES", "shape": [-1], "categories": ["1", "2", "3"], "usual": None},
    {
        "name": "day",
        "datatype": "FP64",
        "shape": [-1],
        "categories": None,
        "usual": "2020-02-01",
        "parameters": {"date_format": "%d/%m/%Y"},
    },
]
GOOD = {"age": 22, "Sex": "Male", "grade": "3", "day": "01/02/2020"}
FEBRUARY = 1_580_515_200


def read(*records, contract=None, allow_missing=False):
    return raw_rows(
        records,
        "rows.csv",
        input_columns(DESCRIBED, contract or {}, {"day": None}, by_contract),
        allow_missing,
    )


def refusal(*records, **options):
    with pytest.raises(ValueError) as refused:
        read(*records, **options)
    return str(refused.value)


def test_good_rows_are_read_without_a_word():
    rows, notices = read(
        GOOD, [22.0, "Male", 3, "2020-02-01"], {key: str(value) for key, value in GOOD.items()}
    )
    assert [row.tolist() for row in rows] == [(22.0, "Male", "3", float(FEBRUARY))] * 3
    assert notices == []


def test_a_category_that_is_the_same_number_or_has_blanks_is_read_as_training_rows_have_it_and_said():
    rows, notices = read(GOOD | {"grade": "3.0"}, GOOD | {"grade": " 2", "Sex": "male"})
    assert rows["grade"].tolist() == ["3", "2"]
    assert rows["Sex"].tolist() == ["Male", "male"]
    assert notices == ["grade, 2 rows, the first is row 0: '3.0' is read as '3', as training rows have it"]


def test_a_column_that_no_row_has_is_named_with_the_one_that_looks_like_it():
    renamed = {"sex" if key == "Sex" else key: value for key, value in GOOD.items()}
    assert refusal(renamed) == (
        "rows.csv: no column 'Sex' ('sex' looks like it); want age, Sex, grade, day, "
        'such as {"age":39.0,"Sex":"Female","grade":"1","day":"2020-02-01"}. '
        "Rename the columns, or answer without them: --allow-missing, over HTTP ?allow-missing=true"
    )
    assert refusal({}).startswith(
        "rows.csv: no column 'age', 'Sex', 'grade', 'day'; want age, Sex, grade, day, such as"
    )
    rows, notices = read(renamed, allow_missing=True)
    assert rows["Sex"].tolist() == [""]
    assert notices == [
        "no column 'Sex' ('sex' looks like it): missing in every row, as --allow-missing says",
        "passed over, since the model does not take them: 'sex'",
    ]


def test_a_row_without_any_value_is_refused():
    assert refusal(GOOD, dict.fromkeys(GOOD, "")).startswith(
        "rows.csv, row 1: has no value in any column that the model takes; want age"
    )
    assert refusal(GOOD, {}).startswith("rows.csv, row 1: has no value")


def test_a_single_missing_value_is_missing():
    rows, _ = read(GOOD, {"age": None, "Sex": "", "day": "01/02/2020"})
    assert np.isnan(rows["age"][1])
    assert (rows["Sex"][1], rows["grade"][1]) == ("", "")


@pytest.mark.parametrize(
    ("column", "value", "wanted"),
    [
        ("age", "1,234", "'1,234'; want a number such as 39, without separators or units"),
        ("age", "22 years", "'22 years'; want a number"),
        ("age", "nan", "'nan'; want a number"),
        ("age", "1e39", "'1e39'; want a number"),
        ("age", True, "True; want a number"),
        ("age", [1], "[1]; want a number"),
        ("Sex", {"a": 1}, "{'a': 1}; want a text"),
        (
            "day",
            "02/31/2020",
            "'02/31/2020'; want a date as %d/%m/%Y, or in ISO 8601 such as 2026-01-31T12:00",
        ),
        ("day", "soon", "'soon'; want a date as %d/%m/%Y"),
    ],
)
def test_a_value_that_cannot_be_read_is_refused_with_its_row(column, value, wanted):
    assert refusal(GOOD, GOOD | {column: value}).startswith(f"rows.csv, row 1: {column} is {wanted}")


def test_all_that_is_wrong_is_told_up_to_a_few():
    assert refusal(*[GOOD | {"age": "x"}] * 9).count("\n") == 5
    assert refusal(*[GOOD | {"age": "x"}] * 9).endswith("and 4 more")


def test_values_are_read_as_the_sources_contract_has_them():
    contract = {
        "age": ColumnConfig(type="number", thousands=".", decimal=",", missing=("", "?")),
        "Sex": ColumnConfig(type="text", source="sex of person", suffix=".", replace={"M": "Male"}),
        "grade": ColumnConfig(type="integer"),
        "day": ColumnConfig(type="timestamp", format="%d/%m/%Y"),
    }
    source = {"age": "1.234,5", "sex of person": " Male. ", "grade": "3.0", "day": "01/02/2020"}
    rows, notices = read(
        source, source | {"age": "?", "day": "2020-02-01", "sex of person": "M"}, contract=contract
    )
    assert rows[0].tolist() == (1234.5, "Male", "3", float(FEBRUARY))
    assert rows["Sex"][1] == "Male"
    assert np.isnan(rows["age"][1])
    assert rows["day"][1] == FEBRUARY
    assert [notice.partition(":")[0] for notice in notices] == [
        "Sex, 2 rows, the first is row 0",
        "grade, 2 rows, the first is row 0",
    ]
    assert refusal(source | {"grade": "3.5"}, contract=contract).startswith(
        "rows.csv, row 0: grade is '3.5'; want a text of type integer, as source.columns.grade says"
    )


def test_a_list_of_another_length_is_refused():
    assert refusal([1, 2]).startswith(
        "rows.csv, row 0: [1, 2] has 2 values; want age, Sex, grade, day, such as"
    )
