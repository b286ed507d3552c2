"""The flow of gyre score: signed, scored on workers, and shown on a page that a person understands."""

import pandas as pd
import pytest
from prefect.client.orchestration import get_client
from prefect.testing.utilities import prefect_test_harness

from configs.load import ConfigError
from flows.parameters import sign_parameters
from flows.score import score
from tasks.production.releases import Releases, Served, promote, stage_canary
from tasks.records import DatasetVersion
from tests.tasks.export.conftest import make_bundle  # noqa: F401 - a fixture of `workers`
from tests.tasks.scoring.conftest import as_csv, people, workers  # noqa: F401 - a fixture

YAML = """
name: work
source: {reader: csv, path: people.csv}
intake:
  kind: tabular
  numeric: [age, hours per week]
  categorical: [work]
  dates: [born]
  date_formats: {born: "%d/%m/%Y"}
result: {kind: classification, classes: [low, high]}
"""


@pytest.fixture(scope="module")
def prefect():
    with prefect_test_harness(server_startup_timeout=120):
        yield


@pytest.fixture
def project(settings, tmp_path, workers):  # noqa: F811
    """A project whose version 3 serves."""
    (tmp_path / "work.yaml").write_text(YAML)
    facts = {"uri": "/rows", "digest": "0" * 64, "project": "work", "version": 1, "tag": "work/v1"}
    dataset = DatasetVersion(**facts, commit="0" * 40, rows=1, splits={})
    served = Served(**workers.model_dump(), version=3, graph_digest="0" * 64, dataset=dataset)
    releases = Releases(settings.home.releases)
    releases.change("work", lambda manifest: promote(stage_canary(manifest, served, 0.5), 3))
    return str(tmp_path / "work.yaml")


def asked(source, target, **changes):
    """The parameters of this flow alone."""
    usual = {
        "source_table": None,
        "table": None,
        "version": None,
        "existing": "refuse",
        "allow_missing": False,
    }
    return {"source": str(source), "target": str(target), **usual, **changes}


def test_the_page_says_rows_rate_answers_refused_rows_and_how_inputs_differ(
    prefect, project, settings, tmp_path
):
    frame = people(600)
    frame.loc[:29, "work"] = "Astronaut"
    source = as_csv(frame, tmp_path / "people.csv")
    lines = source.read_text().splitlines()
    lines[100] = "p99,old,40.0,Private,01/02/1970"
    source.write_text("\n".join(lines) + "\n")
    parameters = sign_parameters("score", project, {}, settings, asked(source, tmp_path / "scores"))
    state = score(**parameters, return_state=True)
    assert state.is_completed(), state.message
    first, last = state.message.splitlines()
    assert f"{source} scored by version 3 into {tmp_path / 'scores'}" in first
    side = tmp_path / "scores" / "_refused.jsonl"
    assert last == f"599 rows scored, 1 refused (1: age: a value is no number): {side}"
    assert len(pd.read_parquet(tmp_path / "scores")) == 599
    with get_client(sync_client=True) as client:
        shown = {each.type: each.data for each in client.read_artifacts()}
    assert shown["progress"] == 100
    page = shown["markdown"]
    assert state.message in page
    for told in (
        "| 599 | 1 |",
        "| low |",
        "| age: a value is no number | 1 |",
        "Astronaut",
        "30 of 599 rows (5.01%)",
    ):
        assert told in page


def test_a_source_most_of_whose_rows_cannot_be_read_ends_the_run_as_refused_and_the_others_have_their_scores(
    prefect, project, settings, tmp_path
):
    frame = people(40).astype({"age": "object"})
    frame.loc[:29, "age"] = "unknown"
    source = as_csv(frame, tmp_path / "people.csv")
    parameters = sign_parameters("score", project, {}, settings, asked(source, tmp_path / "scores"))
    state = score(**parameters, return_state=True)
    assert state.name == "Refused"
    assert "30 of 40 rows could not be read or answered and have no score" in state.message
    assert "checks.refused_rows refuses more than 0.5" in state.message
    assert "_refused.jsonl" in state.message
    assert len(pd.read_parquet(tmp_path / "scores")) == 10


def test_a_run_that_nobody_signed_reads_and_writes_nothing(prefect, project, tmp_path):
    parameters = asked("/etc/passwd", tmp_path / "scores")
    state = score("digits", **parameters, return_state=True)
    with pytest.raises(
        ConfigError, match=r"source, target, .*: can name files; .* start it with `gyre score PROJECT`"
    ):
        state.result()
    assert not (tmp_path / "scores").exists()
