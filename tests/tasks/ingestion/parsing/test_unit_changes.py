import os
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from configs.source import ColumnConfig
from tasks.ingestion.parsing.unit_changes import check_units, quantiles

DATA = Path(os.environ.get("GYRE_DATA", Path(__file__).parents[5] / "shared/data"))


def written(folder, name, values):
    path = folder / f"{name}.parquet"
    pq.write_table(pa.table({"x": pa.array(values)}), path)
    return [path]


def contract(folder, values):
    usual = quantiles(written(folder, "usual", values), ["x"])["x"]
    return {"x": ColumnConfig(type="number", usual=usual)}


@pytest.mark.parametrize(
    ("convert", "unit"),
    [
        (lambda x: 1000 * x, "x1000, such as kg to g"),
        (lambda x: x / 1000, "the other way round of x1000"),
        (lambda x: 2.20462 * x, "kg to lb"),
        (lambda x: 1.609 * x, "miles to km"),
        (lambda x: 0.3048 * x, "the other way round of x3.281, m to ft"),
        (lambda x: 60 * x, "hours to minutes"),
        (lambda x: 1.8 * x + 32, "Celsius to Fahrenheit"),
        (lambda x: (x - 32) / 1.8, "Fahrenheit to Celsius"),
        (lambda x: x + 273.15, "Celsius to Kelvin"),
    ],
)
def test_another_unit_is_named_with_both_sides(convert, unit, tmp_path):
    chance = np.random.RandomState(3)
    columns = contract(tmp_path, chance.normal(20, 5, 4000))
    with pytest.raises(ValueError, match=r"shop: column 'x' looks like another unit") as error:
        check_units(written(tmp_path, "now", convert(chance.normal(20, 5, 1000))), columns, "shop")
    assert unit in str(error.value)
    assert "usually [" in str(error.value)
    assert "set source.columns.x.usual to [" in str(error.value)


def test_drift_is_no_change_of_unit(tmp_path):
    chance = np.random.RandomState(3)
    columns = contract(tmp_path, chance.normal(20, 5, 4000))
    for now in (chance.normal(26, 5, 1000), chance.normal(20, 9, 1000), chance.normal(23, 6, 1000)):
        check_units(written(tmp_path, "now", now), columns, "shop")


def test_zeros_and_few_rows_say_nothing(tmp_path):
    zeros = np.where(np.arange(4000) % 10, 0.0, 5.0)
    check_units(written(tmp_path, "now", 1000 * zeros), contract(tmp_path, zeros), "shop")
    check_units(written(tmp_path, "now", [1e6] * 50), contract(tmp_path, np.arange(1.0, 1000.0)), "shop")


@pytest.mark.parametrize(
    ("file", "options"),
    [
        ("tabular/adult-train.csv", {"header": None, "skipinitialspace": True}),
        ("drift/bike_sharing_hour.csv", {}),
        ("tabular/nyc_taxis_raw.csv", {}),
        ("drift/elec2.csv", {}),
        ("drift/noaa_weather.csv", {}),
        ("tabular/Telco-Customer-Churn.csv", {}),
    ],
)
@pytest.mark.parametrize("ordered", [True, False])
def test_halves_of_real_data_have_one_unit(file, options, ordered, tmp_path):
    if not (DATA / file).exists():
        pytest.skip(f"no {DATA / file}; set GYRE_DATA")
    frame = pd.read_csv(DATA / file, **options).select_dtypes("number")
    first = np.arange(len(frame)) < len(frame) // 2 if ordered else np.arange(len(frame)) % 2 == 0
    for column in frame.columns.difference(["instant"]):
        half, other = frame[column][first].dropna().to_numpy(), frame[column][~first].dropna().to_numpy()
        if len(half) >= 100:
            check_units(written(tmp_path, "now", other), contract(tmp_path, half), f"{file} {column}")
