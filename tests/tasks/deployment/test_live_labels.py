"""Late labels of a trial, from a real prediction log."""

from datetime import datetime, timedelta

import pyarrow as pa
import pytest

from tasks.deployment.live_labels import label_differences
from tasks.production.prediction_log import PredictionLog

BEGAN = datetime(2026, 11, 1, 12)
NEWER, OLDER = 2, 1


@pytest.fixture
def log(tmp_path):
    """Writes lines of (version, answer, label, minutes after the trial began)."""

    def write(*lines):
        ids = [str(number) for number in range(len(lines))]
        versions, answers, labels, minutes = zip(*lines, strict=True)
        times = pa.array([BEGAN + timedelta(minutes=each) for each in minutes], pa.timestamp("us"))
        predictions = {"request_id": ids, "time": times, "version": versions, "answer": answers}
        PredictionLog(tmp_path).append_predictions(pa.table(predictions), "2026-11-01", "a")
        later = pa.array(
            [BEGAN + timedelta(hours=1, minutes=at) for at in range(len(lines))], pa.timestamp("us")
        )
        truth = pa.table({"request_id": ids, "time": later, "label": labels})
        PredictionLog(tmp_path).append_labels(truth, "2026-11-01", "a")
        return tmp_path

    return write


def differences(folder, *, numbers=False):
    found = label_differences(folder, BEGAN, NEWER, OLDER, numbers=numbers)
    return found.better, found.equal, found.worse


def test_labelled_rows_of_both_versions_stand_beside_each_other_in_their_order(log):
    folder = log(
        (NEWER, "a", "a", 1),
        (OLDER, "b", "a", 1),
        (NEWER, "a", "b", 2),
        (OLDER, "b", "b", 2),
        (NEWER, "a", "a", 3),
        (OLDER, "c", "c", 3),
        (NEWER, "waits", "alone", 4),
    )
    assert differences(folder) == (1, 1, 1)


def test_rows_of_before_the_trial_do_not_count(log):
    assert differences(log((NEWER, "a", "b", 1), (OLDER, "a", "a", -5))) == (0, 0, 0)


def test_of_numbers_the_one_further_away_is_worse(log):
    folder = log((NEWER, "1.5", "1", 1), (OLDER, "7", "6.9", 1), (NEWER, "2", "2", 2), (OLDER, "3", "4", 2))
    assert differences(folder, numbers=True) == (1, 0, 1)


def test_a_log_without_labels_tells_nothing(tmp_path):
    assert differences(tmp_path) == (0, 0, 0)
