"""Drift of real digits: training rows from the first thousand scans, traffic from the rest."""

import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import onnx
import pandas as pd
import pyarrow as pa
import pytest
from scipy.stats import wasserstein_distance
from sklearn.datasets import load_digits

from configs.intake import ImageIntakeConfig, TabularIntakeConfig, TextIntakeConfig
from configs.load import load
from configs.monitoring import MonitoringConfig
from configs.result import ClassificationResultConfig, RegressionResultConfig
from tasks.intake import build_intake
from tasks.monitoring import drift
from tasks.monitoring.task import description
from tasks.production import drift_reference
from tasks.production.prediction_log import SCHEMAS, PredictionLog, input_columns
from tasks.records import Champion, DatasetVersion
from tasks.result import build_result
from tasks.rows import parts
from tasks.rows.raw import rows_from

DIGITS = load("digits")
INPUTS = build_intake(DIGITS.intake).inputs
BUNCH = load_digits()
IMAGES = np.round(BUNCH.images * 255 / 16).astype(np.uint8)
LABELS = BUNCH.target.astype(str)
START = datetime(2026, 1, 1, tzinfo=UTC)
CLASSES_OF_SPOTS = ClassificationResultConfig(kind="classification", classes=("left", "middle", "right"))


def grey_paper(images):
    """Paper that was black comes out grey, ink fainter."""
    return (120 + 0.35 * images.astype(np.float32)).astype(np.uint8)


def brighter_and_moved(images):
    return np.minimum(255, np.roll(images, 1, axis=2).astype(int) + 40).astype(np.uint8)


def fainter(images):
    return (images * 0.6).astype(np.uint8)


def champion_of(frame, folder, version=1):
    folder.mkdir()
    parts.write([frame if "origin" in frame else frame.assign(origin="rows")], folder)
    stored = parts.record_of(folder)
    data = DatasetVersion(
        uri=stored.uri,
        digest=stored.digest,
        project="digits",
        version=1,
        tag="digits/v1",
        commit="0",
        rows=len(frame),
        splits={},
    )
    return Champion(
        uri=str(folder),
        digest=f"bundle{version}",
        project="digits",
        version=version,
        graph_digest="0",
        dataset=data,
    )


def retrained(change):
    """Training rows of the first thousand scans, and 160 changed ones whose truth came late."""
    images = np.concatenate([IMAGES[:1000], change(IMAGES[1200:1360])])
    labels = np.r_[LABELS[:1000], LABELS[1200:1360]]
    origin = np.repeat(["rows", "feedback"], [1000, 160])
    return pd.DataFrame(
        {"image": list(images.reshape(len(images), -1)), "label": labels, "origin": origin, "split": "train"}
    )


@pytest.fixture(scope="module")
def champion(tmp_path_factory):
    """Trained on seven of ten of the first thousand scans."""
    rows = np.arange(1000)
    frame = pd.DataFrame(
        {"image": list(IMAGES[:1000].reshape(1000, -1)), "label": LABELS[:1000], "split": "train"}
    )
    frame.loc[rows % 10 >= 7, "split"] = "test"
    return champion_of(frame, tmp_path_factory.mktemp("data") / "rows")


@pytest.fixture
def log(tmp_path):
    return PredictionLog(tmp_path / "predictions")


def serve(log, rows, answers, *, version=1, name="a", start=START, inputs=INPUTS):
    """`rows`: images, or the structured rows of other inputs."""
    rows = rows if rows.dtype.names else rows_from(inputs, {"image": rows.reshape(-1, 8, 8, 1)})
    times = [(start + timedelta(milliseconds=number)).replace(tzinfo=None) for number in range(len(rows))]
    columns = {
        "request_id": [f"{name}-{number}" for number in range(len(rows))],
        "time": pa.array(times, pa.timestamp("us")),
        "version": [version] * len(rows),
        "role": ["champion"] * len(rows),
        "answer": pa.array(list(answers), pa.string()),
    }
    log.append_predictions(pa.table(columns | input_columns(rows)), "2026-01-01", name)


