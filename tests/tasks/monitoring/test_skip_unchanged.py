"""A look at production may be spared only where it could not differ from the last one."""

from datetime import UTC, datetime

import pyarrow as pa
import pytest

from configs.load import load
from tasks.monitoring.episodes import History
from tasks.monitoring.skip_unchanged import last_look, remember_look, sight_digest
from tasks.production.prediction_log import SCHEMAS, PredictionLog
from tasks.production.releases import Releases, Served, stage_canary
from tasks.records import DatasetVersion, DriftReport, Episode

DAY = "2026-01-01"
DATASET = DatasetVersion(
    uri="/rows", digest="d", project="digits", version=1, tag="digits/v1", commit="c", rows=1, splits={}
)


@pytest.fixture
def project():
    return load("digits")


@pytest.fixture
def looked(project, settings):
    """An installation at which somebody has looked, with a champion and one prediction."""
    release(settings, 1)
    predict(settings, "first")
    remember_look(report(project, settings), History(streak=-1), settings.home)
    return settings


def release(settings, number):
    """A version on trial."""
    challenger = Served(
        uri=f"/bundles/{number}", digest="d", version=number, graph_digest="g", dataset=DATASET
    )
    Releases(settings.home.releases).change(
        "digits", lambda manifest: stage_canary(manifest, challenger, share=0.1)
    )


def predict(settings, name):
    row = {
        "request_id": [name],
        "time": [datetime.now(UTC).replace(tzinfo=None)],
        "version": [1],
        "answer": ["3"],
    }
    PredictionLog(settings.home / "predictions" / "digits").append_predictions(
        pa.table(row, SCHEMAS["predictions"]), DAY, name
    )


def report(project, settings):
    seen = sight_digest("digits", project.intake, project.result, project.monitoring, settings.home)
    facts = {
        "version": 1,
        "verdict": "ok",
        "rows": 1,
        "labels": 0,
        "share": 0.0,
        "descriptors": (),
        "newest": "",
        "report": None,
    }
    return DriftReport(project="digits", seen=seen, **facts)


def known(project, settings):
    return last_look("digits", project.intake, project.result, project.monitoring, settings.home)


def test_an_unchanged_world_is_told_with_the_last_looks_time_and_verdict(project, looked):
    assert known(project, looked).startswith("No new prediction, label or release since the look at 20")
    assert known(project, looked).endswith(
        "UTC: ok: 1 predictions of version 1, 0 late labels since its release,"
        " no descriptor surely moved further than is tolerated"
    )


def test_a_new_prediction_is_looked_at(project, looked):
    predict(looked, "second")
    assert known(project, looked) is None


def test_a_late_label_is_looked_at(project, looked):
    row = {"request_id": ["first"], "time": [datetime.now(UTC).replace(tzinfo=None)], "label": ["3"]}
    PredictionLog(looked.home / "predictions" / "digits").append_labels(
        pa.table(row, SCHEMAS["labels"]), "2026-01-02", "late"
    )
    assert known(project, looked) is None


def test_another_release_is_looked_at(project, looked):
    release(looked, 2)
    assert known(project, looked) is None


def test_another_threshold_is_looked_at(looked):
    assert known(load("digits", {"monitoring.threshold": "0.5"}), looked) is None


def test_before_the_first_look_nothing_is_spared(project, settings):
    assert known(project, settings) is None


@pytest.mark.parametrize(
    "pending",
    [
        History(streak=1),
        History(
            episode=Episode(
                id="digits-1",
                project="digits",
                version=1,
                state="open",
                attempts=0,
                flow_run_id=None,
                event_id=None,
            )
        ),
    ],
    ids=["drift seen", "an episode"],
)
def test_what_waits_for_time_to_pass_is_looked_at_each_time(project, looked, pending):
    remember_look(report(project, looked), pending, looked.home)
    assert known(project, looked) is None
