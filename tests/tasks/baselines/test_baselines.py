"""Baselines learn from the same rows as the network, and their graphs answer as they do."""

import numpy as np
import pandas as pd
import pytest
import torch

from configs.baselines import BaselinesConfig
from configs.intake import TabularIntakeConfig, TextIntakeConfig
from configs.result import ClassificationResultConfig, RegressionResultConfig
from configs.versioning import SplitConfig
from infra.files import digest
from tasks.baselines.fit import fit_network
from tasks.baselines.measurement import measure_baselines
from tasks.baselines.trees import fit_trees, trees_graph
from tasks.intake import build_intake
from tasks.model.onnx_session import answers, session
from tasks.records import DatasetVersion
from tasks.result import build_result
from tasks.rows.parts import write

TABLE = TabularIntakeConfig(
    kind="tabular", numeric=("size", "weight"), categorical=("colour",), dates=("day",)
)
COLOURS = ("red", "green", "blue")
KINDS = ClassificationResultConfig(kind="classification", classes=("a", "b", "c"))


@pytest.fixture
def draw():
    return np.random.default_rng(3)


def table(draw, rows=1500):
    size, colour = draw.normal(size=rows), draw.choice(COLOURS, rows)
    kind = np.where(colour == "red", "a", np.where(np.abs(size) > 0.7, "b", "c"))
    day = pd.Timestamp("2026-01-01") + pd.to_timedelta(draw.integers(0, 300, rows), unit="D")
    weight = np.where(draw.random(rows) < 0.2, np.nan, size * 3 + draw.normal(size=rows))
    return pd.DataFrame(
        {
            "size": size.astype("float32"),
            "weight": weight.astype("float32"),
            "colour": colour,
            "day": day,
            "label": kind,
        }
    )


def version(frame, folder):
    frame = frame.assign(
        split=np.where(
            np.arange(len(frame)) % 5 < 3,
            "train",
            np.where(np.arange(len(frame)) % 5 < 4, "validation", "test"),
        )
    )
    folder.mkdir()
    write([frame], folder)
    facts = {"project": "p", "version": 1, "tag": "p/v1", "commit": "c", "rows": len(frame), "splits": {}}
    return DatasetVersion(uri=str(folder), digest=digest(folder), **facts)


def measured(frame, folder, intake=TABLE, result=KINDS, split=None, serve=False, **section):
    dataset = version(frame, folder / "rows")
    chosen = BaselinesConfig(**section), split or SplitConfig()
    found = measure_baselines(
        dataset, build_intake(intake), build_result(result), *chosen, serve, folder / "out"
    )
    return {each.name: each for each in found.entries}, found


def test_trees_find_what_a_linear_model_cannot_and_both_beat_the_constant(draw, tmp_path):
    by_name, _ = measured(table(draw), tmp_path)
    assert by_name["trees"].score > 0.95
    assert by_name["trees"].low > by_name["constant"].high
    assert by_name["linear"].low > by_name["constant"].high
    assert [each.name for each in by_name.values() if each.trivial] == ["constant"]


def test_the_constant_answer_is_the_most_frequent_class_and_the_mean(draw, tmp_path):
    frame = table(draw)
    by_name, _ = measured(frame, tmp_path, simple=())
    held = frame[np.arange(len(frame)) % 5 == 4]
    assert by_name["constant"].score == pytest.approx((held["label"] == frame["label"].mode()[0]).mean())
    amounts = frame.assign(label=frame["size"] * 2 + 50)
    (tmp_path / "numbers").mkdir()
    by_name, _ = measured(
        amounts, tmp_path / "numbers", result=RegressionResultConfig(kind="regression"), simple=()
    )
    assert by_name["constant"].score == pytest.approx(0, abs=0.02)


@pytest.mark.parametrize("classes", [("a", "b", "c"), ("red", "other"), ("a", "b", "c", "never"), None])
def test_the_graph_of_trees_answers_as_scikit_learn_does(draw, classes):
    frame = table(draw)
    if classes == ("red", "other"):
        frame["label"] = np.where(frame["colour"] == "red", "red", "other")
    section = (
        ClassificationResultConfig(kind="classification", classes=classes)
        if classes
        else RegressionResultConfig(kind="regression", log=True)
    )
    if classes is None:
        frame["label"] = np.exp(frame["size"]) * 10
    intake, result = build_intake(TABLE), build_result(section)
    rows, targets = intake.rows(frame), result.targets(frame["label"])
    encoder, post = intake.encoder(), result.postprocessing()
    encoder.fit(rows)
    post.fit(targets)
    encoded = encoder.encode(rows)
    trees = fit_trees(encoded, targets, result, post)
    model = trees_graph(trees, encoder, result, post.eval()).SerializeToString()
    given = answers(session(model), rows)
    if classes:
        wanted = np.zeros((len(rows), len(classes)))
        wanted[:, trees.classes_] = trees.predict_proba(encoded)
        np.testing.assert_allclose(given["probability"], wanted, atol=1e-5)
    else:
        outputs = torch.from_numpy(trees.predict(encoded).astype(np.float32))[:, None]
        np.testing.assert_allclose(given["prediction"], post(outputs)[0].numpy(), rtol=1e-4)