def tell_truth(log, identities, time, name="a"):
    columns = {
        "request_id": identities,
        "time": [time.replace(tzinfo=None)] * len(identities),
        "label": ["1"] * len(identities),
    }
    log.append_labels(pa.table(columns, schema=SCHEMAS["labels"]), "2026-01-01", name)


def look(
    log, champion, since=None, *, monitoring=DIGITS.monitoring, intake=DIGITS.intake, result=DIGITS.result
):
    folder = log.folder.parent / "reports"
    return drift.observe(
        "digits",
        champion,
        since,
        intake=intake,
        result=result,
        monitoring=monitoring,
        log=log,
        report_folder=folder,
    )


@pytest.mark.parametrize(
    "window", [slice(1000, 1200), slice(1200, 1400), slice(1400, 1600), slice(1597, 1797)]
)
def test_held_out_scans_of_other_writers_are_ok(log, champion, window):
    serve(log, IMAGES[window], LABELS[window])
    report = look(log, champion)
    assert (report.verdict, report.rows, report.version) == ("ok", 200, 1)
    assert report.share <= 0.3


def test_shuffled_held_out_scans_are_ok(log, champion):
    shuffled = np.random.default_rng(0).permutation(np.arange(1000, 1797))[:200]
    serve(log, IMAGES[shuffled], LABELS[shuffled])
    assert look(log, champion).verdict == "ok"


def turned(images):
    return np.rot90(images, axes=(1, 2)).copy()


def test_scans_that_are_turned_drift_though_most_descriptors_stay(log, champion):
    serve(log, turned(IMAGES[1200:1400]), LABELS[1200:1400])
    report = look(log, champion, monitoring=MonitoringConfig())
    assert report.verdict == "drifted"
    assert report.share < 0.5


def test_a_share_may_be_asked_for(log, champion):
    serve(log, turned(IMAGES[1200:1400]), LABELS[1200:1400])
    report = look(log, champion, monitoring=MonitoringConfig(drift_share=0.9))
    assert report.verdict == "ok"
    assert report.drifted


@pytest.mark.parametrize("change", [grey_paper, brighter_and_moved, fainter])
def test_a_changed_scanner_drifts_and_leaves_a_page(log, champion, change):
    serve(log, change(IMAGES[1200:1400]), LABELS[1200:1400])
    report = look(log, champion)
    assert report.verdict == "drifted"
    assert {"brightness", "contrast"} <= {found.name for found in report.descriptors if found.drifted}
    assert "Wasserstein" in Path(report.report).read_text(encoding="utf-8")


def test_a_window_that_is_half_changed_drifts(log, champion):
    serve(log, np.concatenate([IMAGES[1100:1200], grey_paper(IMAGES[1200:1300])]), LABELS[1100:1300])
    assert look(log, champion).verdict == "drifted"


def test_a_champion_that_was_retrained_on_the_changed_rows_is_ok(log, tmp_path):
    serve(log, grey_paper(IMAGES[1550:1750]), LABELS[1550:1750], version=2)
    report = look(log, champion_of(retrained(grey_paper), tmp_path / "rows", version=2))
    assert (report.verdict, report.reference) == ("ok", "feedback")


def test_a_retrained_champion_is_ok_where_the_old_world_comes_back(log, tmp_path):
    serve(log, IMAGES[1550:1750], LABELS[1550:1750], version=2)
    report = look(log, champion_of(retrained(grey_paper), tmp_path / "rows", version=2))
    assert (report.verdict, report.reference) == ("ok", "source")


def test_a_retrained_champion_drifts_where_a_third_world_comes(log, tmp_path):
    serve(log, fainter(IMAGES[1550:1750]), LABELS[1550:1750], version=2)
    assert look(log, champion_of(retrained(grey_paper), tmp_path / "rows", version=2)).verdict == "drifted"


def test_distances_are_wasserstein_in_standard_deviations_of_a_sample_of_the_training_rows(log, champion):
    serve(log, IMAGES[1000:1200], LABELS[1000:1200])
    rows = build_intake(DIGITS.intake)
    kept = drift_reference.frames(champion.dataset, rows, build_result(DIGITS.result), None).inputs
    expected = kept["brightness"].head(DIGITS.monitoring.reference)
    current = rows.describe(rows_from(INPUTS, {"image": IMAGES[1000:1200, :, :, None]}))["brightness"]
    found = {one.name: one.distance for one in look(log, champion).descriptors}
    assert found["brightness"] == pytest.approx(
        wasserstein_distance(expected, current) / expected.std(ddof=0), rel=0.02
    )


