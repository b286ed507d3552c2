"""Quarantined rows stay with their reasons.

What people decide about them holds in the next version, and can be undone.
"""

import json
import multiprocessing
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from configs.validation import ExpectationConfig, ValidationConfig
from infra.files import digest
from tasks.records import RawRows, ValidationBaseline
from tasks.rows.parts import read, record_of, write
from tasks.validation.quarantine import Quarantine
from tasks.validation.review.decisions import DecidedRow, DecisionLog, freeze_decisions, in_force, user
from tasks.validation.review.review import describe_row, fix, overview, release, undo
from tasks.validation.row_validation import validate
from tasks.validation.task import description

BETWEEN, SET = "expect_column_values_to_be_between(size)", "expect_column_values_to_be_in_set(kind)"
RULES = ValidationConfig(
    expectations=(
        ExpectationConfig(
            type="expect_column_values_to_be_between", kwargs={"column": "size", "max_value": 100}
        ),
        ExpectationConfig(
            type="expect_column_values_to_be_in_set", kwargs={"column": "kind", "value_set": ["cat", "dog"]}
        ),
    ),
    max_quarantined=0.5,
)


def pets():
    """40 rows in two parts; r3 is too large, r25 too large and of no kind that is allowed."""
    numbers = range(40)
    frame = pd.DataFrame(
        {"id": [f"r{n}" for n in numbers], "pixels": [np.full(4, n, np.uint8) for n in numbers]}
    )
    frame = frame.assign(
        size=10.0, kind="cat", born=pd.Timestamp("2024-01-01"), origin="pets.csv", origin_line=range(2, 42)
    )
    frame.loc[[3, 25], "size"] = 300.0
    frame.loc[25, "kind"] = "cow"
    return frame


class Clinic:
    """A source's rows, validated as often as asked with the decisions in force, as the Prefect task does it."""

    def __init__(self, folder):
        self.folder, self.quarantine, self.runs = (
            folder,
            Quarantine(folder / "home" / "quarantine" / "pets"),
            0,
        )
        self.rows = pets()

    def check(self, validation=RULES):
        self.runs += 1
        raw, output = self.folder / f"raw-{self.runs}", self.folder / f"out-{self.runs}"
        raw.mkdir()
        write([self.rows[:20], self.rows[20:]], raw)
        rows = RawRows(**record_of(raw).model_dump(), rows=len(self.rows), feedback_rows=0)
        before = self.before()
        return self.quarantine.keep(
            validate(rows, validation, output, self.folder / "reports", before), rows, validation, before
        )

    def before(self):
        return ValidationBaseline(
            decisions=freeze_decisions(
                in_force(self.quarantine.log.all()), self.quarantine.folder / "in-force"
            )
        )

    def became(self, report):
        return {row["row"]: row["became"] for row in json.loads(Path(report.decisions.uri).read_text())}


@pytest.fixture
def clinic(tmp_path):
    return Clinic(tmp_path)


def accepted(report):
    return read(report).set_index("id")


def test_a_quarantined_row_keeps_source_line_and_every_reason_after_the_runs_files_are_gone(clinic):
    clinic.check()
    shutil.rmtree(clinic.folder / "out-1")
    found = overview(clinic.quarantine, None, 20)
    assert (found["validated"], found["quarantined"]) == (40, 2)
    assert [(each["rule"], each["rows"]) for each in found["reasons"]] == [(BETWEEN, 2), (SET, 1)]
    assert found["reasons"][0]["limits"] == [{"column": "size", "max_value": 100}]
    assert found["origins"] == [{"origin": "pets.csv", "rows": 2}]
    assert found["rows"][1] == {
        "id": "r25",
        "origin": "pets.csv",
        "origin_line": 27,
        "reasons": [BETWEEN, SET],
        "decided": "",
    }
    assert [row["id"] for row in overview(clinic.quarantine, "in_set", 20)["rows"]] == ["r25"]
    row = describe_row(clinic.quarantine, "r25")
    assert (row["origin"], row["origin_line"], row["values"]["kind"], row["values"]["pixels"]) == (
        "pets.csv",
        27,
        "cow",
        "4 values",
    )
    assert row["reasons"][1] == {"rule": SET, "limits": [{"column": "kind", "value_set": ["cat", "dog"]}]}


