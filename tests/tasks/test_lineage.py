"""Why is this so, and what followed: asked of real stores, both ways."""

import datetime as dt
import json

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from configs.versioning import VersioningConfig
from infra.files import digest, whole_folder, write_json
from infra.settings import Settings
from tasks.deployment.registry import Registry
from tasks.lineage import Graph, Node, lineage
from tasks.production.prediction_log import PredictionLog
from tasks.production.releases import Releases, Served, promote, stage_canary
from tasks.records import Bundle, Candidate, Judgement, LabelReport, Stored, TrainedModel
from tasks.records import Graph as OnnxGraph
from tasks.rows.parts import write
from tasks.versioning.repository import Repository
from tasks.versioning.version import make_version

PROJECT = "red_wine"


def version_of(settings, rows):
    """A version, two rows of whose source are in quarantine."""
    folder, quarantine = (
        settings.home.make(settings.home.outcomes / f"rows-{rows}"),
        settings.home / "outcomes" / "quarantine.parquet",
    )
    pd.DataFrame(
        {"id": ["bad-1", "bad-2"], "reasons": [["expect_even(x)"], ["expect_even(x)", "expect_small(x)"]]}
    ).to_parquet(quarantine)
    with whole_folder(folder / "parts") as partial:
        contents = np.random.default_rng(0).integers(2**64, size=rows, dtype=np.uint64)
        columns = {"x": range(rows), "label": "a", "origin": "wine.csv", "origin_content": contents}
        write([pd.DataFrame({"id": [f"r{n}" for n in range(rows)]} | columns)], partial)
    nothing = {
        "agreement": 1.0,
        "annotators": (),
        "relabelled": 0,
        "suspects": None,
        "suspected": 0,
        "failures": (),
    }
    labels = LabelReport(uri=str(folder / "parts"), digest=digest(folder / "parts"), rows=rows, **nothing)
    rule = {
        "rule": "expect_even(x)",
        "severity": "quarantine",
        "success": False,
        "observed": "",
        "unexpected": 2,
    }
    kept = {"path": "outcomes/quarantine.parquet", "digest": digest(quarantine)}
    origin = {
        "raw": labels.digest,
        "source": {"fingerprint": "f" * 64, "slices": [], "rows": rows + 2},
        "feedback_rows": 3,
        "validation": {"rules": [rule], "quarantined": 2, "quarantine": kept, "report": "reports/index.html"},
        "labeling": {"agreement": 0.98, "annotators": [], "relabelled": 1, "suspected": 4, "suspects": None},
        "config": {"source": "c" * 64},
        "code": {"gyre": "0.1.0", "commit": "d" * 40},
    }
    repository = Repository(settings.home / "data", str(settings.home.make(settings.home.remote)))
    return make_version(
        PROJECT, labels, ("x",), VersioningConfig(), repository, settings.home / "datasets", "label", origin
    )


def trained(settings, dataset):
    """An MLflow run and a bundle from it."""
    registry = Registry(settings.tracking_uri)
    experiment = registry.client.get_experiment_by_name(PROJECT)
    identity = experiment.experiment_id if experiment else registry.client.create_experiment(PROJECT)
    run = registry.client.create_run(identity)
    registry.client.log_param(run.info.run_id, "dataset_tag", dataset.tag)
    registry.client.log_metric(run.info.run_id, "test_accuracy", 0.97)
    registry.client.set_terminated(run.info.run_id)
    folder = settings.home / "bundles" / PROJECT / run.info.run_id
    with whole_folder(folder) as partial:
        (partial / "model.onnx").write_bytes(run.info.run_id.encode())
        write_json(
            partial / "lineage.json",
            {"graph": {"name": "int8", "score": 0.97, "digest": "e" * 64}, "code": {"torch": "2.13"}},
        )
    model = TrainedModel(
        uri="m", digest="m", dataset=dataset, run_id=run.info.run_id, ranks=2, metrics={"accuracy": 0.97}
    )
    graph = OnnxGraph(uri="g", digest="e" * 64, name="int8", parity=0.0)
    score = {"rows": 9, "score": 0.97, "low": 0.9, "high": 1.0}
    candidate = Candidate(
        graph=graph, split="validation", **score, latency_ms=1, throughput=1, megabytes=1, rejected=None
    )
    stored = Stored(uri=str(folder), digest=digest(folder))
    judged = {
        "candidates": (candidate,),
        "chosen": "int8",
        "judgement": Judgement(**score),
        "comparison": None,
        "failures": (),
    }
    bundle = Bundle(**stored.model_dump(), project=PROJECT, model=model, **judged)
    number = registry.register(bundle, folder, "e" * 64)
    served = Served(**stored.model_dump(), version=number, graph_digest="e" * 64, dataset=dataset)
    releases = Releases(settings.home / "releases")
    releases.change(PROJECT, lambda manifest: stage_canary(manifest, served, 0.0))
    releases.change(PROJECT, lambda manifest: promote(manifest, number))
    registry.serves(PROJECT, number, "it is better")
    return bundle


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """An installation with two versions, two models and a few predictions.

    No test changes what another one asks for.
    """
    settings = Settings(home=tmp_path_factory.mktemp("home"))
    settings.home.make(settings.home.mlflow)
    first = version_of(settings, 40)
    bundles = [trained(settings, first), trained(settings, version_of(settings, 50))]
    when = dt.datetime(2026, 1, 1, 12, tzinfo=dt.UTC).replace(tzinfo=None)
    log = PredictionLog(settings.home / "predictions" / PROJECT)
    lines = {
        "request_id": ["q1", "q2#0", "q2#1"],
        "time": [when] * 3,
        "version": [2, 1, 1],
        "role": ["champion"] * 3,
        "answer": ["a", "a", "b"],
    }
    types = [
        ("request_id", pa.string()),
        ("time", pa.timestamp("us")),
        ("version", pa.int64()),
        ("role", pa.string()),
        ("answer", pa.string()),
    ]
    log.append_predictions(pa.table(lines, schema=pa.schema(types)), "2026-01-01", "one")
    late = {"request_id": ["q1"], "time": [when], "label": ["b"]}
    log.append_labels(
        pa.table(late, schema=pa.schema([types[0], types[1], ("label", pa.string())])), "2026-01-01", "one"
    )
    return settings, bundles


