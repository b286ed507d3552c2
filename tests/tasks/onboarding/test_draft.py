"""A project drafted from data alone loads, and passes a look ahead."""

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from configs.load import load
from tasks.onboarding.draft import draft, project_name
from tasks.onboarding.preflight import look_ahead

DATA = Path(os.environ.get("GYRE_DATA", Path(__file__).parents[4] / "shared" / "data"))
ROWS = 300


@pytest.fixture
def drafted(tmp_path):
    """The project of a frame, or of files that lie in a folder already."""

    def write(frame=None, place=None, **options):
        if frame is not None:
            place = tmp_path / "data.csv"
            frame.to_csv(place, index=False)
        made = draft(str(place), options.get("label"), options.get("name"))
        (tmp_path / f"{made.name}.yaml").write_text(made.yaml)
        config = load(tmp_path / f"{made.name}.yaml")
        assert all(judged.action != "refuse" for judged in look_ahead(config))
        return config, made.yaml

    return write


@pytest.fixture
def people():
    draw = np.random.default_rng(1)
    return pd.DataFrame(
        {
            "person_id": np.arange(ROWS) + 1000,
            "age": draw.integers(18, 80, ROWS),
            "income": draw.normal(30_000, 9_000, ROWS).round(2),
            "city": draw.choice(["Oslo", "Bergen", "Narvik"], ROWS),
            "joined": [
                f"{day:02d}/{month:02d}/2025"
                for day, month in zip(draw.integers(1, 29, ROWS), draw.integers(1, 13, ROWS), strict=True)
            ],
            "country": "Norway",
            "left": draw.choice(["yes", "no"], ROWS),
        }
    )


def test_a_table_gets_inputs_of_every_kind_a_label_and_no_identifier(drafted, people):
    config, text = drafted(people)
    assert config.source.key == "person_id"
    assert (config.intake.numeric, config.intake.categorical, config.intake.dates) == (
        ("age", "income"),
        ("city",),
        ("joined",),
    )
    assert (config.result.kind, config.result.label, config.result.classes) == (
        "classification",
        "left",
        ("no", "yes"),
    )
    assert "# 'country' is no input: all its values are 'Norway'" in text
    assert "'left' was taken for the label" in text


def test_a_column_that_tells_the_label_is_left_out_and_said_so(drafted, people):
    config, text = drafted(
        people.assign(leaving_code=people["left"].map({"yes": "L1", "no": "S0"}), left=people["left"])[
            [*people.columns[:-1], "leaving_code", "left"]
        ]
    )
    assert "leaving_code" not in config.intake.categorical
    assert "# 'leaving_code' is no input: it tells the label by itself" in text


def test_an_amount_is_a_regression_and_its_logarithm_where_a_few_are_far_larger(drafted, people):
    draw = np.random.default_rng(2)
    config, _ = drafted(people.drop(columns="left").assign(price=np.exp(draw.normal(3, 2, ROWS)).round(2)))
    assert (config.result.kind, config.result.label, config.result.log) == ("regression", "price", True)
    config, _ = drafted(people, label="income")
    assert (config.result.kind, config.result.log) == ("regression", False)
    assert "income" not in config.intake.numeric


def test_numbers_as_classes_are_classes(drafted, people):
    config, _ = drafted(people.assign(grade=np.arange(ROWS) % 5).drop(columns="left"))
    assert (config.result.label, config.result.classes) == ("grade", ("0", "1", "2", "3", "4"))


def test_prose_is_a_text_project(drafted):
    words = np.random.default_rng(3).choice(
        ["good", "bad", "film", "story", "long", "actor", "night"], (ROWS, 9)
    )
    config, _ = drafted(
        pd.DataFrame(
            {"review": [" ".join(line) for line in words], "sentiment": np.where(words[:, 0] < "f", "a", "b")}
        )
    )
    assert (config.intake.kind, config.intake.column, config.result.label) == ("text", "review", "sentiment")


def test_images_in_folders_of_their_classes_are_an_image_project(drafted, tmp_path):
    for number in range(24):
        folder = tmp_path / "photos" / ("cat" if number % 2 else "dog")
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((12, 10, 3), (number, 90, 20), np.uint8)).save(folder / f"{number}.png")
    config, _ = drafted(place=tmp_path / "photos")
    assert (config.intake.height, config.intake.width, config.intake.channels) == (12, 10, 3)
    assert config.result.classes == ("cat", "dog")


