"""Which rows the prediction log holds."""

import pyarrow as pa

from tasks.production.prediction_log import PredictionLog
from tasks.serving.log import known
from tasks.serving.log.known import KnownRequests


def logged(folder, day, *ids):
    PredictionLog(folder / "spots").append_predictions(pa.table({"request_id": list(ids)}), day, "one")


def test_rows_are_found_in_files_of_any_day(tmp_path):
    logged(tmp_path, "2026-01-01", "a", "b")
    logged(tmp_path, "2026-01-02", "c")
    sought = KnownRequests(tmp_path).sought("spots", ["a", "c", "x"])
    assert (sought.found, sought.complete) == ({"a", "c"}, True)
    assert KnownRequests(tmp_path).sought("dots", ["a"]).found == frozenset()


def test_a_log_that_is_too_long_to_look_through_is_said_to_be(tmp_path, monkeypatch):
    logged(tmp_path, "2026-01-01", "a")
    monkeypatch.setattr(known, "LOOK_S", -1.0)
    assert not KnownRequests(tmp_path).sought("spots", ["a"]).complete


def test_the_newest_are_remembered(tmp_path, monkeypatch):
    monkeypatch.setattr(known, "BUCKETS", 1)
    requests = KnownRequests(tmp_path)
    requests.add("spots", ["a", "b", "c", "d", "e", "f"])
    assert requests.among("spots", ["a", "b", "c", "d", "e", "f"]) == {"c", "d", "e", "f"}
    assert requests.among("dots", ["f"]) == set()
