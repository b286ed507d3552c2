import os
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import sqlalchemy as sa
import yaml

from configs.source import SourceConfig, SqlConfig
from tasks.ingestion.parsing.contract import conform_table
from tasks.ingestion.schema_inference.file_formats import first_rows, sniff_source
from tasks.ingestion.schema_inference.tables import Inferred, infer, infer_files, to_yaml

DATA = Path(os.environ.get("GYRE_DATA", Path(__file__).parents[5] / "shared/data"))


def real(file):
    if not (DATA / file).exists():
        pytest.skip(f"no {DATA / file}; set GYRE_DATA")
    return infer(sniff_source(str(DATA / file)))


def of_csv(folder, text, encoding="utf-8"):
    path = folder / "rows.csv"
    path.write_bytes(text.encode(encoding))
    return infer(sniff_source(str(path)))


def test_telcos_blank_charges_are_noticed_and_its_key_found():
    found = real("tabular/Telco-Customer-Churn.csv")
    assert found.source.columns["TotalCharges"].type == "number"
    assert found.remarks["TotalCharges"] == "11 of 7043 values are blank"
    assert found.source.key == "customerID"
    assert found.source.columns["Churn"].type == "text"
    assert found.source.columns["tenure"].usual is not None


def test_adults_dots_question_marks_and_missing_header_are_noticed():
    train, test = real("tabular/adult-train.csv"), real("tabular/adult-test.csv")
    assert len(train.source.csv.names) == 15
    assert train.source.columns["column_2"].missing == ("", "?")
    assert train.remarks["column_2"] == "1836 of 32561 values are '?'"
    assert train.source.columns["column_15"].suffix == ""
    assert test.source.columns["column_15"].suffix == "."
    assert "every value ends with a dot" in test.remarks["column_15"]
    assert "no header line" in test.remarks[""]
    assert train.source.key == "*"


def test_the_taxis_column_without_a_value_is_named():
    found = real("tabular/nyc_taxis_raw.csv")
    assert found.remarks["ehail_fee"] == "no value in all 6500 rows"
    assert found.source.columns["tpep_pickup_datetime"].type == "timestamp"


def test_beers_units_and_missing_texts_are_noticed():
    found = real("tabular/beers/dirty.csv")
    assert "N/A" in found.source.columns["ibu"].missing
    assert found.remarks["ounces"].startswith("numbers that end in different ways ('oz")
    assert "0.09%" not in found.source.columns["abv"].missing


def test_running_numbers_have_no_usual_values():
    assert real("drift/bike_sharing_hour.csv").source.columns["instant"].usual is None


def test_month_and_day_are_told_apart_by_the_values():
    found = real("drift/bike_sharing_hour.csv")
    assert found.source.columns["dteday"].format == "%m/%d/%Y"
    assert "dteday" not in found.remarks


def test_messages_with_quotation_marks_and_without_a_header_are_read():
    found = real("text/sms_spam.tsv")
    assert found.source.csv.delimiter == "\t"
    assert found.source.csv.quote == ""
    assert found.source.csv.names == ("column_1", "column_2")
    assert found.rows == 5574


@pytest.mark.parametrize(
    "file",
    [
        "tabular/adult-test.csv",
        "tabular/Telco-Customer-Churn.csv",
        "tabular/nyc_taxis_raw.csv",
        "drift/elec2.csv",
        "text/sms_spam.tsv",
    ],
)
def test_the_yaml_is_a_source_whose_contract_its_rows_keep(file):
    found = real(file)
    source = SourceConfig(**yaml.safe_load(to_yaml(found))["source"])
    assert source == found.source
    assert conform_table(first_rows(source, 10**6), source.columns, "error", file).num_rows == found.rows


def test_ambiguous_days_are_said_to_be(tmp_path):
    found = of_csv(
        tmp_path,
        "when,n\n" + "".join(f"0{1 + number % 9}/0{1 + number % 7}/2020,{number}\n" for number in range(40)),
    )
    assert found.source.columns["when"].format == "%m/%d/%Y"
    told = found.remarks["when"]
    assert told.startswith("day and month cannot be told apart: %d/%m/%Y fits as well ('0")


