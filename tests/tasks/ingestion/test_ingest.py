"""Rows by way of a real Dask cluster.

The same bytes with any number of workers, late labels last, faults named.
"""

from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from configs.cluster import ClusterConfig
from configs.intake import ImageIntakeConfig, TabularIntakeConfig, TextIntakeConfig
from configs.result import ClassificationResultConfig, RegressionResultConfig
from configs.source import SourceConfig
from infra.cluster import open_cluster
from tasks.ingestion.plot import write_picture
from tasks.ingestion.raw_rows import ingest, take_snapshot
from tasks.production.prediction_log import PredictionLog
from tasks.rows.parts import part_paths, read

NOON = datetime(2026, 1, 1, 12)
DIGITS = SourceConfig(
    reader="tasks.ingestion.readers.digits:scans", options={"rows": [0, 600], "annotators": 2}
)
IMAGE = ImageIntakeConfig(kind="image", height=8, width=8)
DIGIT = ClassificationResultConfig(kind="classification", classes=tuple("0123456789"))
SIZES = TabularIntakeConfig(kind="tabular", numeric=("height", "weight"))
KINDS = ClassificationResultConfig(kind="classification", classes=("cat", "dog"), label="kind")
HEAD = "code,height,weight,kind,note\n"


@pytest.fixture(scope="module")
def client():
    with open_cluster(ClusterConfig(workers=2)) as client:
        yield client


@pytest.fixture
def log(tmp_path):
    return PredictionLog(tmp_path / "predictions")


@pytest.fixture
def pets(tmp_path):
    """Writes CSV files and gives their source; the key of both is `code`."""

    def write(*files):
        (tmp_path / "data").mkdir(exist_ok=True)
        for number, text in enumerate(files):
            (tmp_path / "data" / f"{number}.csv").write_text(text)
        return SourceConfig(reader="csv", path=str(tmp_path / "data" / "*.csv"), key="code")

    return write


@pytest.fixture
def run(client, log, tmp_path):
    def ingested(source, intake=SIZES, result=KINDS, client=client, name="rows"):
        found = take_snapshot("pets", source, intake, result, log, tmp_path / "outcomes", tmp_path / "slices")
        return ingest(
            found, source, intake, result, client, tmp_path / "outcomes" / name, tmp_path / "slices"
        )

    return ingested


def serve(log, labels, **inputs):
    """Puts served rows, a list an input, with their late labels into the log, one a minute."""
    ids = [f"r{number}" for number in range(len(labels))]
    times = [NOON + timedelta(minutes=number) for number in range(len(labels))]
    rows = {f"input.{name}": values for name, values in inputs.items()}
    log.append_predictions(
        pa.table({"request_id": ids, "time": times, "version": [1] * len(ids), "answer": labels} | rows),
        "d",
        "0",
    )
    log.append_labels(pa.table({"request_id": ids, "time": times[::-1], "label": labels}), "d", "0")


def test_one_and_two_workers_write_the_same_bytes(run, log):
    serve(log, ["3", "4"], image=[[7] * 64, [9] * 64])
    two = run(DIGITS, IMAGE, DIGIT)
    with open_cluster(ClusterConfig(workers=1)) as one:
        assert run(DIGITS, IMAGE, DIGIT, one, "again").rows.digest == two.rows.digest
    assert (two.rows.rows, two.rows.feedback_rows, two.partitions) == (602, 2, 3)


def test_images_get_descriptors_and_their_origin(run):
    found = run(DIGITS, IMAGE, DIGIT)
    frame = read(found.rows)
    assert list(frame.columns[:4]) == ["id", "image", "brightness", "contrast"]
    assert list(frame.columns[-6:]) == [
        "label",
        "annotator_1",
        "annotator_2",
        "origin",
        "origin_line",
        "origin_content",
    ]
    assert frame["brightness"].iloc[0] == pytest.approx(frame["image"].iloc[0].mean())
    assert frame["image"].iloc[0].dtype == np.uint8
    assert set(frame["origin"]) == {"tasks.ingestion.readers.digits:scans"}


def test_a_csv_becomes_numbers_where_the_intake_wants_them(run, pets):
    frame = read(run(pets(f"{HEAD}007,1.5,tall,cat,3\n", f"{HEAD}008,2,,dog,\n")).rows)
    assert frame["id"].to_list() == ["007", "008"]
    assert np.array_equal(
        frame[["height", "weight"]].to_numpy(), [[1.5, np.nan], [2, np.nan]], equal_nan=True
    )
    assert frame["note"].to_list()[0] == "3"
    assert list(frame.columns) == [
        "id",
        "height",
        "weight",
        "kind",
        "note",
        "origin",
        "origin_line",
        "origin_content",
    ]


def test_the_last_of_a_repeated_key_stays(run, pets):
    found = run(pets(f"{HEAD}a,1,1,cat,\nb,2,2,cat,\na,3,3,cat,\n", f"{HEAD}b,4,4,dog,\n"))
    assert found.duplicates == 2
    assert read(found.rows)[["id", "height"]].to_dict("list") == {"id": ["a", "b"], "height": [3, 4]}