def test_only_the_newest_predictions_of_the_champion_are_compared(log, champion):
    serve(log, grey_paper(IMAGES[1000:1200]), LABELS[1000:1200], name="old")
    serve(log, IMAGES[1200:1400], LABELS[1200:1400], name="new", start=START + timedelta(hours=1))
    serve(
        log,
        grey_paper(IMAGES[1400:1600]),
        LABELS[1400:1600],
        name="canary",
        version=2,
        start=START + timedelta(hours=2),
    )
    report = look(log, champion)
    assert report.verdict == "ok"
    assert report.newest == "2026-01-01T01:00:00.199000+00:00"


def test_labels_count_from_the_release_of_the_champion_on(log, champion):
    serve(log, IMAGES[1000:1010], LABELS[1000:1010])
    serve(log, IMAGES[1000:1010], LABELS[1000:1010], name="other", version=2)
    tell_truth(log, ["a-0", "a-1"], START + timedelta(hours=1), "early")
    tell_truth(log, ["a-2", "a-3", "a-4", "other-1"], START + timedelta(hours=3), "late")
    assert look(log, champion, START + timedelta(hours=2)).labels == 3
    assert look(log, champion).labels == 5


def test_the_same_predictions_are_compared_once(log, champion, monkeypatch):
    serve(log, IMAGES[1000:1200], LABELS[1000:1200])
    first = look(log, champion)
    tell_truth(log, ["a-1"], START + timedelta(hours=1))
    monkeypatch.setattr(drift, "look_at", lambda *_: pytest.fail("compared again"))
    assert look(log, champion) == first.model_copy(update={"labels": 1})


def test_another_threshold_looks_again(log, champion):
    serve(log, grey_paper(IMAGES[1000:1200]), LABELS[1000:1200])
    lenient = DIGITS.monitoring.model_copy(update={"threshold": 50.0})
    assert [look(log, champion).verdict, look(log, champion, monitoring=lenient).verdict] == ["drifted", "ok"]


def test_only_the_newest_pages_are_kept(log, champion, monkeypatch):
    monkeypatch.setattr(drift, "KEPT_REPORTS", 2)
    for day in range(3):
        serve(log, IMAGES[1000:1100], LABELS[1000:1100], name=f"day-{day}", start=START + timedelta(days=day))
        report = look(log, champion)
    kept = sorted(folder.name for folder in Path(report.report).parent.parent.iterdir())
    assert len(kept) == 2
    assert Path(report.report).parent.name == kept[-1]


def test_a_column_that_fell_silent_drifts(log, tmp_path):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "heat": rng.normal(size=300),
            "dust": rng.normal(size=300),
            "label": rng.choice(["yes", "no"], 300),
            "split": "train",
        }
    )
    inputs = build_intake(TabularIntakeConfig(kind="tabular", numeric=("heat", "dust"))).inputs
    rows = rows_from(inputs, {"heat": rng.normal(size=200), "dust": np.full(200, np.nan)})
    serve(log, rows, rng.choice(["yes", "no"], 200))
    report = look(
        log,
        champion_of(frame, tmp_path / "rows"),
        monitoring=MonitoringConfig(),
        intake=TabularIntakeConfig(kind="tabular", numeric=("heat", "dust")),
        result=ClassificationResultConfig(kind="classification", classes=("yes", "no")),
    )
    assert {found.name: found.drifted for found in report.descriptors} == {
        "missing in dust": True,
        "heat": False,
        "model answer": False,
        "unlikeness": True,
        "all together": True,
    }


def prices(count, shares, start=0):
    """Texts, a category, a date and a price."""
    draw = np.random.default_rng(start)
    kind = draw.choice(list("abc"), count, p=shares)
    when = pd.Timestamp("2024-01-01") + pd.to_timedelta(np.arange(start, start + count), unit="h")
    return pd.DataFrame(
        {"kind": kind, "when": when, "price": draw.normal(100, 10, count).astype(str), "split": "train"}
    )