def test_numbers_with_separators_units_and_strays_are_numbers(tmp_path):
    rows = "".join(
        f"{number};1.{number:03d},5;{number} kg;00{number % 5};{'tbd' if number == 7 else number}\n"
        for number in range(100, 200)
    )
    rows = rows.replace("107\n", "tbd\n")
    found = of_csv(tmp_path, "id;price;weight;zip;left\n" + rows)
    columns = found.source.columns
    assert (columns["price"].thousands, columns["price"].decimal) == (".", ",")
    assert (columns["weight"].type, columns["weight"].suffix) == ("integer", "kg")
    assert columns["zip"].type == "text"
    assert "tbd" in columns["left"].missing
    assert "'tbd' is no integer, taken for a missing value" in found.remarks["left"]
    assert found.source.csv.delimiter == ";"
    assert found.source.key == "id"


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "cp1252"])
def test_other_encodings_and_byte_order_marks_are_read(encoding, tmp_path):
    found = of_csv(
        tmp_path,
        "name,n\n" + "".join(f"Käthe Müller aus Köln und Größe {number},{number}\n" for number in range(60)),
        encoding,
    )
    assert list(found.source.columns) == ["name", "n"]
    table = first_rows(found.source, 5)
    assert table["name"][0].as_py().startswith("Käthe Müller")


def test_files_and_tables_with_types_keep_them(tmp_path):
    frame = pd.DataFrame(
        {"id": range(200), "x": [number / 7 for number in range(200)], "on": [True, False] * 100}
    )
    frame["at"] = pd.Timestamp("2020-01-01")
    pq.write_table(pa.Table.from_pandas(frame), tmp_path / "rows.parquet")
    frame.drop(columns="at").to_json(tmp_path / "rows.jsonl", orient="records", lines=True)
    engine = sa.create_engine(f"sqlite:///{tmp_path}/rows.db")
    frame.to_sql("rows", engine, index=False)
    engine.dispose()
    parquet = infer(sniff_source(str(tmp_path / "rows.parquet"))).source
    assert {name: spec.type for name, spec in parquet.columns.items()} == {
        "id": "integer",
        "x": "number",
        "on": "boolean",
        "at": "timestamp",
    }
    assert infer(sniff_source(str(tmp_path / "rows.jsonl"))).source.columns["x"].type == "number"
    assert infer(sniff_source(f"sqlite:///{tmp_path}/rows.db", "rows")).source.columns["x"].type == "number"


def test_an_unknown_kind_of_file_is_named_with_the_known_ones(tmp_path):
    (tmp_path / "rows.xyz").write_text("a")
    with pytest.raises(ValueError, match=r"rows.xyz: cannot tell what .xyz is; known are .parquet"):
        sniff_source(str(tmp_path / "rows.xyz"))
    with pytest.raises(ValueError, match=r"gone.csv: there is no such file or folder"):
        sniff_source("gone.csv")


def test_a_folder_of_files_is_inferred_from_its_first(tmp_path):
    for name in ("b", "a"):
        (tmp_path / f"{name}.csv").write_text(
            "id,n\n" + "".join(f"{name}{number},{number}\n" for number in range(9))
        )
    for place in (str(tmp_path), f"{tmp_path}/*.csv"):
        found = infer_files(place)
        assert (found.source.path, found.source.key) == (f"{tmp_path}/*.csv", "id")
        assert found.remarks[""].startswith("inferred from a.csv, the first of 2 files")


def test_a_password_does_not_get_into_the_yaml():
    found = Inferred(
        SourceConfig(reader="sql", path="postgresql://ann:s3cret@db:5432/shop", sql=SqlConfig(table="t")),
        1,
        {},
    )
    assert "path: postgresql://ann:$PASSWORD@db:5432/shop" in to_yaml(found)
