"""Pictures of a look: drawn of whatever moved, and only where there is something to draw."""

import io

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from tasks.monitoring.pictures import errors_of_log, picture_of_moved, picture_of_performance
from tasks.monitoring.verdict.judgement import measure
from tasks.monitoring.verdict.values import of_frame


def sizes(png):
    return Image.open(io.BytesIO(png)).size


def test_the_first_three_are_drawn_whatever_they_are():
    draw = np.random.default_rng(0)
    then = pd.DataFrame(
        {"heat": draw.normal(size=300), "constant": 1.0, "kind": draw.choice(["a$b$", "c"], 300)}
    )
    now = then.assign(heat=np.where(draw.random(300) < 0.2, np.nan, 1e9), kind="d")
    found = measure(of_frame(now), of_frame(then), 0.05)
    names = [each.name for each in found]
    assert {"missing in heat", "new texts in kind"} <= set(names)
    three = sizes(picture_of_moved(found, names))
    assert three == sizes(picture_of_moved(found, names[::-1]))
    assert three[0] == pytest.approx(3 * sizes(picture_of_moved(found, ["kind"]))[0], rel=0.01)


def labelled(rows):
    times = pd.Timestamp("2026-01-01") + pd.to_timedelta(np.arange(rows), unit="min")
    return pd.DataFrame({"answered": times, "answer": "1.0", "label": ["1", "x"] * (rows // 2)})


def test_performance_over_time_is_drawn_once_labels_make_a_curve():
    rows, wrong = errors_of_log(labelled(200), None)
    assert wrong.mean() == 1.0
    release = [(pd.Timestamp("2026-01-01T01:00"), 2)]
    assert picture_of_performance(rows, wrong, release) is not None
    assert picture_of_performance(rows[:30], wrong[:30], release) is None


def test_of_numbers_labels_that_are_none_are_left_out():
    rows, wrong = errors_of_log(labelled(200), 0.1)
    assert (len(rows), wrong.sum()) == (100, 0)