def test_a_released_row_passes_in_the_next_version_and_is_marked_with_its_history(clinic):
    clinic.check()
    release(clinic.quarantine, ["r25"], "it is a rescued cow")
    report = clinic.check()
    assert (report.rows, report.quarantined, report.decided) == (39, 1, 1)
    assert accepted(report).loc["r25", "kind"] == "cow"
    [told] = json.loads(Path(report.decisions.uri).read_text())
    assert (told["became"], told["breaks"], told["reasons"]) == ("released", [BETWEEN, SET], [BETWEEN, SET])
    assert (told["origin"], told["origin_line"]) == ("pets.csv", 27)
    assert (told["decisions"][0]["who"], told["decisions"][0]["why"]) == (user(), "it is a rescued cow")
    assert [entry["kind"] for entry in describe_row(clinic.quarantine, "r25")["history"]] == ["release"]
    assert f"| r25 | released | {user()} | it is a rescued cow |" in description(report)


def test_a_fixed_row_comes_back_with_its_value_in_the_columns_type(clinic):
    clinic.check()
    fix(clinic.quarantine, "r3", {"size": "30", "born": "2025-02-03T04:00"}, "a digit too many")
    report = clinic.check()
    rows, before = accepted(report), pets().set_index("id")
    assert (rows.loc["r3", "size"], rows.loc["r3", "born"], report.quarantined) == (
        30.0,
        pd.Timestamp("2025-02-03T04:00"),
        1,
    )
    pd.testing.assert_frame_equal(rows.drop("r3"), before.drop(["r3", "r25"]), check_dtype=False)
    assert list(rows.index[:5]) == ["r0", "r1", "r2", "r3", "r4"]
    assert rows["size"].dtype == before["size"].dtype


def test_parts_without_a_decided_row_keep_their_bytes(clinic):
    clinic.rows.loc[25, ["size", "kind"]] = [10.0, "cat"]
    first = clinic.check()
    fix(clinic.quarantine, "r3", {"size": "30"}, "typo")
    second = clinic.check()
    name = "part-00001.parquet"
    assert digest(Path(first.uri) / name) == digest(Path(second.uri) / name)
    assert (clinic.folder / "raw-2" / name).stat().st_ino == (Path(second.uri) / name).stat().st_ino


def test_a_fixed_row_is_validated_again_and_may_still_break_a_rule(clinic):
    clinic.check()
    fix(clinic.quarantine, "r25", {"size": "20"}, "measured again")
    report = clinic.check()
    assert clinic.became(report) == {"r25": "still breaks"}
    row = describe_row(clinic.quarantine, "r25")
    assert [each["rule"] for each in row["reasons"]] == [SET]
    assert row["values"]["size"] == "300.0"
    release(clinic.quarantine, ["r25"], "and it is a cow")
    report = clinic.check()
    assert accepted(report).loc["r25", ["size", "kind"]].tolist() == [20.0, "cow"]
    assert report.quarantined == 1


def test_a_fix_after_a_release_is_validated_again(clinic):
    clinic.check()
    release(clinic.quarantine, ["r25"], "fine")
    fix(clinic.quarantine, "r25", {"size": "500"}, "no")
    assert clinic.became(clinic.check()) == {"r25": "still breaks"}


def test_what_is_undone_is_as_it_was_to_the_byte_and_stays_in_the_history(clinic):
    first, before = clinic.check(), clinic.before()
    fix(clinic.quarantine, "r25", {"kind": "dog"}, "a dog")
    release(clinic.quarantine, ["r25", "r3"], "right after all")
    undo(clinic.quarantine, ["r25"], "it was not")
    assert describe_row(clinic.quarantine, "r25")["in_quarantine"]
    undo(clinic.quarantine, ["r25", "r3"], "nothing is decided any more")
    second = clinic.check()
    assert (second.digest, second.quarantine.digest, second.decisions) == (
        first.digest,
        first.quarantine.digest,
        None,
    )
    assert clinic.before() == before
    states = [(entry["kind"], entry["state"]) for entry in describe_row(clinic.quarantine, "r25")["history"]]
    assert states == [("fix", "undone"), ("release", "undone"), ("undo", "taken"), ("undo", "taken")]


def test_all_rows_that_break_a_rule_are_released_together(clinic):
    clinic.check()
    release(clinic.quarantine, ["r3"], "one by one")
    assert [row.id for row in release(clinic.quarantine, [], "scale replaced", reason="between").rows] == [
        "r25"
    ]
    assert clinic.check(RULES.model_copy(update={"max_quarantined": 0.0})).failures == ()


def test_a_decision_about_a_row_whose_content_has_changed_no_longer_holds_and_says_so(clinic, caplog):
    clinic.check()
    release(clinic.quarantine, ["r3"], "a large cat")
    clinic.rows.loc[3, "size"] = 400.0
    report = clinic.check()
    assert (report.quarantined, report.decided, report.lapsed) == (2, 0, 1)
    assert clinic.became(report) == {"r3": "the row's content has changed since"}
    assert "row r3: decision 1 no longer holds: the row's content has changed since" in caplog.text
    [entry] = describe_row(clinic.quarantine, "r3")["history"]
    assert entry["state"] == "no longer holds: the row's content has changed since"
    release(clinic.quarantine, ["r3"], "it grew")
    assert clinic.check().quarantined == 1


