"""What is wrong with real sets is told by column and row, by a suite proposed from a good part of each or by a rule that is given."""

import os
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest

from configs.validation import ExpectationConfig, ValidationConfig
from tasks.records import RawRows
from tasks.rows.parts import record_of, write
from tasks.validation.proposal.propose import propose
from tasks.validation.row_validation import validate

ADULT = [
    "age",
    "workclass",
    "fnlwgt",
    "education",
    "education_num",
    "marital_status",
    "occupation",
    "relationship",
    "race",
    "sex",
]
ADULT += ["gain", "loss", "hours", "country", "income"]


@pytest.fixture
def tabular():
    """The folder of real tables."""
    folder = (
        Path(os.environ.get("GYRE_DATA") or Path(__file__).parents[3] / ".." / "shared" / "data") / "tabular"
    )
    if not folder.is_dir():
        pytest.skip(f"no data sets in {folder}; set GYRE_DATA")
    return folder


@pytest.fixture
def check(tmp_path):
    """Validates a frame.

    Gives what each broken rule found, and the rules that each quarantined row breaks.
    """

    def checked(frame, rules):
        (tmp_path / "raw").mkdir()
        write([frame], tmp_path / "raw")
        rows = RawRows(**record_of(tmp_path / "raw").model_dump(), rows=len(frame), feedback_rows=0)
        report = validate(
            rows,
            ValidationConfig(expectations=rules, max_quarantined=1),
            tmp_path / "out",
            tmp_path / "reports",
        )
        aside = pq.read_table(report.quarantine.uri).to_pylist() if report.quarantine else []
        return {rule.rule: rule.observed for rule in report.rules if not rule.success}, {
            row["id"]: row["reasons"] for row in aside
        }

    return checked


def test_telcos_eleven_blank_charges_are_set_aside_and_nothing_else(tabular, check):
    rows = pd.read_csv(tabular / "Telco-Customer-Churn.csv", dtype=str, keep_default_na=False).rename(
        columns={"customerID": "id"}
    )
    blank = rows["TotalCharges"].str.strip() == ""
    broken, aside = check(rows, propose(rows[~blank][:3500]).expectations)
    rule = "expect_column_values_to_match_regex(TotalCharges)"
    assert broken == {rule: "11 of 7043 rows, such as  ,  ,  "}
    assert aside == {row: [rule] for row in rows["id"][blank]}


def test_adults_dots_and_question_marks_are_told_by_column(tabular, check):
    train, test = (
        pd.read_csv(
            tabular / f"adult-{name}.csv",
            names=ADULT,
            dtype=str,
            skipinitialspace=True,
            keep_default_na=False,
        )
        for name in ("train", "test")
    )
    good = train[~train.isin(["?"]).any(axis=1)]
    broken, aside = check(test.assign(id=[f"test-{n}" for n in range(len(test))]), propose(good).expectations)
    assert broken == {
        "expect_column_values_to_be_in_set(workclass)": "966 of 16281 rows, such as ?, ?, ?",
        "expect_column_values_to_be_in_set(occupation)": "966 of 16281 rows, such as ?, ?, ?",
        "expect_column_values_to_be_in_set(country)": "274 of 16281 rows, such as ?, ?, ?",
        "expect_column_values_to_be_in_set(income)": "16281 of 16281 rows, such as <=50K., <=50K., >50K.",
    }
    assert len(aside) == len(test)


def test_the_taxis_column_without_a_value_is_named(tabular, check):
    rows = pd.read_csv(tabular / "nyc_taxis_raw.csv")
    given = [
        ExpectationConfig(
            type="expect_column_values_to_not_be_null",
            severity="warn",
            kwargs={"column": name, "mostly": 0.01},
        )
        for name in rows
    ]
    broken, aside = check(rows.assign(id=[f"t{n}" for n in range(len(rows))]), given)
    assert (broken, aside) == ({"expect_column_values_to_not_be_null(ehail_fee)": "6500 of 6500 rows"}, {})


def test_the_taxis_column_that_begins_to_be_used_is_named(tabular, check):
    rows = pd.read_csv(tabular / "nyc_taxis_raw.csv")
    proposed = [rule for rule in propose(rows).expectations if rule.kwargs.get("column") == "ehail_fee"]
    broken, aside = check(rows.assign(id=[f"t{n}" for n in range(len(rows))], ehail_fee=0.5), proposed)
    assert (broken, aside) == (
        {"expect_column_values_to_be_null(ehail_fee)": "6500 of 6500 rows, such as 0.5, 0.5, 0.5"},
        {},
    )