def test_late_labels_come_last_the_newest_at_the_end(run, log, pets):
    serve(log, ["cat", "dog"], height=[5.0, 7.0], weight=[6.0, float("nan")])
    found = run(pets(f"{HEAD}a,1,1,cat,x\n"))
    frame = read(found.rows)
    assert frame["id"].to_list() == ["a", "r1", "r0"]
    assert frame["origin"].to_list() == ["0.csv", "feedback", "feedback"]
    assert frame["kind"].to_list() == ["cat", "dog", "cat"]
    assert frame["height"].to_list() == [1, 7, 5]
    assert frame["note"].isna().to_list() == [False, True, True]


def test_late_labels_take_the_type_that_the_source_has(run, log, tmp_path):
    pd.DataFrame({"id": [1, 2], "height": [1, 2], "weight": [3, 4], "kind": [0, 1]}).to_parquet(
        tmp_path / "a.parquet"
    )
    serve(log, ["1"], height=[5.0], weight=[6.0])
    kinds = ClassificationResultConfig(kind="classification", classes=("0", "1"), label="kind")
    frame = read(run(SourceConfig(reader="parquet", path=str(tmp_path / "a.parquet")), SIZES, kinds).rows)
    assert frame["kind"].to_list() == [0, 1, 1]


def test_late_truths_of_numbers_may_have_a_fraction(run, log, tmp_path):
    pd.DataFrame({"id": [1], "height": [1], "weight": [3], "price": [10]}).to_parquet(tmp_path / "a.parquet")
    serve(log, ["12.5", "dear", "7"], height=[5.0, 6.0, 7.0], weight=[6.0, 6.0, 6.0])
    price = RegressionResultConfig(kind="regression", label="price")
    frame = read(run(SourceConfig(reader="parquet", path=str(tmp_path / "a.parquet")), SIZES, price).rows)
    assert frame["price"].to_list() == [10, 7, 12.5]


def test_texts_categories_and_dates_come_in_and_back_from_production(run, log, pets):
    serve(log, ["dog"], age=[7.0], breed=["pug"], born=[1704067200.0])
    columns = TabularIntakeConfig(kind="tabular", numeric=("age",), categorical=("breed",), dates=("born",))
    text = "code,age,breed,born,kind\na,1,collie,1/31/2023,dog\nb,x,,soon,cat\n"
    frame = read(run(pets(text), columns).rows).set_index("id")
    assert frame["age"].to_list()[::2] == [1, 7]
    assert frame["breed"].astype(object).where(frame["breed"].notna(), None).to_list() == [
        "collie",
        None,
        "pug",
    ]
    assert frame["born"].dropna().astype(str).to_list() == ["2023-01-31", "2024-01-01"]


def test_messages_come_in_and_back_from_production(run, log, pets):
    serve(log, ["cat"], note=["mrrr 😀\n"])
    frame = read(
        run(
            pets(f'{HEAD}a,1,1,dog,"wuff, wuff"\nb,1,1,dog,\n'), TextIntakeConfig(kind="text", column="note")
        ).rows
    )
    assert frame["note"].astype(object).where(frame["note"].notna(), None).to_list() == [
        "wuff, wuff",
        None,
        "mrrr 😀\n",
    ]
    assert frame["words"].to_list() == [2, 0, 2]


def test_late_labels_that_cannot_be_used_are_left_out_counted_and_told(log, pets, tmp_path):
    serve(log, ["cat", "cat", "wolf"], height=["5.0", "tall", "7.0"], weight=[6.0, 6.0, 8.0])
    found = take_snapshot(
        "pets", pets(f"{HEAD}a,1,1,cat,\n"), SIZES, KINDS, log, tmp_path / "outcomes", tmp_path / "slices"
    )
    assert found.feedback_rows == 1
    assert [(each.check, each.text.partition(" (")[0], each.examples) for each in found.findings] == [
        (
            "unusable_late_labels",
            "1 of 3 late labels of rows with other inputs than the intake's were left out",
            ("r1",),
        ),
        ("unusable_late_labels", "1 of 2 late labels that the result does not allow were left out", ("r2",)),
    ]


def test_late_labels_join_a_source_that_has_annotators_alone(run, log, pets):
    serve(log, ["dog"], height=[5.0], weight=[6.0])
    found = run(pets("code,height,weight,ann\na,1,1,cat\n"))
    assert read(found.rows, columns=["id", "ann", "kind"]).astype(object).where(
        lambda frame: frame.notna(), None
    ).to_dict("list") == {
        "id": ["a", "r0"],
        "ann": ["cat", None],
        "kind": [None, "dog"],
    }


