"""Rows that break a rule are set aside with their reasons; the gate says when the run must stop."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from configs.validation import ExpectationConfig, ValidationConfig
from infra.files import DigestError, digest
from tasks.records import RawRows
from tasks.rows.parts import read, record_of, write
from tasks.validation.row_validation import validate
from tasks.validation.task import description

SIZE = ExpectationConfig(
    type="expect_column_values_to_be_between", kwargs={"column": "size", "max_value": 100}
)
KIND = ExpectationConfig(
    type="expect_column_values_to_be_in_set", kwargs={"column": "kind", "value_set": ["cat", "dog"]}
)


@pytest.fixture
def rows(tmp_path):
    """40 rows in two parts; r3 is too large, r25 too large and of no kind that is allowed."""
    frame = pd.DataFrame(
        {
            "id": [f"r{number}" for number in range(40)],
            "pixels": [np.full(4, number, np.uint8) for number in range(40)],
        }
    )
    frame = frame.assign(size=10.0, kind="cat", note=None)
    frame.loc[[3, 25], "size"] = 300.0
    frame.loc[25, "kind"] = "cow"
    (tmp_path / "raw").mkdir()
    write([frame[:20], frame[20:]], tmp_path / "raw")
    return RawRows(**record_of(tmp_path / "raw").model_dump(), rows=40, feedback_rows=0)


@pytest.fixture
def check(rows, tmp_path):
    def checked(*expectations, name="checked", **options):
        return validate(
            rows,
            ValidationConfig(expectations=expectations, **options),
            tmp_path / name,
            tmp_path / "reports" / name,
        )

    return checked


def with_severity(expectation, severity):
    return expectation.model_copy(update={"severity": severity})


def test_rows_that_break_rules_are_set_aside_with_every_reason(check, rows):
    report = check(SIZE, KIND)
    aside = pq.read_table(report.quarantine.uri).to_pandas()
    assert dict(zip(aside["id"], map(list, aside["reasons"]), strict=True)) == {
        "r3": ["expect_column_values_to_be_between(size)"],
        "r25": ["expect_column_values_to_be_between(size)", "expect_column_values_to_be_in_set(kind)"],
    }
    assert list(aside["pixels"].iloc[0]) == [3] * 4
    assert report.quarantine.digest == digest(Path(report.quarantine.uri))
    assert (report.rows, report.quarantined) == (38, 2)


def test_the_other_rows_go_on_as_they_were(check, rows):
    accepted = read(check(SIZE))
    expected = read(rows)
    expected = expected[~expected["id"].isin(["r3", "r25"])].reset_index(drop=True)
    pd.testing.assert_frame_equal(accepted, expected)


def test_the_same_rows_and_rules_give_the_same_digests(check):
    first, second = check(SIZE, KIND), check(SIZE, KIND, name="again")
    assert (first.digest, first.quarantine.digest) == (second.digest, second.quarantine.digest)


def test_few_rows_in_quarantine_do_not_stop_the_run(check):
    assert check(SIZE, max_quarantined=0.05).failures == ()


def test_more_rows_in_quarantine_than_allowed_stop_it(check):
    report = check(SIZE, max_quarantined=0.04)
    assert report.failures == ("2 of 40 rows quarantined (5.0%); validation.max_quarantined is 4.0%",)


def test_a_run_without_any_accepted_row_stops(check):
    nothing = ExpectationConfig(type="expect_column_values_to_be_null", kwargs={"column": "id"})
    assert check(nothing, max_quarantined=1.0).failures == ("all 40 rows are quarantined",)


def test_a_rule_of_severity_fail_stops_the_run_and_sets_nothing_aside(check):
    report = check(with_severity(SIZE, "fail"))
    assert report.failures == (
        "expect_column_values_to_be_between(size) does not hold: 2 of 40 rows, such as 300, 300",
    )
    assert (report.quarantine, report.rows) == (None, 40)


def test_a_rule_of_severity_warn_only_reports(check):
    report = check(with_severity(SIZE, "warn"))
    assert (report.failures, report.quarantined) == ((), 0)
    assert [rule.success for rule in report.rules] == [False]


def test_a_rule_about_the_table_cannot_quarantine_and_stops_the_run(check):
    (failure,) = check(
        ExpectationConfig(type="expect_table_row_count_to_equal", kwargs={"value": 5})
    ).failures
    assert (
        failure
        == "expect_table_row_count_to_equal does not hold: 40; it has no rows to quarantine, so its severity is fail or warn"
    )


def test_a_rule_that_cannot_be_checked_stops_the_run_whatever_its_severity(check):
    missing = ExpectationConfig(
        type="expect_column_values_to_not_be_null", severity="warn", kwargs={"column": "pixels"}
    )
    (failure,) = check(missing).failures
    assert 'could not be checked: Error: The column "pixels" in BatchData does not exist.' in failure
    assert failure.endswith("rules can be about the columns id, size, kind, note")


def test_an_expectation_that_is_not_taken_leaves_nothing(check, tmp_path):
    with pytest.raises(ValueError, match="no such expectation"):
        check(ExpectationConfig(type="expect_wonders"))
    assert not (tmp_path / "checked").exists()


def test_without_rules_all_rows_go_on(check):
    report = check()
    assert (report.rows, report.rules, report.failures) == (40, (), ())


def test_rows_that_changed_since_they_were_ingested_are_refused(check, rows):
    (Path(rows.uri) / "part-00000.parquet").write_bytes(b"")
    with pytest.raises(DigestError):
        check(SIZE)


def test_data_docs_are_kept(check, tmp_path):
    report = check(SIZE)
    assert report.report == str(tmp_path / "reports" / "checked" / "index.html")
    assert "Great Expectations" in Path(report.report).read_text()


def test_data_docs_fetch_nothing_and_run_nothing_from_elsewhere_and_show_what_holds(check):
    page = Path(check(SIZE).report).read_text()
    assert re.findall(r"""(?:src|href)\s*=\s*["'](?!#)|<script|@import|url\(""", page) == []
    assert "fa-times" in page
    assert '.fa-times::before { content: "\\2718"' in page


