"""Predictions and late labels meet by request id, in whatever order they came."""

from datetime import datetime, timedelta

import pyarrow as pa
import pytest

from tasks.prediction_log import PredictionLog

NOON = datetime(2026, 1, 1, 12)


@pytest.fixture
def log(tmp_path):
    log = PredictionLog(tmp_path / "it's")
    minutes = [NOON + timedelta(minutes=minute) for minute in range(3)]
    served = {"request_id": ["a", "b", "c"], "time": minutes, "version": [1, 1, 2], "role": ["champion"] * 3}
    log.append_predictions(pa.table(served | {"input.height": [1.0, 2.0, 3.0], "answer": ["x", "y", "x"]}), "2026-01-01", "0")
    return log


def label(log, name, **labels):
    times = [NOON + timedelta(hours=int(name))] * len(labels)
    log.append_labels(pa.table({"request_id": list(labels), "time": times, "label": list(labels.values())}), "2026-01-02", name)


def test_an_empty_log_has_no_rows(tmp_path):
    log = PredictionLog(tmp_path / "nobody")
    assert log.latest(5).empty
    assert log.labelled().empty


def test_the_newest_predictions_come_oldest_first(log):
    assert log.latest(2)["request_id"].tolist() == ["b", "c"]
    assert log.latest(5, version=1)["request_id"].tolist() == ["a", "b"]


def test_the_last_label_counts_and_strangers_do_not(log):
    label(log, "1", a="x", stranger="x")
    label(log, "2", a="y", c="x")
    found = log.labelled()
    assert dict(zip(found["request_id"], found["label"], strict=True)) == {"a": "y", "c": "x"}


def test_labels_since_a_moment(log):
    label(log, "1", a="x")
    label(log, "3", b="y")
    assert log.labelled(since=NOON + timedelta(hours=2))["request_id"].tolist() == ["b"]