@pytest.mark.parametrize("pack", [False, True])
def test_images_get_rules_that_their_blank_ones_break(drafted, tmp_path, pack):
    draw = np.random.default_rng(4)
    for number in range(60):
        folder = tmp_path / "scans" / ("a" if number % 2 else "b")
        folder.mkdir(parents=True, exist_ok=True)
        pixels = draw.integers(0, 1 if number == 31 else 200, (16, 16), np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.png")
    place = tmp_path / "scans"
    if pack:
        place = Path(shutil.make_archive(str(tmp_path / "scans"), "zip", tmp_path / "scans"))
    config, text = drafted(place=place)
    assert {rule.kwargs["column"] for rule in config.validation.expectations} >= {"contrast", "sharpness"}
    assert "1 of these break it, such as a/31.png (0)" in text


def test_what_cannot_be_told_is_asked_for(people, tmp_path):
    people[["person_id", "joined"]].to_csv(tmp_path / "data.csv", index=False)
    with pytest.raises(ValueError, match="a project needs an input and a label; give --label"):
        draft(str(tmp_path / "data.csv"), None, None)
    people.to_csv(tmp_path / "data.csv", index=False)
    with pytest.raises(ValueError, match="--label shoe: no such column; there are person_id, age"):
        draft(str(tmp_path / "data.csv"), "shoe", None)
    with pytest.raises(
        ValueError, match="column 'country' has 1 different values, so there is nothing to learn"
    ):
        draft(str(tmp_path / "data.csv"), "country", None)


@pytest.mark.parametrize(
    ("place", "name"),
    [("/x/Bank data (1).csv", "bank_data_1"), ("s3://b/2024-sales.parquet?v=2", "project_2024_sales")],
)
def test_a_project_is_named_after_its_file(place, name):
    assert project_name(place) == name


@pytest.mark.skipif(not DATA.is_dir(), reason=f"no data sets in {DATA}; set GYRE_DATA")
@pytest.mark.parametrize(
    ("place", "label"),
    [
        ("tabular/Telco-Customer-Churn.csv", "Churn"),
        ("tabular/nyc_taxis_raw.csv", "total_amount"),
        ("drift/elec2.csv", "class"),
        ("text/banking77_train.csv", "category"),
    ],
)
def test_real_data_becomes_a_project(drafted, place, label):
    config, _ = drafted(place=DATA / place, label=label)
    assert config.result.label == label


def test_nested_json_with_prices_and_times_gets_inputs_of_every_kind(drafted, tmp_path):
    draw = np.random.default_rng(4)
    orders = [
        {
            "id": f"o{number}",
            "ts": 1_740_000_000_000 + number * 61_000,
            "customer": {"country": ["DE", "FR", "US"][number % 3], "age": int(draw.integers(18, 80))},
            "items": [{"sku": "a"}],
            "amount": f"${draw.uniform(5, 5000):,.2f}",
            "returned": bool(draw.random() < 0.4),
        }
        for number in range(ROWS)
    ]
    (tmp_path / "orders.jsonl").write_text("\n".join(map(json.dumps, orders)))
    config, text = drafted(place=tmp_path / "orders.jsonl")
    assert config.intake.numeric == ("customer.age", "amount")
    assert (config.intake.categorical, config.intake.dates) == (("customer.country",), ("ts",))
    assert "'ts' is taken for a time" in text
    assert config.source.columns["amount"].prefix == "$"
    assert config.result.classes == ("False", "True")
    assert "'items' is no input: it holds a list in each row" in text
    assert all("items" not in str(rule.kwargs) for rule in config.validation.expectations)


def test_a_class_that_is_written_in_several_ways_is_one(drafted, people):
    config, text = drafted(people.assign(left=np.resize(["yes", "Yes", "no", "YES", "yes"], ROWS)))
    assert config.result.classes == ("no", "yes")
    assert config.source.columns["left"].replace == {"Yes": "yes", "YES": "yes"}
    assert "120 rows have a class that is written like another, and is taken for it (replace)" in text


def test_the_label_is_a_column_that_can_be_learned(drafted, people):
    frame = people[["age", "city"]].assign(
        mood=np.resize(["good", "bad", "fair"], ROWS), said="all is well and fine today", lang="en"
    )
    config, _ = drafted(frame)
    assert config.result.label == "mood"


def test_a_time_that_names_a_row_is_an_input_too(drafted, people):
    hours = pd.date_range("2025-01-01", periods=ROWS, freq="h").strftime("%Y-%m-%dT%H:%M:%SZ")
    frame = people[["age", "left"]].assign(at=hours)
    config, _ = drafted(frame[["at", "age", "left"]])
    assert (config.source.key, config.intake.dates) == ("at", ("at",))


def test_several_labels_in_one_are_named(drafted, people):
    _, text = drafted(people.assign(left=np.resize(["a", "a;b", "b"], ROWS)))
    assert "1 of these look like several labels in one, such as 'a;b'" in text


def test_an_array_of_json_is_refused_with_the_way_out(tmp_path):
    (tmp_path / "rows.json").write_text("[]")
    with pytest.raises(
        ValueError, match=r"cannot tell what .json is; .*; write an object a line into a .jsonl"
    ):
        draft(str(tmp_path / "rows.json"), None, None)