def test_a_snapshot_of_an_unchanged_world_is_equal_and_feedback_is_frozen(run, log, pets, tmp_path):
    source = pets(f"{HEAD}a,1,1,cat,\n")
    serve(log, ["cat"], height=[5.0], weight=[6.0])
    before = take_snapshot("pets", source, SIZES, KINDS, log, tmp_path / "outcomes", tmp_path / "slices")
    assert before == take_snapshot(
        "pets", source, SIZES, KINDS, log, tmp_path / "outcomes", tmp_path / "slices"
    )
    log.append_labels(
        pa.table({"request_id": ["r0"], "time": [NOON + timedelta(days=1)], "label": ["dog"]}), "d", "1"
    )
    after = take_snapshot("pets", source, SIZES, KINDS, log, tmp_path / "outcomes", tmp_path / "slices")
    assert after.feedback != before.feedback
    assert Path(before.feedback.uri).is_file()


def test_without_late_labels_there_is_no_feedback(log, pets, tmp_path):
    found = take_snapshot(
        "pets", pets(f"{HEAD}a,1,1,cat,\n"), SIZES, KINDS, log, tmp_path / "outcomes", tmp_path / "slices"
    )
    assert (found.feedback, found.feedback_rows) == (None, 0)


@pytest.mark.parametrize(
    ("text", "error"),
    [
        (
            "id,height,weight,kind\na,1,1,cat\n",
            r"no column 'code' \(source.key\); it has id, height, weight, kind; set source.key",
        ),
        (
            "code,height,kind\na,1,cat\n",
            r"no column 'weight' \(intake\); it has code, height, kind; name the source's columns",
        ),
        (
            "code,height,weight\na,1,1\n",
            r"no column 'kind' \(result.label\) and none for annotators; .* set result.label",
        ),
        (
            "code,height,weight,kind,split\na,1,1,cat,x\n",
            "column 'split' is written by Gyre; rename it in the source",
        ),
        ("code,height,weight,kind\na,1,1,cat\n,2,2,cat\n", r"1 rows have no 'code' \(the first in line 3\)"),
        ("code,height,weight,kind\n", "holds no rows"),
    ],
)
def test_a_source_that_cannot_be_used_is_named_and_leaves_nothing(run, pets, tmp_path, text, error):
    with pytest.raises(ValueError, match=rf"source .*/data/\*\.csv(, 0\.csv)?: {error}"):
        run(pets(text))
    assert not (tmp_path / "outcomes").exists()
    assert not list((tmp_path / "slices").glob("*")) or "holds no rows" in error


def test_partitions_with_other_columns_are_named(run, pets):
    with pytest.raises(ValueError, match=r"0\.csv and 1\.csv differ in columns: note"):
        run(pets(f"{HEAD}a,1,1,cat,\n", "code,height,weight,kind\nb,1,1,cat\n"))


def test_an_empty_file_among_others_does_no_harm(run, pets):
    found = run(pets(HEAD, f"{HEAD}a,1,1,cat,\n"))
    assert [path.name for path in part_paths(Path(found.rows.uri))] == ["part-00000.parquet"]
    assert found.rows.rows == 1


def test_an_image_of_another_size_is_named(run, tmp_path, monkeypatch):
    (tmp_path / "small_scans.py").write_text(
        "import pandas\n"
        "def rows(pixels):\n"
        "    return [pandas.DataFrame({'id': ['a', 'b'], 'image': [[0] * 64, pixels], 'label': ['0', '1']})]\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    for pixels, error in (
        ([0] * 63, "array of size 63"),
        ([0] * 128, "has 128 values"),
        ([300] * 64, "pixels from 300 to 300"),
    ):
        source = SourceConfig(reader="small_scans:rows", options={"pixels": pixels})
        with pytest.raises(
            ValueError,
            match=rf"source small_scans:rows: row 'b': image: .*{error}.*want 64 values, 8 x 8 x 1 uint8",
        ):
            run(source, IMAGE, DIGIT)


def test_a_source_that_changed_since_the_snapshot_is_refused(client, log, pets, tmp_path):
    source = pets(f"{HEAD}a,1,1,cat,\n")
    found = take_snapshot("pets", source, SIZES, KINDS, log, tmp_path / "outcomes", tmp_path / "slices")
    pets(f"{HEAD}a,2,2,cat,\n")
    with pytest.raises(ValueError, match="changed while it was read; run the cycle again"):
        ingest(found, source, SIZES, KINDS, client, tmp_path / "outcomes" / "rows", tmp_path / "slices")


def test_a_picture_shows_rows_of_any_kind(run, pets, tmp_path):
    write_picture(run(pets(f"{HEAD}a,1,1,cat,\nb,2,tall,dog,\n")).rows, SIZES, "kind", tmp_path / "sizes.png")
    write_picture(run(DIGITS, IMAGE, DIGIT, name="digits").rows, IMAGE, "label", tmp_path / "digits.png")
    for name in ("sizes.png", "digits.png"):
        assert (tmp_path / name).read_bytes().startswith(b"\x89PNG")
