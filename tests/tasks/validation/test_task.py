"""The stage as a flow runs it, on a real Prefect server.

A decision, and only a decision, has the rows validated again.
"""

import os
from pathlib import Path

import pandas as pd
import pytest
from prefect import flow
from prefect.settings import PREFECT_LOCAL_STORAGE_PATH
from prefect.testing.utilities import prefect_test_harness

from configs.labeling import LabelingConfig
from configs.result import ClassificationResultConfig
from configs.validation import ExpectationConfig, ValidationConfig
from tasks.garbage_collection.outcomes import remove_outcomes
from tasks.pipeline.stage import REFUSED
from tasks.records import RawRows
from tasks.rows.parts import read, record_of, write
from tasks.validation.review.review import fix, overview, release, undo
from tasks.validation.task import quarantine_of, validate, validation_baseline

RULE = ExpectationConfig(type="expect_column_values_to_be_between", kwargs={"column": "age", "max_value": 99})
KINDS = ClassificationResultConfig(kind="classification", classes=("a", "b"))


@pytest.fixture(scope="module")
def prefect():
    with prefect_test_harness(server_startup_timeout=120):
        yield


@pytest.fixture
def run(prefect, settings, tmp_path):
    """A run over ten riders, two of whom are too old; gives the state of its validation."""
    frame = pd.DataFrame(
        {"id": [f"r{n}" for n in range(10)], "age": [30.0] * 8 + [350.0, 101.0], "label": "a"}
    )
    (tmp_path / "raw").mkdir()
    write([frame.assign(origin="rows.csv", origin_line=range(2, 12))], tmp_path / "raw")
    rows = RawRows(**record_of(tmp_path / "raw").model_dump(), rows=10, feedback_rows=0)

    def ran(most=1.0):
        @flow
        def stages():
            asked = ValidationConfig(expectations=(RULE,), max_quarantined=most)
            return validate(
                "riders",
                rows,
                asked,
                validation_baseline("riders", rows, asked, LabelingConfig(), KINDS),
                return_state=True,
            )

        return stages(return_state=True).result(raise_on_failure=False)

    return ran


def test_a_decision_and_only_a_decision_has_the_rows_validated_again(run):
    first = run()
    assert (first.name, run().name) == ("Completed", "Cached")
    release(quarantine_of("riders"), ["r9"], "she is 101")
    decided = run()
    assert (decided.name, run().name) == ("Completed", "Cached")
    assert read(decided.result(), ["id"])["id"].tolist()[-1] == "r9"
    undo(quarantine_of("riders"), ["r9"], "she is not")
    again = run()
    assert (again.name, again.result()) == ("Cached", first.result())
    assert [row["id"] for row in overview(quarantine_of("riders"), None, 20)["rows"]] == ["r8", "r9"]


def test_a_run_that_stopped_goes_on_when_its_rows_are_decided_on_and_is_made_again_once_it_was_cleared(run):
    stopped = run(0.1)
    assert (stopped.name, stopped.message.splitlines()) == (
        REFUSED,
        [
            "validation refuses the rows:",
            "- 2 of 10 rows quarantined (20.0%); validation.max_quarantined is 10.0%",
            "It would take: a decision about the rows that `gyre data quarantine list riders` shows, or a source that keeps the rules, "
            "or others under `validation` in the YAML.",
        ],
    )
    fix(quarantine_of("riders"), "r8", {"age": "35"}, "a digit too many")
    report = run(0.1).result()
    assert (report.quarantined, report.decided, read(report, ["age"])["age"].max()) == (1, 1, 35.0)
    outcome, results = Path(report.uri).parent, Path(PREFECT_LOCAL_STORAGE_PATH.value())
    os.utime(outcome, (0, 0))
    assert (run(0.1).name, outcome.stat().st_mtime > 0) == ("Cached", True), "one that is asked for is in use"
    remove_outcomes([outcome], results)
    again = run(0.1)
    assert (again.name, again.result()) == ("Completed", report)