def test_a_row_that_moved_to_another_line_is_the_same_row(clinic):
    clinic.check()
    release(clinic.quarantine, ["r3"], "a large cat")
    clinic.rows = clinic.rows.iloc[::-1].assign(origin="other.csv", origin_line=range(40))
    assert clinic.became(clinic.check()) == {"r3": "released"}


def test_a_decided_row_that_left_the_source_is_told(clinic):
    clinic.check()
    release(clinic.quarantine, ["r3"], "a large cat")
    clinic.rows = clinic.rows.drop(3)
    assert clinic.became(clinic.check()) == {"r3": "the source has no such row any more"}


def test_the_tasks_input_changes_when_a_decision_is_taken_and_only_then(clinic):
    clinic.check()
    one = clinic.before()
    clinic.check()
    assert clinic.before() == one
    release(clinic.quarantine, ["r3"], "a large cat")
    two = clinic.before()
    assert (one.decisions, two == one, clinic.before() == two) == (None, False, True)


def refused(function, *arguments):
    with pytest.raises(ValueError) as caught:
        function(*arguments)
    return str(caught.value)


def test_a_decision_that_cannot_be_taken_says_why_and_leaves_nothing(clinic):
    clinic.check()
    kept = clinic.quarantine
    assert refused(release, kept, ["r3", "r9"], "x") == (
        "row 'r9' is not in quarantine; `gyre data quarantine list pets` names the rows that are"
    )
    assert (
        refused(release, kept, ["r3"], "  ")
        == "release: a decision needs a reason that others can read later; give it with --why"
    )
    assert (
        refused(release, kept, [], "x", "unique")
        == f"'unique': no rule is called so; rows break {BETWEEN}; {SET}"
    )
    assert (
        refused(release, kept, [], "x", "expect")
        == f"'expect': more than one rule is called so; rows break {BETWEEN}; {SET}"
    )
    assert refused(fix, kept, "r3", {"size": "big"}, "x").startswith(
        "size: 'big' is no double, the column's type"
    )
    assert refused(fix, kept, "r3", {"born": "soon"}, "x").startswith("born: 'soon' is no timestamp")
    assert refused(fix, kept, "r3", {"pixels": "1"}, "x").startswith("pixels: values of type list")
    assert (
        refused(fix, kept, "r3", {"id": "r4"}, "x")
        == "'id' is no column that can be set; there are pixels, size, kind, born"
    )
    assert (
        refused(undo, kept, ["r3"], "x")
        == "no decision about row 'r3' is in force; there are decisions about none"
    )
    assert kept.log.all() == []
    release(kept, ["r3"], "x")
    assert refused(release, kept, ["r3"], "y").startswith("row 'r3' is released already: release 1 by ")


def decide(folder, name):
    """Twenty decisions by one process."""
    log = DecisionLog(folder)
    for number in range(20):
        log.add("release", [DecidedRow(id=f"{name}{number}", content="c", reasons=())], "because")


def test_two_writers_lose_no_decision_and_share_no_number(tmp_path):
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=decide, args=(tmp_path, name)) for name in "ab"]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(60)
    found = DecisionLog(tmp_path).all()
    assert [decision.number for decision in found] == list(range(1, 41))
    assert {decision.rows[0].id for decision in found} == {
        f"{name}{number}" for name in "ab" for number in range(20)
    }
    assert not list(tmp_path.glob(".decision.*"))


def test_a_writer_killed_at_any_moment_leaves_whole_decisions_alone(tmp_path):
    body = f"from pathlib import Path\nfrom tests.tasks.validation.test_quarantine import decide\nwhile 1: decide(Path({str(tmp_path)!r}), '')"
    writer = subprocess.Popen([sys.executable, "-c", body])
    try:
        for _ in range(600):
            if len(list(tmp_path.glob("[0-9]*.json"))) > 30:
                break
            with pytest.raises(subprocess.TimeoutExpired):
                writer.wait(0.1)
    finally:
        writer.kill()
        writer.wait(10)
    assert len(DecisionLog(tmp_path).all()) > 30
    decide(tmp_path, "next")
    assert [decision.number for decision in DecisionLog(tmp_path).all()][-1] == len(
        list(tmp_path.glob("[0-9]*.json"))
    )


def test_the_quarantine_file_holds_the_rows_as_the_source_has_them(clinic):
    report = clinic.check()
    aside = pq.read_table(report.quarantine.uri).to_pandas()
    assert list(aside["pixels"].iloc[0]) == [3] * 4
    assert report.quarantine.digest == digest(Path(report.quarantine.uri))
