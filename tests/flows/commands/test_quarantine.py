"""`gyre data quarantine` as people type it: from a dirty source to a version that knows what they decided."""

import json

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from configs.load import load
from configs.source import SourceConfig
from configs.versioning import VersioningConfig
from flows.cli import app
from infra.settings import Settings
from tasks.lineage import lineage
from tasks.records import LabelReport, RawRows, SourceSnapshot, ValidationBaseline
from tasks.rows.parts import read, record_of, write
from tasks.validation.quarantine import Quarantine
from tasks.validation.review.decisions import freeze_decisions, in_force, user
from tasks.validation.row_validation import validate
from tasks.versioning.provenance import origin
from tasks.versioning.repository import Repository
from tasks.versioning.version import make_version

YAML = """
name: riders
source: {reader: csv, path: rows.csv}
intake: {kind: tabular, numeric: [age]}
result: {kind: classification, classes: [a, b]}
validation:
  max_quarantined: 0.2
  expectations: [{type: expect_column_values_to_be_between, kwargs: {column: age, max_value: 99}}]
"""
RULE = "expect_column_values_to_be_between(age)"


class Installation:
    """A home, a project of 60 riders, two of whom are too old, and the stages from raw rows to a version."""

    def __init__(self, folder, monkeypatch):
        monkeypatch.setenv("GYRE_HOME", str(folder / "home"))
        self.yaml = folder / "riders.yaml"
        self.yaml.write_text(YAML)
        self.settings, self.config, self.made = Settings(), load(self.yaml), 0
        ages = [20.0 + n for n in range(58)] + [350.0, 101.0]
        frame = pd.DataFrame({"id": [f"r{n}" for n in range(60)], "age": ages, "label": list("ab") * 30})
        self.raw = folder / "raw"
        self.raw.mkdir()
        contents = np.random.default_rng(0).integers(2**64, size=60, dtype=np.uint64)
        write([frame.assign(origin="rows.csv", origin_line=range(2, 62), origin_content=contents)], self.raw)

    def version(self):
        self.made += 1
        home, rows = self.settings.home, RawRows(**record_of(self.raw).model_dump(), rows=60, feedback_rows=0)
        kept = Quarantine(home.quarantine("riders"))
        before = ValidationBaseline(
            decisions=freeze_decisions(in_force(kept.log.all()), kept.folder / "in-force")
        )
        output = home.outcomes / str(self.made)
        report = validate(rows, self.config.validation, output, home.reports, before, home)
        report = kept.keep(report, rows, self.config.validation, before)
        nothing = {
            "agreement": 1.0,
            "annotators": (),
            "relabelled": 0,
            "suspects": None,
            "suspected": 0,
            "failures": (),
        }
        labels = LabelReport(uri=report.uri, digest=report.digest, rows=report.rows, **nothing)
        sections = {"source": SourceConfig(reader="csv", path="rows.csv")}
        known = origin(
            SourceSnapshot(project="riders", fingerprint="f" * 64), rows, report, labels, sections, home, home
        )
        repository = Repository(home / "data", str(home / "remote"))
        return make_version(
            "riders", labels, ("age",), VersioningConfig(), repository, home / "datasets", "label", known
        )

    def gyre(self, *words):
        done = CliRunner().invoke(app, ["data", "quarantine", words[0], str(self.yaml), *words[1:]])
        if done.exception and not isinstance(done.exception, SystemExit):
            raise done.exception
        return done.output


@pytest.fixture
def installation(tmp_path, monkeypatch):
    return Installation(tmp_path, monkeypatch)


def test_a_decision_is_listed_applied_told_by_the_version_and_undone(installation):
    first = installation.version()
    listed = json.loads(installation.gyre("list", "--json"))
    assert [(row["id"], row["origin"], row["origin_line"], row["reasons"]) for row in listed["rows"]] == [
        ("r58", "rows.csv", 60, [RULE]),
        ("r59", "rows.csv", 61, [RULE]),
    ]
    assert "2 of 60 rows are in quarantine, 0 decisions are in force." in installation.gyre("list")
    assert "decision 1: fix of 1 row" in installation.gyre(
        "fix", "r58", "--set", "age=35", "--why", "a digit too many"
    )
    assert "decision 2: release of 1 row" in installation.gyre("release", "r59", "--why", "she is 101")

    second = installation.version()
    assert (first.rows, second.rows) == (58, 60)
    assert read(second, ["id", "age"]).set_index("id").loc[["r58", "r59"], "age"].tolist() == [35.0, 101.0]
    facts = Repository(installation.settings.home / "data", "").facts("riders", 2)["validation"]
    assert (facts["quarantined"], facts["decisions"]["rows"], facts["decisions"]["lapsed"]) == (0, 2, 0)
    assert len(facts["decisions"]["digest"]) == 64

    shown = installation.gyre("show", "r58")
    assert "row r58 of rows.csv, line 60: not in the newest quarantine" in shown
    assert f"fix 1 (age=35) by {user()} on " in shown
    assert "a digit too many (in force)" in shown
    assert json.loads(installation.gyre("show", "r59", "--json"))["history"][0]["who"] == user()
    installation.gyre("undo", "r58", "r59", "--why", "they were not")
    third = installation.version()
    assert (third.tag, third.digest) == (first.tag, first.digest)


def test_lineage_tells_who_decided_when_and_why(installation):
    installation.version()
    installation.gyre("release", "--reason", "between", "--why", "old but true")
    installation.version()
    graph = lineage("r59", installation.settings)
    decision = graph.nodes["decision riders 1 release"].facts
    assert (decision["who"], decision["why"], decision["in v2"]) == (user(), "old but true", "released")
    assert graph.effects("row r59") == ["quarantine riders/v1", "decision riders 1 release"]
    assert graph.effects("decision riders 1 release") == ["dataset riders/v2"]
    assert graph.nodes["row r59"].facts["line"] == "61"
    installation.gyre("undo", "r59", "--why", "no")
    assert "decision riders 2 undo" in lineage("r59", installation.settings).effects("row r59")


def test_what_cannot_be_decided_is_said(installation):
    installation.version()
    with pytest.raises(ValueError, match=r"age: 'old' is no float|age: 'old' is no double"):
        installation.gyre("fix", "r58", "--set", "age=old", "--why", "x")
    with pytest.raises(ValueError, match=r"--set 'age': want column=value, such as age=35"):
        installation.gyre("fix", "r58", "--set", "age", "--why", "x")
    with pytest.raises(
        ValueError,
        match=r"row 'nobody' is not in quarantine; `gyre data quarantine list riders` names the rows that are",
    ):
        installation.gyre("show", "nobody")
