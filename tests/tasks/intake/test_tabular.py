"""Tabular rows: missing values take the training median, in the graph as in training."""

import numpy as np
import pandas as pd
import pytest
import torch

from configs.project import TabularIntake
from tasks.intake import build
from tasks.intake.files import read_rows

INTAKE = build(TabularIntake(kind="tabular", columns=("height", "weight")))


def test_a_missing_value_becomes_the_median():
    preprocessing = INTAKE.preprocessing()
    preprocessing.fit(np.array([[1, 10], [2, 20], [3, np.nan], [9, 90]], np.float32))
    filled = preprocessing(torch.tensor([[float("nan"), 20.0]]))
    assert torch.allclose(filled, preprocessing(torch.tensor([[2.5, 20.0]])))


def test_a_constant_or_empty_column_stays_finite():
    preprocessing = INTAKE.preprocessing()
    preprocessing.fit(np.array([[5, np.nan], [5, np.nan]], np.float32))
    assert torch.isfinite(preprocessing(torch.tensor([[5.0, float("nan")]]))).all()


def test_rows_are_read_from_csv_and_json_alike(tmp_path):
    pd.DataFrame({"weight": [10.0, None], "height": [1.0, 2.0]}).to_csv(tmp_path / "rows.csv", index=False)
    (tmp_path / "rows.json").write_text('[{"height": 1, "weight": 10}, {"height": 2, "weight": null}]')
    expected = np.array([[1, 10], [2, np.nan]], np.float32)
    for name in ("rows.csv", "rows.json"):
        assert np.array_equal(read_rows(tmp_path / name, INTAKE), expected, equal_nan=True)


def test_a_row_that_does_not_fit_is_named(tmp_path):
    (tmp_path / "rows.json").write_text('[[1, 2], [1, "tall"]]')
    with pytest.raises(ValueError, match=r"rows.json, row 1: .*want a number \(or nothing\) for each of height, weight"):
        read_rows(tmp_path / "rows.json", INTAKE)
    with pytest.raises(ValueError, match="has 3 values; want 2: height, weight"):
        INTAKE.decode([1, 2, 3])
