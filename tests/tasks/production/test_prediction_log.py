"""Predictions and late labels meet by request id, in whatever order they came."""

from datetime import datetime, timedelta

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from tasks.production.prediction_log import PredictionLog, input_columns, logged_rows
from tasks.rows.raw import TensorSpec, rows_from

NOON = datetime(2026, 1, 1, 12)


@pytest.fixture
def log(tmp_path):
    log = PredictionLog(tmp_path / "it's")
    minutes = [NOON + timedelta(minutes=minute) for minute in range(3)]
    served = {"request_id": ["a", "b", "c"], "time": minutes, "version": [1, 1, 2], "role": ["champion"] * 3}
    log.append_predictions(
        pa.table(served | {"input.height": [1.0, 2.0, 3.0], "answer": ["x", "y", "x"]}), "2026-01-01", "0"
    )
    return log


def label(log, name, **labels):
    times = [NOON + timedelta(hours=int(name))] * len(labels)
    log.append_labels(
        pa.table({"request_id": list(labels), "time": times, "label": list(labels.values())}),
        "2026-01-02",
        name,
    )


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
    assert log.unmatched() == 1


def test_labels_since_a_moment(log):
    label(log, "1", a="x")
    label(log, "3", b="y")
    assert log.labelled(since=NOON + timedelta(hours=2))["request_id"].tolist() == ["b"]


def test_lines_of_models_with_other_inputs_are_read_side_by_side(log):
    served = {
        "request_id": ["d", "e"],
        "time": [NOON + timedelta(hours=1)] * 2,
        "version": [3, 3],
        "role": ["champion"] * 2,
    }
    log.append_predictions(
        pa.table(served | {"input.height": ["7", "tall"], "input.kind": ["x", "y"], "answer": ["x", "y"]}),
        "d",
        "1",
    )
    frame = log.latest(10)
    rows, fits = logged_rows(
        frame,
        [
            TensorSpec("height", "float32", ()),
            TensorSpec("kind", "str", ()),
            TensorSpec("new", "float32", ()),
        ],
    )
    assert frame["request_id"].tolist() == ["a", "b", "c", "d", "e"]
    assert rows["height"][:4].tolist() == [1, 2, 3, 7]
    assert rows["kind"].tolist()[:4] == ["", "", "", "x"]
    assert np.isnan(rows["new"][:4]).all()
    assert fits.tolist() == [True] * 4 + [False]


def test_rows_come_back_as_they_were_served(log):
    inputs = [
        TensorSpec("image", "uint8", (2, 1)),
        TensorSpec("text", "str", ()),
        TensorSpec("when", "float64", ()),
    ]
    rows = rows_from(
        inputs,
        {
            "image": np.arange(4, dtype=np.uint8).reshape(2, 2, 1),
            "text": ["é\0\n😀", ""],
            "when": [np.nan, 1.7e9 + 0.125],
        },
    )
    served = {
        "request_id": ["x", "y"],
        "time": [NOON + timedelta(hours=2)] * 2,
        "version": [4, 4],
        "answer": ["x", "y"],
    }
    log.append_predictions(pa.table(served | input_columns(rows)), "d", "2")
    again, fits = logged_rows(log.latest(2, version=4), inputs)
    assert fits.all()
    assert all(
        np.array_equal(again[name], rows[name], equal_nan=name == "when")
        for name in ("image", "text", "when")
    )


def test_columns_are_read_at_once_as_they_are_value_by_value():
    inputs = (
        TensorSpec("size", "float32", ()),
        TensorSpec("image", "uint8", (2, 2)),
        TensorSpec("text", "str", ()),
    )
    lines = pd.DataFrame(
        {
            "input.size": [1.5, np.nan, 3.0],
            "input.image": [np.arange(4, dtype=np.uint8) + number for number in range(3)],
            "input.text": ["a", None, "c"],
        }
    )
    whole, fits = logged_rows(lines, inputs)
    assert fits.all()
    one_by_one = np.concatenate(
        [logged_rows(lines.astype(object)[at : at + 1], inputs)[0] for at in range(3)]
    )
    for name in whole.dtype.names:
        np.testing.assert_array_equal(whole[name], one_by_one[name])
    assert whole["image"].shape == (3, 2, 2)