@pytest.mark.parametrize(("shares", "drifted"), [((0.6, 0.3, 0.1), False), ((0.0, 0.1, 0.9), True)])
def test_categories_and_prices_are_watched_and_time_may_go_on(log, tmp_path, shares, drifted):
    intake, result = (
        TabularIntakeConfig(kind="tabular", categorical=("kind",), dates=("when",)),
        RegressionResultConfig(kind="regression", label="price"),
    )
    built, now = build_intake(intake), prices(200, shares, 5000)
    serve(log, built.rows(now), now["price"])
    frame = prices(500, (0.6, 0.3, 0.1))
    report = look(
        log,
        champion_of(frame, tmp_path / "rows"),
        monitoring=MonitoringConfig(),
        intake=intake,
        result=result,
    )
    found = {one.name: one.drifted for one in report.descriptors}
    assert (found.pop("kind"), found.pop("all together")) == (drifted, drifted)
    assert set(found) == {"hour of when", "weekday of when", "model answer", "unlikeness"}
    assert not any(found.values())


def test_shouting_drifts(log, tmp_path):
    calm = pd.DataFrame(
        {"text": [f"see you at {number % 9}" for number in range(300)], "label": "ham", "split": "train"}
    )
    intake = TextIntakeConfig(kind="text")
    serve(
        log,
        build_intake(intake).rows(
            pd.DataFrame({"text": [f"CALL 0800{number * 67 % 150} NOW" for number in range(150)]})
        ),
        ["ham"] * 150,
    )
    result = ClassificationResultConfig(kind="classification", classes=("ham", "spam"))
    report = look(
        log, champion_of(calm, tmp_path / "rows"), monitoring=MonitoringConfig(), intake=intake, result=result
    )
    assert {"digits", "capitals"} <= {one.name for one in report.descriptors if one.drifted}
    assert "model answer" not in {one.name for one in report.descriptors if one.drifted}


def test_each_look_at_new_predictions_is_counted_once_for_its_version(log, champion, tmp_path):
    folder = log.folder.parent / "reports"
    assert drift.look_number(folder, champion) == 1
    serve(log, IMAGES[1000:1100], LABELS[1000:1100])
    for _ in range(2):
        look(log, champion)
    assert drift.look_number(folder, champion) == 2
    assert drift.look_number(folder, champion.model_copy(update={"digest": "another"})) == 1


def test_a_changed_scanner_is_told_with_the_moment_of_its_change(log, champion):
    serve(log, np.concatenate([IMAGES[1100:1200], grey_paper(IMAGES[1200:1300])]), LABELS[1100:1300])
    report = look(log, champion)
    (brightness,) = (found for found in report.drifted if found.name == "brightness")
    assert "brightness" in description(report, DIGITS.monitoring)
    assert brightness.since and brightness.since[1] <= "2026-01-01T00:00:00+00:00" <= brightness.since[2]


def test_too_few_predictions_are_told_with_how_many_are_missing(log, champion):
    serve(log, IMAGES[1000:1070], LABELS[1000:1070])
    assert look(log, champion).summary.endswith("a verdict takes 30 more predictions")


def test_late_labels_that_show_more_errors_than_the_test_drift_though_no_input_moved(log, champion, tmp_path):
    rows, result = build_intake(DIGITS.intake), build_result(DIGITS.result)
    inputs, given, _ = drift_reference.frames(champion.dataset, rows, result, None)
    inputs.to_parquet(tmp_path / drift_reference.INPUTS)
    given.assign(**{drift_reference.ERROR: 0.0}).to_parquet(tmp_path / drift_reference.ANSWERS)
    serve(log, IMAGES[1000:1200], LABELS[1000:1200])
    tell_truth(log, [f"a-{number}" for number in range(200)], START + timedelta(hours=1))
    report = look(log, champion.model_copy(update={"uri": str(tmp_path)}))
    assert (report.verdict, report.cause, report.drifted) == ("drifted", "performance", ())
    assert report.performance.errors == pytest.approx(np.mean(LABELS[1000:1200] != "1"))


