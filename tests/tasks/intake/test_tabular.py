"""Columns: what a row is, what the network sees of it, and that the graph's own prefix computes exactly the same."""

import numpy as np
import onnxruntime
import pandas as pd
import pytest
import torch
from onnx import helper

from configs.intake import TabularIntakeConfig
from tasks.intake import build_intake
from tasks.intake.columns import PIECES
from tasks.intake.encoder import ENCODED
from tasks.prediction.decoded_rows import decoded_rows
from tasks.rows.raw import feed, rows_from

SIZES = build_intake(TabularIntakeConfig(kind="tabular", numeric=("height", "weight")))
MIXED = build_intake(
    TabularIntakeConfig(kind="tabular", numeric=("age",), categorical=("work",), dates=("day",))
)
HOSTILE = ["", " ", "a", "A", "ä", "日本", "😀", "x" * 100_000, "a\nb", "a\0b", "\u202e"]


def fitted(intake, rows):
    encoder = intake.encoder()
    encoder.fit(rows)
    return encoder


def features(intake, train, rows):
    encoder = fitted(intake, train)
    preprocessing = intake.preprocessing(encoder)
    preprocessing.fit(encoder.encode(train))
    return preprocessing(torch.from_numpy(encoder.encode(rows)))


def by_onnx(encoder, rows):
    opsets = {"": 20}
    graph = encoder.prefix(opsets)
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid(*each) for each in opsets.items()], ir_version=10
    )
    return onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"]).run(
        [ENCODED], feed(rows)
    )[0]


def sizes(**columns):
    return rows_from(SIZES.inputs, {name: np.array(values, np.float32) for name, values in columns.items()})


def test_a_missing_value_becomes_the_median_and_says_so():
    train = sizes(height=[1, 2, 3, 9], weight=[10, 20, np.nan, 90])
    gap, median = features(SIZES, train, sizes(height=[np.nan, 2.5], weight=[20, 20]))
    told = (gap != median).nonzero().ravel().tolist()
    assert told == [2]
    assert (gap[2], median[2]) == (1, 0)


def test_rare_amounts_are_told_apart_beside_many_zeros():
    amounts = np.concatenate([np.zeros(960), np.linspace(1000, 9000, 41)])
    low, high = features(
        SIZES, sizes(height=amounts, weight=amounts), sizes(height=[2000, 2400], weight=[0, 0])
    )
    assert (high - low).max() > 0.9


def test_each_of_few_values_has_a_place_of_its_own():
    grades = [1] * 500 + [2, 3] * 5
    rows = features(SIZES, sizes(height=grades, weight=grades), sizes(height=[1, 2, 3], weight=[1, 1, 1]))[
        :, 4:
    ]
    assert (rows[1:] - rows[:-1]).amax(dim=1).tolist() == [1, 1]


def test_constant_empty_and_endless_numbers_stay_finite():
    train = sizes(height=[5, 5, np.inf], weight=[np.nan] * 3)
    assert torch.isfinite(
        features(SIZES, train, sizes(height=[5, np.nan, -np.inf, 3e38], weight=[np.nan, 1, 2, np.inf]))
    ).all()


def test_a_row_that_does_not_fit_is_named():
    with pytest.raises(
        ValueError,
        match=r"rows.json, row 1: weight 'tall': want a number \(or nothing\) for each of height, weight",
    ):
        decoded_rows([[1, 2], [1, "tall"]], "rows.json", SIZES.decode)
    with pytest.raises(ValueError, match="has 3 values; want 2: height, weight"):
        SIZES.decode([1, 2, 3])
    with pytest.raises(ValueError, match="day 'soon': want a date in ISO 8601 such as 2026-01-31T12:00"):
        MIXED.decode({"day": "soon"})


def test_dates_are_seconds_however_they_are_written():
    moment = 1_293_840_000 + 3600
    texts = pd.Series(
        [
            "2011-01-01T01:00",
            "2011-01-01 02:00+01:00",
            moment,
            pd.Timestamp("2011-01-01 01:00"),
            None,
            "x",
            "1/2/2011",
        ]
    )
    columns = {"age": [1] * 7, "work": "a"}
    seconds = MIXED.rows(pd.DataFrame({"day": texts} | columns))["day"]
    assert seconds[:4].tolist() == [moment] * 4
    assert np.isnan(seconds[4:]).all()
    stamps = pd.DataFrame({"day": pd.to_datetime(["2011-01-01 01:00"]), "age": 1, "work": "a"})
    assert MIXED.rows(stamps)["day"].tolist() == [moment]


def test_a_clients_date_is_read_as_training_read_it_or_as_iso_8601_and_refused_otherwise():
    intake = build_intake(
        TabularIntakeConfig(kind="tabular", dates=("day",), date_formats={"day": "%d/%m/%Y"})
    )
    first_of_february = 1_580_515_200
    assert [intake.decode({"day": day})["day"][0] for day in ("01/02/2020", "2020-02-01")] == [
        first_of_february
    ] * 2
    with pytest.raises(
        ValueError,
        match=r"day '02/31/2020': want a date as %d/%m/%Y, or in ISO 8601 such as 2026-01-31T12:00",
    ):
        intake.decode({"day": "02/31/2020"})