def causes(graph, key):
    """All keys above one."""
    return {key}.union(*(causes(graph, cause) for cause in graph.causes(key)))


def kinds(keys):
    return {key.partition(" ")[0] for key in keys}


def test_everything_that_is_known_is_found_from_both_ends(world):
    settings, (old, new) = world

    answer = lineage("q1", settings)
    assert answer.nodes["prediction q1"].facts | {"time": ""} == {"answer": "a", "truth": "b", "time": ""}
    above = causes(answer, "prediction q1")
    assert kinds(above) == {
        "prediction",
        "model",
        "bundle",
        "run",
        "dataset",
        "source",
        "config",
        "code",
        "quarantine",
        "labels",
    }
    assert {
        "model red_wine/2",
        f"bundle {new.digest[:16]}",
        f"run {new.model.run_id}",
        "dataset red_wine/v2",
        "quarantine red_wine/v2",
    } <= above

    dataset = lineage("red_wine/v1", settings)
    assert dataset.effects("dataset red_wine/v1") == [f"run {old.model.run_id}"]
    assert "model red_wine/1" in dataset.nodes
    assert "model red_wine/2" not in dataset.nodes
    assert dataset.effects("model red_wine/1") == ["release red_wine previous"]

    model = lineage("red_wine/2", settings)
    assert model.start == "model red_wine/2"
    assert model.effects("model red_wine/2") == ["release red_wine champion"]
    assert model.nodes["dataset red_wine/v2"].facts["after"] == "red_wine/v1"
    assert lineage(new.digest[:12], settings).start == f"bundle {new.digest[:16]}"
    assert lineage(new.model.run_id, settings).effects(f"run {new.model.run_id}") == [
        f"bundle {new.digest[:16]}"
    ]

    several = lineage("q2", settings)
    assert sorted(several.causes("prediction q2")) == ["prediction q2#0", "prediction q2#1"]

    row = lineage("bad-2", settings)
    assert row.nodes["row bad-2"].facts["breaks"] == "expect_even(x), expect_small(x)"
    assert row.effects("row bad-2") == ["quarantine red_wine/v1", "quarantine red_wine/v2"]
    assert row.effects("quarantine red_wine/v1") == ["dataset red_wine/v1"]

    text = answer.text()
    assert text.startswith("prediction q1: answer a, truth b")
    assert "└─ model red_wine/2: status promoted, reason it is better" in text
    assert "led to" not in text
    json.dumps(answer.as_json())


def test_a_name_given_to_a_version_is_known(world):
    settings, _ = world
    Repository(settings.home / "data", str(settings.home.make(settings.home.remote))).tag(
        PROJECT, 1, "golden"
    )
    assert lineage("red_wine/golden", settings).start == "dataset red_wine/v1"


def test_what_is_unknown_is_said_with_what_can_be_asked(world):
    for unknown in ("red_wine/v9", "red_wine/9", "nobody", "0" * 32, "abcdef123456"):
        with pytest.raises(
            ValueError, match=f"'{unknown}': nothing is known by that name; want a data set version"
        ):
            lineage(unknown, world[0])


def test_an_empty_installation_is_asked_in_vain_and_stays_empty(settings):
    with pytest.raises(ValueError, match="nothing is known by that name"):
        lineage("red_wine/v1", settings)
    assert not settings.home.mlflow_database.exists()


def test_a_graph_that_meets_itself_is_drawn_once_around():
    graph = Graph(start="a 1")
    for name in "12":
        graph.add(Node("a", name))
    graph.edges += [("a 1", "a 2"), ("a 2", "a 1")]
    assert graph.text().count("a 1") == 3