def test_errors_are_estimated_beside_late_labels_and_an_old_bundle_says_what_it_lacks(log, spots, tmp_path):
    intake, result = ImageIntakeConfig(kind="image", height=2, width=2), CLASSES_OF_SPOTS
    draw = np.random.default_rng(0)
    images = draw.integers(0, 12, (900, 4)).astype(np.uint8)
    frame = pd.DataFrame(
        {"image": list(images), "label": np.array(result.classes)[images[:, :3].argmax(axis=1)]}
    )
    frame["label"] = np.where(draw.random(900) < 0.2, "left", frame["label"])
    rows = frame.assign(split=np.where(np.arange(900) % 2, "train", "test"))
    served = champion_of(rows, tmp_path / "rows")
    bundle = tmp_path / "bundle"
    bundle.mkdir()
    onnx.save(spots, bundle / "model.onnx")
    built = build_intake(intake)
    drift_reference.write(bundle, served.dataset, built, build_result(result), bundle / "model.onnx")
    served = served.model_copy(update={"uri": str(bundle)})
    serve(log, built.rows(frame[:200]), ["left"] * 200)
    tell_truth(log, [f"a-{number}" for number in range(150)], START + timedelta(hours=1))
    report = look(log, served, intake=intake, result=result, monitoring=MonitoringConfig())
    assert report.unseen == ()
    assert report.estimated.low < report.estimated.tested < report.estimated.high
    assert "late labels contradict it" in description(report, MonitoringConfig())
    # As if it had been made before these were kept.
    (bundle / drift_reference.SEEN).unlink()
    inputs = pd.read_parquet(bundle / drift_reference.INPUTS)
    inputs.drop(columns="grain").to_parquet(bundle / drift_reference.INPUTS)
    old = look(
        log,
        served.model_copy(update={"digest": "old"}),
        intake=intake,
        result=result,
        monitoring=MonitoringConfig(),
    )
    assert old.unseen == ("grain", "the network's embedding")
    assert "Not watched: grain, the network's embedding" in description(old, MonitoringConfig())


def test_nothing_serves_yet(log):
    report = look(log, None)
    assert (report.verdict, report.version) == ("insufficient", None)


INSUFFICIENT = """
import json, sys
from pathlib import Path
from configs.load import load
from tasks.monitoring import drift, task
from tasks.production.prediction_log import PredictionLog
from tasks.records import Champion
champion, digits = Champion.model_validate_json(sys.argv[2]), load("digits")
report = drift.observe("digits", champion, None, intake=digits.intake, result=digits.result, monitoring=digits.monitoring,
                       log=PredictionLog(Path(sys.argv[1])), report_folder=Path("never"))
print(json.dumps([report.verdict, report.rows, sorted({"evidently", "torch", "sklearn", "scipy"} & set(sys.modules))]))
"""


def test_too_few_predictions_are_insufficient_without_a_heavy_import(log, champion):
    serve(log, grey_paper(IMAGES[1000:1099]), LABELS[1000:1099])
    command = [sys.executable, "-c", INSUFFICIENT, str(log.folder), champion.model_dump_json()]
    assert json.loads(subprocess.check_output(command, timeout=60)) == ["insufficient", 99, []]


def by_class(rows):
    """Training rows in the order of a folder of images: a class after another."""
    frame = pd.DataFrame(
        {"image": list(IMAGES[rows].reshape(len(rows), -1)), "label": LABELS[rows], "split": "train"}
    )
    return frame.sort_values("label", kind="stable")


@pytest.mark.parametrize(("change", "verdict"), [(None, "ok"), (grey_paper, "drifted")])
def test_rows_that_come_a_class_after_another_are_no_drift_and_hide_none(log, tmp_path, change, verdict):
    order = np.random.default_rng(1).permutation(1797)
    now = order[1497:]
    serve(log, change(IMAGES[now]) if change else IMAGES[now], LABELS[now])
    monitoring = MonitoringConfig(window=300)
    assert (
        look(log, champion_of(by_class(order[:1497]), tmp_path / "rows"), monitoring=monitoring).verdict
        == verdict
    )