@pytest.mark.parametrize(
    ("form", "value"),
    [
        ("excel", 43862),
        ("excel", "43862"),
        ("milliseconds", 1_580_515_200_000),
        ("%Y%m%d", 20200201),
        ("seconds", 1_580_515_200),
    ],
)
def test_numbers_are_dates_in_their_declared_unit(form, value):
    intake = build_intake(TabularIntakeConfig(kind="tabular", dates=("day",), date_formats={"day": form}))
    assert intake.decode({"day": value})["day"][0] == 1_580_515_200


def test_a_category_is_the_same_text_whether_its_column_has_gaps_or_not():
    whole, gaps = (
        MIXED.rows(pd.DataFrame({"work": work, "age": 1, "day": None})) for work in ([1, 2], [1.0, None])
    )
    assert whole["work"].tolist() == ["1", "2"]
    assert gaps["work"].tolist() == ["1", ""]


def test_rows_survive_the_way_through_a_frame_and_parquet(tmp_path):
    frame = pd.DataFrame({"age": [1.5, None], "work": ["a", None], "day": ["2011-01-01T01:02:03.5", None]})
    rows = MIXED.rows(frame)
    MIXED.frame(rows).to_parquet(tmp_path / "rows.parquet")
    again = MIXED.rows(pd.read_parquet(tmp_path / "rows.parquet"))
    assert all(np.array_equal(rows[name], again[name], equal_nan=name != "work") for name in MIXED.columns)


def test_a_category_that_training_never_saw_counts_as_missing():
    train = MIXED.rows(
        pd.DataFrame({"work": ["a", "a", "b", "b", "b", "once"], "age": 1, "day": "2011-01-01"})
    )
    asked = MIXED.rows(pd.DataFrame({"work": ["b", "a", "once", "new", None], "age": 1, "day": "2011-01-01"}))
    assert fitted(MIXED, train).encode(asked)[:, -1].tolist() == [1, 2, 0, 0, 0]


def test_a_week_is_seven_days_and_a_day_has_hours():
    times = pd.date_range("2024-01-01", periods=400 * 4, freq="6h")
    rows = MIXED.rows(pd.DataFrame({"day": times, "age": 1, "work": "a"}))
    made = features(MIXED, rows, rows)
    numbers = 2 + PIECES
    weekday = made[:, numbers + 2 : numbers + 9].argmax(dim=1)
    assert weekday.tolist() == times.dayofweek.tolist()
    noon = made[:, numbers + 9 + 3]
    assert torch.allclose(
        noon, torch.tensor(np.sin(2 * np.pi * times.hour / 24), dtype=torch.float32), atol=1e-5
    )


def test_the_graphs_prefix_is_exactly_the_encoder_on_hostile_rows():
    count = len(HOSTILE)
    days = np.array(
        [0, -1, 1.3e9 + 0.25, np.nan, 1e300, -1e300, np.inf, 86399.999, 86400, 253402300799, 1e-300]
    )
    ages = np.array([0, -0.0, np.nan, np.inf, -np.inf, 3.4e38, 1e-45, 1, 2, 3, 4], np.float32)
    rows = rows_from(MIXED.inputs, {"age": ages, "work": np.array(HOSTILE, object), "day": days})
    encoder = fitted(MIXED, np.concatenate([rows, rows]))
    assert len(encoder.known["work"]) == count - 1
    assert np.array_equal(by_onnx(encoder, rows), encoder.encode(rows), equal_nan=True)
    assert torch.isfinite(features(MIXED, rows, rows)).all()


def test_the_encoder_comes_back_from_json():
    rows = MIXED.rows(pd.DataFrame({"work": ["a", "a", "b", "b"], "age": 1, "day": None}))
    encoder, again = fitted(MIXED, rows), MIXED.encoder()
    again.restore(encoder.state())
    assert np.array_equal(again.encode(rows), encoder.encode(rows), equal_nan=True)


def test_training_hides_some_categories_and_changes_nothing_else():
    encoded, draws = torch.tensor([[5.0, 1.0, 2.0, 3.0]] * 2), torch.tensor([[0.001], [0.5]])
    assert MIXED.augment(encoded, draws).tolist() == [[5.0, 1.0, 2.0, 0.0], [5.0, 1.0, 2.0, 3.0]]


def test_descriptors_are_numbers_texts_and_the_time_of_day():
    rows = MIXED.rows(
        pd.DataFrame({"work": ["a", None], "age": [3, None], "day": ["2024-01-01T06:00", None]})
    )
    found = MIXED.describe(rows)
    assert list(found.columns) == ["age", "hour of day", "weekday of day", "work"]
    assert found.iloc[0].tolist() == [3.0, 6.0, "Monday", "a"]


def test_the_picture_is_a_png():
    rows = MIXED.rows(
        pd.DataFrame({"work": ["a", None], "age": [3, None], "day": ["2024-01-01T06:00", None]})
    )
    assert MIXED.picture(rows, ["", ""]).startswith(b"\x89PNG")
