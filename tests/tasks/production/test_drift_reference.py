"""What production is compared with: a sample of all training rows, and answers to rows that were held out."""

import numpy as np
import onnx
import pandas as pd
import pytest

from configs.intake import ImageIntakeConfig, TabularIntakeConfig
from configs.result import ClassificationResultConfig, RegressionResultConfig
from tasks.intake import build_intake
from tasks.production import drift_reference
from tasks.records import DatasetVersion
from tasks.result import build_result
from tasks.rows.parts import record_of, write

HEIGHTS = build_intake(TabularIntakeConfig(kind="tabular", numeric=("height",)))
LETTERS = build_result(ClassificationResultConfig(kind="classification", classes=tuple("abc")))


def version(frames, folder):
    folder.mkdir()
    write(frames, folder)
    rows = sum(map(len, frames))
    return DatasetVersion(
        **record_of(folder).model_dump(),
        project="pets",
        version=1,
        tag="pets/v1",
        commit="0",
        rows=rows,
        splits={},
    )


def sorted_by_class(rows=6000, split="train"):
    labels = np.repeat(list("abc"), [rows // 2, rows // 3, rows - rows // 2 - rows // 3])
    return pd.DataFrame(
        {"height": np.arange(rows, dtype=float), "label": labels, "origin": "a.csv", "split": split}
    )


def test_rows_that_come_a_class_after_another_are_sampled_of_every_class(tmp_path):
    frame = sorted_by_class()
    kept, given, _ = drift_reference.frames(
        version([frame[:2500], frame[2500:]], tmp_path / "rows"), HEIGHTS, LETTERS, None
    )
    assert len(kept) == drift_reference.MOST
    for rows in (60, 500, 2000):
        shares = given["model answer"].head(rows).value_counts(normalize=True)
        assert shares.to_dict() == pytest.approx({"a": 1 / 2, "b": 1 / 3, "c": 1 / 6}, abs=0.03)
    assert kept["height"].head(500).mean() == pytest.approx(3000, rel=0.1)


def test_the_reference_is_the_same_every_time_and_rows_keep_their_labels(tmp_path):
    frame = sorted_by_class(900)
    dataset = version([frame[:400], frame[400:]], tmp_path / "rows")
    first, again = (drift_reference.frames(dataset, HEIGHTS, LETTERS, None) for _ in range(2))
    assert all(one.equals(other) for one, other in zip(first[:2], again[:2], strict=True))
    assert (
        frame.set_index("height")["label"][first[0]["height"]].to_numpy() == first[1]["model answer"]
    ).all()


def test_of_late_labels_the_newest_are_kept(tmp_path):
    late = sorted_by_class(3000).assign(origin="feedback")
    kept, *_ = drift_reference.frames(
        version([sorted_by_class(300), late], tmp_path / "rows"), HEIGHTS, LETTERS, None
    )
    newest = kept[kept[drift_reference.ORIGIN] == drift_reference.FEEDBACK]["height"]
    assert newest.tolist() == list(range(1000, 3000))


def test_numbers_are_sampled_without_classes(tmp_path):
    number = build_result(RegressionResultConfig(kind="regression"))
    frame = sorted_by_class().assign(label=np.arange(6000.0))
    kept, given, _ = drift_reference.frames(version([frame], tmp_path / "rows"), HEIGHTS, number, None)
    assert np.array_equal(kept["height"], given["model answer"])
    assert given["model answer"].head(500).mean() == pytest.approx(3000, rel=0.1)


def test_answers_are_the_graphs_to_rows_that_it_did_not_learn_from(spots, tmp_path):
    places = np.arange(300) % 3
    images = np.full((300, 4), 10, np.uint8)
    images[np.arange(300), places] = 200
    split = np.where(places == 0, "train", np.where(places == 1, "validation", "test"))
    frame = pd.DataFrame({"image": list(images), "label": "left", "origin": "a", "split": split})
    dataset = version([frame], tmp_path / "rows")
    intake = build_intake(ImageIntakeConfig(kind="image", height=2, width=2))
    result = build_result(
        ClassificationResultConfig(kind="classification", classes=("left", "middle", "right"))
    )
    onnx.save(spots, tmp_path / "model.onnx")
    (tmp_path / "bundle").mkdir()
    drift_reference.write(tmp_path / "bundle", dataset, intake, result, tmp_path / "model.onnx")
    inputs, given, seen = drift_reference.read(tmp_path / "bundle")
    assert len(inputs) == 100
    assert len(seen) == 200
    assert seen.filter(like=drift_reference.EMBEDDING).shape[1] == 4  # the last layer takes the pixels
    assert given["model answer"].value_counts().to_dict() == {"middle": 100, "right": 100}
    assert given["model confidence"].between(0.5, 1).all()
    assert (given["gyre.error"] == 1).all()  # the truth is always left