def test_the_graphs_that_may_serve_take_raw_rows_unseen_categories_and_gaps(draw, tmp_path):
    frame = table(draw)
    _, found = measured(frame, tmp_path, serve=True)
    odd = build_intake(TABLE).rows(
        frame.head(3).assign(colour=["violet", None, "red"], weight=np.nan, day=pd.NaT)
    )
    for graph in found.graphs:
        given = answers(session(graph.uri), odd)
        np.testing.assert_allclose(given["probability"].sum(1), 1, atol=1e-5)
    assert [graph.name for graph in found.graphs] == ["linear", "trees"]
    assert all(graph.parity <= 1e-4 for graph in found.graphs)


def test_the_parity_of_every_graph_is_measured(draw, tmp_path):
    _, found = measured(table(draw), tmp_path, serve=True)
    assert [graph.name for graph in found.graphs] == ["linear", "trees"]
    assert all(0 < graph.parity <= 1e-4 for graph in found.graphs)
    assert found.findings == ()


def test_a_graph_that_answers_otherwise_than_its_baseline_may_not_serve_and_is_a_finding(
    draw, tmp_path, monkeypatch
):
    monkeypatch.setattr("tasks.baselines.measurement.MAX_PARITY", 1e-12)  # less than float32 rounds
    by_name, found = measured(table(draw), tmp_path, serve=True, simple=("trees",))
    assert found.graphs == ()
    assert "trees" in by_name
    (finding,) = found.findings
    assert (finding.stage, finding.check, finding.about) == (
        "baselines",
        "unusable_baselines",
        "baseline trees",
    )
    assert "graph answers otherwise than the baseline, by up to " in finding.told


def test_a_baseline_without_finite_scores_is_a_finding_and_nothing_is_compared_with_it(draw, tmp_path):
    frame = table(draw)
    frame["label"] = frame["size"].astype("float64")
    frame.loc[3, "label"] = 1e200  # a validation row; its squared distance from any answer is no number
    by_name, found = measured(frame, tmp_path, result=RegressionResultConfig(kind="regression"), serve=True)
    assert by_name == {}
    assert found.graphs == ()
    assert [finding.about for finding in found.findings] == [
        "baseline constant",
        "baseline linear",
        "baseline trees",
    ]
    told = "have a score that is no finite number: nothing is compared with it, and it may not serve"
    assert all(
        finding.check == "unusable_baselines" and finding.told.endswith(told) for finding in found.findings
    )
    assert list(pd.read_parquet(found.uri)) == ["split"]


def test_equal_rows_give_equal_baselines(draw, tmp_path):
    frame = table(draw, 600)
    digests = []
    for number in range(2):
        (tmp_path / str(number)).mkdir()
        _, found = measured(frame, tmp_path / str(number), serve=True, simple=("trees",))
        digests.append([found.digest, *(graph.digest for graph in found.graphs)])
    assert digests[0] == digests[1]


def test_repeating_the_label_before_is_a_baseline_where_rows_are_split_by_time(draw, tmp_path):
    frame = table(draw).sort_values("day", ignore_index=True)
    frame["label"] = np.where(np.arange(len(frame)) // 100 % 2, "a", "b")
    by_name, _ = measured(frame, tmp_path, split=SplitConfig(by="time", column="day"), simple=())
    assert by_name["previous"].score > 0.9
    assert by_name["previous"].trivial


def test_texts_have_a_linear_baseline_that_reads_words(draw, tmp_path):
    words = draw.choice(["alpha", "beta", "gamma", "delta"], (900, 6))
    frame = pd.DataFrame(
        {"text": [" ".join(line) for line in words], "label": np.where((words == "alpha").any(1), "a", "b")}
    )
    by_name, found = measured(frame, tmp_path, intake=TextIntakeConfig(kind="text", length=8))
    assert by_name["linear"].score > 0.97
    assert found.graphs == ()


def test_a_linear_model_of_numbers_is_that_of_least_squares(draw):
    intake = build_intake(TabularIntakeConfig(kind="tabular", numeric=("size",)))
    result = build_result(RegressionResultConfig(kind="regression"))
    frame = pd.DataFrame({"size": draw.normal(size=800), "label": 0.0})
    frame["label"] = 3 * frame["size"] - 7
    rows, targets = intake.rows(frame), result.targets(frame["label"])
    encoder = intake.encoder()
    encoder.fit(rows)
    model = fit_network("Linear", encoder, intake, result, rows, targets)
    with torch.inference_mode():
        given = model(torch.from_numpy(encoder.encode(rows)))[0].numpy()
    assert np.abs(given - targets).mean() < 0.1
