"""What a version knows of its rows and where they come from, and its card."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from configs.intake import ImageIntakeConfig, TabularIntakeConfig
from configs.source import SourceConfig
from configs.versioning import SplitConfig, VersioningConfig
from infra.files import digest
from infra.home import Home
from tasks.intake import build_intake
from tasks.records import RawRows, RuleOutcome, SourceSnapshot, Stored, ValidationReport
from tasks.rows.parts import part_paths, read, write
from tasks.rows.versions import last_version
from tasks.versioning.data_card import card, sample_rows, table, write_card
from tasks.versioning.provenance import commit_of, digest_of, origin
from tasks.versioning.statistics import leaks, statistics
from tasks.versioning.version import make_version

TABLE = TabularIntakeConfig(kind="tabular", numeric=("x",), categorical=("region",))


def wines(rows, seed=0):
    draw = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "id": [f"r{n}" for n in range(rows)],
            "x": draw.normal(10, 2, rows),
            "region": draw.choice(["north", "<b>south</b>"], rows),
            "when": pd.date_range("2024-01-01", periods=rows, freq="h"),
            "label": draw.choice(["red", "white"], rows, p=[0.7, 0.3]),
            "origin": "wine.csv",
            "origin_line": range(1, rows + 1),
        }
    )
    frame.loc[::10, "x"] = np.nan
    return frame


def known(workshop, labels, quarantine=None, feedback=0):
    """An origin as the stages before would tell it."""
    raw = RawRows(uri=labels.uri, digest=labels.digest, rows=labels.rows, feedback_rows=feedback)
    rules = (
        RuleOutcome(
            rule="expect_even(x)", severity="quarantine", success=False, observed="2 odd", unexpected=2
        ),
    )
    report = ValidationReport(
        uri=labels.uri,
        digest=labels.digest,
        rows=labels.rows,
        quarantined=2,
        quarantine=quarantine,
        rules=rules,
        failures=(),
        report=str(workshop.home / "reports" / "index.html"),
    )
    snapshot = SourceSnapshot(project="wine", fingerprint="f" * 64, partitions=("s1",))
    sections = {"source": SourceConfig(reader="csv", path="wine.csv", options={"secret": "hunter2"})}
    return origin(snapshot, raw, report, labels, sections, Home(workshop.home), workshop.folder)


def test_a_version_knows_its_statistics(workshop):
    frame = wines(1000)
    version = workshop.make(workshop.of_frames("rows", [frame[:400], frame[400:]]))
    facts = workshop.repository.facts("wine", version.version)
    x = facts["columns"]["x"]
    assert (x["count"], x["missing"]) == (900, 100)
    assert x["mean"] == pytest.approx(frame["x"].mean(), rel=1e-5)
    assert x["std"] == pytest.approx(frame["x"].std(ddof=0), rel=1e-5)
    assert x["quantiles"]["0.5"] == pytest.approx(frame["x"].quantile(0.5), abs=0.05)
    assert sum(x["histogram"]["rows"]) == 900
    assert dict(facts["columns"]["region"]["top"]) == frame["region"].value_counts().to_dict()
    assert facts["columns"]["when"]["min"] == "2024-01-01 00:00:00"
    counted = read(version).groupby(["split", "label"]).size()
    assert {
        (split, name): rows for split, counts in facts["labels"].items() for name, rows in counts.items()
    } == counted.to_dict()


def test_statistics_are_the_same_however_rows_are_laid_out(workshop):
    frame = wines(5000).assign(split="train")
    one, many = (
        workshop.of_frames("one", [frame]),
        workshop.of_frames("many", [frame[n : n + 500] for n in range(0, 5000, 500)]),
    )
    found = [statistics(part_paths(Path(rows.uri)), "label") for rows in (one, many)]
    assert found[0] == found[1]


def test_a_version_knows_where_its_rows_come_from_but_no_secret(workshop):
    labels = workshop.of_frames("rows", [wines(200)])
    workshop.make(labels, origin=known(workshop, labels, feedback=7))
    facts = workshop.repository.facts("wine", 1)
    assert (facts["source"]["fingerprint"], facts["feedback_rows"], facts["parent"]) == ("f" * 64, 7, None)
    assert facts["validation"]["quarantined"] == 2
    assert facts["validation"]["report"] == "reports/index.html"
    assert facts["config"]["source"] != digest_of(SourceConfig(reader="csv", path="wine.csv"))
    assert "hunter2" not in (workshop.repository.root / "wine.json").read_text()
    assert re.fullmatch(r"[0-9a-f]{40}\+?", commit_of(Path(__file__).parent) or "0" * 40)


def test_what_is_known_of_the_same_rows_does_not_make_another_version(workshop):
    labels = workshop.of_frames("rows", [wines(200)])
    first = workshop.make(labels)
    assert workshop.make(labels, origin=known(workshop, labels)) == first


def test_the_last_version_is_that_of_other_raw_rows(workshop):
    assert last_version("wine", None, Home(workshop.home)) is None
    made = []
    for rows in (200, 220):
        labels = workshop.of_frames(f"rows-{rows}", [wines(rows)])
        made.append(workshop.make(labels, origin=known(workshop, labels)))
    assert last_version("wine", labels.digest, Home(workshop.home)) == made[0]
    assert last_version("wine", None, Home(workshop.home)) == made[1]
    assert last_version("tea", None, Home(workshop.home)) is None


def test_copies_of_training_rows_are_counted_where_groups_or_time_split_them(workshop, caplog):
    frame = pd.DataFrame(
        {
            "id": [f"r{n}" for n in range(400)],
            "text": [f"Hello  {n % 200}" if n < 200 else f"hello {n % 200}" for n in range(400)],
        }
    )
    frame["person"], frame["label"] = range(400), "a"
    labels = workshop.of_frames("rows", [frame])
    split = SplitConfig(by="group", column="person")
    made = make_version(
        "wine", labels, ("text",), VersioningConfig(split=split), workshop.repository, workshop.datasets
    )
    rows = read(made)
    inputs = rows["text"].str.lower().str.replace("  ", " ")
    trained = set(inputs[rows["split"] == "train"])
    expected = int((inputs.isin(trained) & (rows["split"] != "train")).sum())
    assert (
        0
        < expected
        == workshop.repository.facts("wine", 1)["leaks"]
        == leaks(part_paths(Path(made.uri)), ["text"])
    )
    assert f"wine: {expected} rows of validation and test have the input of a training row" in caplog.text


def test_a_card_is_one_file_that_shows_tables_and_escapes_what_rows_hold(workshop):
    first, second = (workshop.of_frames(f"rows-{rows}", [wines(rows)]) for rows in (300, 320))
    workshop.make(first, origin=known(workshop, first))
    made = workshop.make(second, origin=known(workshop, second))
    page = write_card(made, workshop.repository, build_intake(TABLE), "label", workshop.folder / "cards")
    content = page.read_text()
    assert page.name == "v2.html"
    assert not re.search(r"(?:src|href)=\"(?!data:)|@import|<script", content)
    assert "<b>south</b>" not in content
    for wanted in (
        "wine/v1",
        "wine/v2",
        "320 rows",
        "expect_even(x)",
        "<svg",
        "made after",
    ):
        assert wanted in content, wanted
    # Histograms of all rows are there; those of two dozen would only look like them.
    assert "data:image/png" not in content
    before = content
    assert (
        write_card(
            made, workshop.repository, build_intake(TABLE), "label", workshop.folder / "cards"
        ).read_text()
        == before
    )


def test_the_samples_of_a_card_are_of_every_label_wherever_its_rows_lie(tmp_path):
    labels = ["a"] * 900 + ["b"] * 99 + ["c"]
    write([pd.DataFrame({"id": map(str, range(1000)), "label": labels})], tmp_path)
    assert sample_rows(tmp_path, "label")["label"].value_counts().to_dict() == {"a": 8, "b": 8, "c": 1}
    assert len(sample_rows(tmp_path, "id")) == 24


def test_the_table_of_samples_has_rows_of_every_label(tmp_path):
    labels = ["a"] * 50 + ["b"] * 50 + ["c"] * 50
    write([pd.DataFrame({"id": map(str, range(150)), "label": labels})], tmp_path)
    lines = table(sample_rows(tmp_path, "label"), {"label": {}})
    assert len(lines) == 8
    assert {line["label"] for line in lines} == {"a", "b", "c"}


def test_a_card_of_images_shows_them_and_one_of_a_cleared_version_goes_without(workshop):
    pixels = list(np.random.default_rng(0).integers(0, 255, (60, 16), np.uint8))
    frame = pd.DataFrame(
        {
            "id": [f"r{n}" for n in range(60)],
            "image": pixels,
            "label": [f"{n % 3}" for n in range(60)],
            "x": range(60),
        }
    )
    made = workshop.make(workshop.of_frames("rows", [frame]), "spots")
    intake = build_intake(ImageIntakeConfig(kind="image", height=4, width=4))
    assert (
        "data:image/png"
        in write_card(made, workshop.repository, intake, "label", workshop.folder).read_text()
    )
    gone = made.model_copy(update={"uri": str(workshop.folder / "gone")})
    assert (
        "data:image/png"
        not in write_card(gone, workshop.repository, intake, "label", workshop.folder).read_text()
    )
    with pytest.raises(ValueError, match="spots: no version 9; there are 1"):
        card("spots", 9, workshop.repository, intake, "label", workshop.datasets, workshop.folder)


def test_a_quarantine_is_named_by_its_place_in_the_home(workshop):
    path = workshop.home / "outcomes" / "v" / "quarantine.parquet"
    path.parent.mkdir(parents=True)
    pd.DataFrame({"id": ["bad"], "reasons": [["expect_even(x)"]]}).to_parquet(path)
    labels = workshop.of_frames("rows", [wines(200)])
    found = known(workshop, labels, Stored(uri=str(path), digest=digest(path)))
    assert found["validation"]["quarantine"] == {
        "path": "outcomes/v/quarantine.parquet",
        "digest": digest(path),
    }
