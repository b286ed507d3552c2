"""Expectations are Great Expectations' own; what it does not take is explained before any row is read."""

import pandas as pd
import pytest

from configs.validation import ExpectationConfig, ValidationConfig
from tasks.rows.parts import part_paths, schema_of, write
from tasks.validation.checks import data_docs, suite
from tasks.validation.checks.engine import open_engine

FRAME = pd.DataFrame(
    {
        "id": ["a", "b", "c", "d"],
        "size": pd.Series([1.0, 2.0, 300.0, None], dtype="float32"),
        "kind": ["cat", "dog", "dog", "cow"],
    }
)


def expect(name, severity="quarantine", **kwargs):
    return ExpectationConfig(type=f"expect_{name}", severity=severity, kwargs=kwargs)


@pytest.fixture
def rows(tmp_path):
    """The frame as two Parquet parts."""
    write([FRAME[:3], FRAME[3:]], tmp_path)
    with open_engine(part_paths(tmp_path), list(schema_of(tmp_path))) as found:
        yield found


@pytest.fixture
def check(rows):
    def checked(*expectations):
        validation = ValidationConfig(expectations=expectations)
        return suite.outcomes_of(suite.run_suite(suite.build_suite(validation), rows), validation)

    return checked


@pytest.fixture
def broken(rows):
    """The ids of the rows that break a rule."""
    return lambda found: set(rows.keys(found.query)["id"].to_pylist()) if found.query else set()


def test_a_rule_names_the_rows_that_break_it(check, broken):
    (found,) = check(expect("column_values_to_be_between", column="size", min_value=0, max_value=100))
    assert broken(found) == {"c"}
    assert not found.outcome.success
    assert (found.outcome.rule, found.outcome.unexpected) == ("expect_column_values_to_be_between(size)", 1)
    assert found.outcome.observed == "1 of 4 rows, such as 300"


def test_missing_values_are_named(check, broken):
    (found,) = check(expect("column_values_to_not_be_null", column="size"))
    assert broken(found) == {"d"}


def test_outcomes_keep_the_order_of_the_yaml(check):
    names = [
        "table_row_count_to_be_between",
        "column_values_to_be_unique",
        "column_mean_to_be_between",
        "column_values_to_not_be_null",
    ]
    found = check(
        expect(names[0], min_value=1),
        expect(names[1], column="kind"),
        expect(names[2], column="size", max_value=5),
        expect(names[3], column="id"),
    )
    assert [rule.outcome.rule.split("(")[0] for rule in found] == [f"expect_{name}" for name in names]
    assert [rule.outcome.success for rule in found] == [True, False, False, True]
    assert [rule.outcome.observed for rule in found] == [
        "4",
        "2 of 4 rows, such as dog, dog",
        "101",
        "0 of 4 rows",
    ]


def test_rows_that_mostly_tolerates_stay(check, broken):
    (found,) = check(expect("column_values_to_be_between", column="size", max_value=100, mostly=0.5))
    assert found.outcome.success
    assert (found.outcome.unexpected, broken(found)) == (1, set())


def test_quantiles_are_read_though_they_are_numpy_booleans(check):
    ranges = {"quantiles": [0.5], "value_ranges": [[1, 3]]}
    (found,) = check(expect("column_quantile_values_to_be_between", column="size", quantile_ranges=ranges))
    assert found.outcome.success


def test_rules_over_several_columns_name_them(check, broken):
    found = check(
        expect("compound_columns_to_be_unique", column_list=["id", "kind"]),
        expect("column_pair_values_to_be_equal", column_A="id", column_B="kind"),
    )
    assert [rule.outcome.rule.partition("(")[2] for rule in found] == ["id, kind)", "id, kind)"]
    assert broken(found[1]) == {"a", "b", "c", "d"}


@pytest.mark.parametrize(
    ("expectation", "error"),
    [
        (
            expect("column_values_to_be_betwen", column="size"),
            "did you mean expect_column_values_to_be_between",
        ),
        (expect("nonsense_xyzzy"), "no such expectation; see https://greatexpectations.io/expectations"),
        (
            expect("column_values_to_be_between", column="size", min=3),
            "unknown argument 'min'; it takes column, mostly, row_condition, condition_parser, min_value, max_value, ",
        ),
        (
            expect("column_values_to_be_between", column="size", min_value="low"),
            "min_value 'low': value is not a valid float; it takes",
        ),
        (expect("column_values_to_be_between", min_value=1), "column: field required; it takes column"),
        (
            expect("column_values_to_be_between", column="size"),
            "min_value and max_value cannot both be None; it takes",
        ),
    ],
)
def test_an_expectation_that_is_not_taken_is_explained(expectation, error):
    fine = expect("column_values_to_not_be_null", column="id")
    with pytest.raises(ValueError, match=rf"validation.expectations\[1\]: {expectation.type}: .*{error}"):
        suite.build_suite(ValidationConfig(expectations=(fine, expectation)))


def test_an_expectation_that_raises_is_broken_and_says_why(check):
    missing, pattern = check(
        expect("column_values_to_not_be_null", severity="warn", column="weight"),
        expect("column_values_to_match_regex", column="kind", regex="("),
    )
    assert missing.raised
    assert pattern.raised
    assert not missing.outcome.success
    assert (
        missing.outcome.observed
        == 'could not be checked: Error: The column "weight" in BatchData does not exist.'
    )


def test_data_docs_are_drawn_for_every_kind_of_result(capfd, rows):
    ranges = {"quantiles": [0.5], "value_ranges": [[1, 3]]}
    validation = ValidationConfig(
        expectations=(
            expect("column_mean_to_be_between", column="size", max_value=5),
            expect("column_quantile_values_to_be_between", column="size", quantile_ranges=ranges),
            expect("column_values_to_be_in_set", column="kind", value_set=["cat", "dog"]),
            expect("column_values_to_not_be_null", column="weight"),
        )
    )
    page = data_docs.page(suite.run_suite(suite.build_suite(validation), rows))
    assert "values must belong to this set" in page
    assert "exception" not in capfd.readouterr().err.lower()
