"""The embedded digits: fixed order, fair samples, and annotators with habits."""

import numpy as np
import pandas as pd
import pytest

from tasks.ingestion.readers.digits import images, scans


def frame(**options):
    return pd.concat([partition() for partition in scans(**options)], ignore_index=True)


def test_a_range_holds_the_same_scans_whichever_range_is_read():
    whole, part = frame(rows=[0, 600], annotators=2), frame(rows=[300, 420], annotators=2)
    pd.testing.assert_frame_equal(whole.iloc[300:420].reset_index(drop=True), part)
    assert part["id"].iloc[0] == "scan-0300"


def test_all_scans_are_rows_by_default():
    rows = frame()
    assert len(rows) == 1797
    assert rows["id"].is_unique
    assert list(rows.columns) == ["id", "image", "label"]


def test_pixels_are_64_bytes_over_the_whole_range():
    pixels = np.stack(frame(rows=[0, 100])["image"].to_list())
    assert pixels.shape == (100, 64)
    assert (pixels.dtype, pixels.min(), pixels.max()) == (np.uint8, 0, 255)


def test_any_range_is_a_fair_sample():
    for start in range(0, 1600, 200):
        _, labels, _ = images(start, start + 200)
        assert min(labels.count(str(digit)) for digit in range(10)) >= 8


def test_images_are_those_of_the_rows():
    pixels, labels, ids = images(1000, 1003)
    rows = frame(rows=[1000, 1003])
    assert pixels.shape == (3, 8, 8, 1)
    assert np.array_equal(pixels.reshape(3, 64), np.stack(rows["image"].to_list()))
    assert (labels, ids) == (rows["label"].to_list(), rows["id"].to_list())


def test_each_annotator_errs_at_a_rate_of_its_own_and_skips_some():
    rows = frame(annotators=3, error_rate=0.12)
    errors = []
    for number in (1, 2, 3):
        given = rows[rows[f"annotator_{number}"].notna()]
        assert 0.02 < 1 - len(given) / len(rows) < 0.08
        errors.append((given[f"annotator_{number}"] != given["label"]).mean())
    assert errors == pytest.approx([0.06, 0.12, 0.18], abs=0.02)


def test_an_annotator_prefers_one_confusion_a_digit():
    rows = frame(annotators=1, error_rate=0.3)
    wrong = rows[(rows["annotator_1"] != rows["label"]) & rows["annotator_1"].notna()]
    favourites = wrong.groupby("label")["annotator_1"].agg(
        lambda given: given.value_counts(normalize=True).iloc[0]
    )
    assert favourites.min() > 0.5


def test_a_range_beyond_the_scans_is_refused():
    with pytest.raises(
        ValueError, match=r"rows \[0, 2000\]: want \[start, stop\] with 0 <= start < stop <= 1797"
    ):
        scans(rows=[0, 2000])
    with pytest.raises(ValueError, match=r"scans \[5, 5\]"):
        images(5, 5)
