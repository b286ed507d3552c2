"""A row's side belongs to the source's row: whatever a project's intake takes or makes of it, it stays."""

import io
from datetime import datetime

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from configs.intake import ImageIntakeConfig, TabularIntakeConfig, TextIntakeConfig
from configs.result import ClassificationResultConfig
from configs.source import SourceConfig
from configs.versioning import SplitConfig
from tasks.ingestion.raw_rows import take_snapshot
from tasks.production.prediction_log import PredictionLog
from tasks.versioning.split import Splitter

KINDS = ClassificationResultConfig(kind="classification", classes=("cat", "dog"), label="kind")
AGES = TabularIntakeConfig(kind="tabular", numeric=("age",))


@pytest.fixture
def sides(run, tmp_path):
    """Split of each row by id, after ingestion.

    As a cycle does, the next takes its content columns from the one before.
    """

    def of(source, intake, content=()):
        found = take_snapshot(
            "pets",
            source,
            intake,
            KINDS,
            PredictionLog(tmp_path / "log"),
            tmp_path / "outcomes",
            tmp_path / "slices",
            content,
        )
        name = f"rows-{len(list((tmp_path / 'outcomes').glob('rows-*')))}"
        made, frame, _ = run(source, intake, found=found, name=name)
        split = Splitter(SplitConfig())(pa.table({"origin_content": frame["origin_content"]}))[
            "split"
        ].to_pylist()
        return made, dict(zip(frame["id"], split, strict=True))

    return of


@pytest.fixture
def people(tmp_path):
    """A CSV of 200 people, with whatever columns are given beside age, city and kind."""

    def write(name="people.csv", **more):
        draw = np.random.default_rng(0)
        columns = {
            "id": [f"p{n}" for n in range(200)],
            "age": [str(age) for age in draw.permutation(2000)[:200] / 10],
            "city": draw.choice(["Oslo", "Rome"], 200).tolist(),
            "kind": draw.choice(["cat", "dog"], 200).tolist(),
        } | more
        lines = [",".join(columns), *(",".join(map(str, row)) for row in zip(*columns.values(), strict=True))]
        (tmp_path / name).write_text("\n".join(lines) + "\n")
        return SourceConfig(reader="csv", path=str(tmp_path / name))

    return write


def test_images_of_another_size_stay_in_their_split_and_copies_on_one_side(sides, tmp_path):
    draw = np.random.default_rng(0)
    for number in range(120):
        stream = io.BytesIO()
        Image.fromarray(draw.integers(0, 255, (8, 8), np.uint8)).save(stream, "PNG")
        for name in (f"{number}.png", f"copy-{number}.png"):
            path = tmp_path / "images" / ("cat" if number % 2 else "dog") / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(stream.getvalue())
    source = SourceConfig(reader="images", path=str(tmp_path / "images"))
    _, large = sides(source, ImageIntakeConfig(kind="image", height=8, width=8))
    _, small = sides(source, ImageIntakeConfig(kind="image", height=6, width=6, channels=3))
    assert large == small
    assert set(large.values()) == {"train", "validation", "test"}
    assert all(
        side == large[name.replace("/", "/copy-")] for name, side in large.items() if "copy" not in name
    )


def test_an_input_more_another_kind_and_an_input_less_move_no_row(sides, people):
    source = people()
    made, first = sides(source, TabularIntakeConfig(kind="tabular", numeric=("age",), categorical=("city",)))
    assert made.rows.content == ("age", "city")
    for intake in (
        TabularIntakeConfig(kind="tabular", numeric=("age",)),
        TabularIntakeConfig(kind="tabular", categorical=("age", "city")),
    ):
        again, then = sides(source, intake, made.rows.content)
        assert (then, again.rows.content) == (first, made.rows.content)


def test_a_new_column_of_the_source_moves_no_row(sides, people):
    made, first = sides(people(), AGES)
    wider = people("wider.csv", weight=range(200))
    _, then = sides(wider, TabularIntakeConfig(kind="tabular", numeric=("age", "weight")), made.rows.content)
    assert then == first


def test_rows_that_are_equal_but_for_their_key_are_on_one_side(sides, people):
    _, found = sides(people(age=[number // 4 for number in range(200)]), AGES)
    assert all(found[f"p{number}"] == found[f"p{number // 4 * 4}"] for number in range(200))
    assert set(found.values()) == {"train", "validation", "test"}


def test_a_corrected_label_moves_no_row(sides, people):
    _, first = sides(people(), AGES)
    _, then = sides(people(kind=["dog"] * 200), AGES)
    assert then == first


def test_a_lost_column_splits_anew_and_says_so(sides, people):
    _, _ = sides(people(), AGES)
    made, _ = sides(people(), AGES, ("age", "shoe_size"))
    assert made.rows.content == ("age",)
    (found,) = made.rows.findings
    assert (found.check, found.about, found.count) == ("changed_splits", "shoe_size", 200)
    assert found.advice == "bring the column back; or name columns that stay in versioning.split.columns"


def test_a_late_label_goes_where_the_sources_copy_is_and_stays_when_it_is_corrected(sides, tmp_path):
    texts = [f"message {number} of many" for number in range(100)]
    (tmp_path / "texts.csv").write_text(
        "id,text,kind\n" + "".join(f"t{n},{text},cat\n" for n, text in enumerate(texts))
    )
    log, served = PredictionLog(tmp_path / "log"), [f"r{number}" for number in range(100)]
    noon = [datetime(2026, 1, 1, 12)] * 100
    shouted = {"input.text": [text.upper() for text in texts]}
    log.append_predictions(
        pa.table(
            {"request_id": served, "time": noon, "version": [1] * 100, "answer": ["cat"] * 100} | shouted
        ),
        "d",
        "0",
    )
    source = SourceConfig(reader="csv", path=str(tmp_path / "texts.csv"))
    for number, label in enumerate(("cat", "dog")):
        times = [datetime(2026, 1, 2 + number)] * 100
        log.append_labels(
            pa.table({"request_id": served, "time": times, "label": [label] * 100}), "d", str(number)
        )
        _, found = sides(source, TextIntakeConfig(kind="text"))
        assert [found[f"r{n}"] for n in range(100)] == [found[f"t{n}"] for n in range(100)]