def test_people_are_told_what_broke_and_which_rows(check):
    text = description(check(SIZE, max_quarantined=0.0))
    assert text.startswith(
        "- **stopped**: 2 of 40 rows quarantined (5.0%); validation.max_quarantined is 0.0%"
    )
    assert (
        "| `expect_column_values_to_be_between(size)` | quarantine | **no** | 2 of 40 rows, such as 300, 300 |"
        in text
    )
    assert "| r25 | expect_column_values_to_be_between(size) |" in text


ODD = ["1.5", "a\\b", "it's", '"quoted"', "50%", "%(x)s", "x:y", ":id", "1x5", "?"]
"""Texts that mean something else to SQL, to its drivers or to regular expressions."""

PATTERN = f"^(?:{'|'.join(map(re.escape, ODD[:-2]))})$"


@pytest.mark.parametrize(
    "rule",
    [
        {"type": "expect_column_values_to_be_in_set", "kwargs": {"column": "text", "value_set": ODD[:-2]}},
        {"type": "expect_column_values_to_not_be_in_set", "kwargs": {"column": "text", "value_set": ODD[-2:]}},
        {"type": "expect_column_values_to_match_regex", "kwargs": {"column": "text", "regex": PATTERN}},
        {"type": "expect_column_values_to_not_match_regex", "kwargs": {"column": "text", "regex": r"\dx\d|^\?$"}},
        {"type": "tasks.validation.checks.expectations:ExpectColumnToDetermineAnother",
         "kwargs": {"column_A": "text", "column_B": "same", "known": {text: text for text in ODD}}},
    ],
    ids=lambda rule: rule["type"],
)  # fmt: skip
def test_the_rows_set_aside_are_those_that_were_counted_whatever_stands_in_a_rule(rule, tmp_path):
    frame = pd.DataFrame({"id": ODD, "text": ODD, "same": [*ODD[:-2], "other", "another"]})
    (tmp_path / "raw").mkdir()
    write([frame], tmp_path / "raw")
    rows = RawRows(**record_of(tmp_path / "raw").model_dump(), rows=len(ODD), feedback_rows=0)
    report = validate(
        rows,
        ValidationConfig(expectations=(ExpectationConfig(**rule),), max_quarantined=1),
        tmp_path / "out",
        tmp_path / "reports",
    )
    assert (report.rules[0].unexpected, set(pq.read_table(report.quarantine.uri)["id"].to_pylist())) == (
        2,
        set(ODD[-2:]),
    )
