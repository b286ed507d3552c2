"""Versions: the same rows are the same version, and anybody can pull them."""

import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest

from configs.versioning import SplitConfig
from infra.files import digest
from tasks.rows.content_hash import digests
from tasks.rows.parts import read, write
from tasks.versioning.diff import difference
from tasks.versioning.split import Splitter, splitter

SPLIT = SplitConfig(train=0.7, validation=0.1)


@pytest.fixture
def make(workshop):
    return workshop.make


def test_the_same_rows_are_the_same_version_and_others_the_next(make, workshop, tmp_path):
    few, more = workshop.labelled("few", 40), workshop.labelled("more", 60)
    first, again, second = make(few), make(few), make(more)
    assert first == again
    assert (first.tag, second.tag) == ("wine/v1", "wine/v2")
    assert make(few) == first
    assert len(read(first)) == 40
    assert (
        difference(Path(first.uri), Path(second.uri), "label").summary
        == "20 rows added, 0 removed, 0 changed"
    )


def test_a_run_killed_between_commit_and_tag_is_finished_by_the_next(make, workshop, tmp_path):
    labels = workshop.labelled("rows", 40)
    first = make(labels)
    subprocess.run(
        ["git", "-C", tmp_path / "home" / "data", "tag", "--delete", first.tag],
        check=True,
        capture_output=True,
    )
    assert make(labels) == first


def test_git_and_dvc_alone_fetch_a_version(make, workshop, tmp_path):
    first = make(workshop.labelled("few", 40))
    make(workshop.labelled("more", 60))
    clone = tmp_path / "clone"
    subprocess.run(["git", "clone", "--quiet", tmp_path / "home" / "data", clone], check=True)
    subprocess.run(["git", "-C", clone, "checkout", "--quiet", first.tag], check=True)
    pull = [sys.executable, "-m", "dvc", "pull", "--quiet", "wine"]
    subprocess.run(pull, cwd=clone, check=True, env=os.environ | {"DVC_NO_ANALYTICS": "true"}, timeout=120)
    assert digest(clone / "wine") == first.digest


def sides(table, split=SPLIT, columns=("text",)):
    return Splitter(split)(table.append_column("origin_content", digests([table[name] for name in columns])))[
        "split"
    ].to_pylist()


def test_a_row_keeps_its_split_when_others_come():
    table = pa.table({"text": [f"message {n}" for n in range(3000)]})
    assert sides(table[1000:]) == sides(table)[1000:]
    assert abs(sides(table).count("train") / 3000 - 0.7) < 0.03


def test_copies_of_a_text_or_an_image_fall_on_one_side():
    texts = pa.table({"text": [text for n in range(300) for text in (f"Buy  NOW {n}", f"buy now {n} ")]})
    pixels = pa.table(
        {"image": [[n % 7, n % 250, 3] for n in range(300) for _ in range(2)]},
        schema=pa.schema([("image", pa.list_(pa.uint8()))]),
    )
    for found in (sides(texts), sides(pixels, columns=("image",))):
        assert found[::2] == found[1::2]
        assert set(found) == {"train", "validation", "test"}


def test_the_duplicate_messages_of_real_data_never_straddle(data):
    lines = (data / "text" / "sms_spam.tsv").read_text(encoding="utf-8").splitlines()
    texts = [line.partition("\t")[2] for line in lines]
    found = {}
    for text, side in zip(texts, sides(pa.table({"text": texts})), strict=True):
        found.setdefault(text, set()).add(side)
    assert len(texts) - len(found) == 403
    assert all(len(each) == 1 for each in found.values())


def test_rows_of_a_group_stay_together():
    table = pa.table({"text": [str(n) for n in range(2000)], "person": [n % 400 for n in range(2000)]})
    found = Splitter(SplitConfig(by="group", column="person"))(table)["split"].to_pylist()
    assert all(found[n] == found[n + 400] for n in range(1600))


def test_by_time_the_oldest_rows_train_and_the_newest_test(tmp_path):
    moments = pd.date_range("2024-01-01", periods=1000, freq="h").to_list()
    write([pd.DataFrame({"when": moments[500:]}), pd.DataFrame({"when": moments[:500]})], tmp_path)
    put = splitter(tmp_path, SplitConfig(by="time", column="when"))
    found = put(pa.table({"when": pa.array(moments, pa.timestamp("us"))}))["split"].to_pylist()
    assert found == sorted(found, key=["train", "validation", "test"].index)
    assert abs(put.checked()["train"] - 700) <= 1


def test_an_empty_split_is_named():
    put = Splitter(SplitConfig())
    put(pa.table({"origin_content": pa.array([7], pa.uint64())}))
    with pytest.raises(ValueError, match="no row of 1 falls into"):
        put.checked()


def test_versions_share_the_parts_that_did_not_change(make, workshop, tmp_path):
    frames = [
        pd.DataFrame(
            {"id": [f"{part}-{n}" for n in range(40)], "x": [float(n) for n in range(40)], "label": "a"}
        )
        for part in range(20)
    ]
    first = make(workshop.of_frames("first", frames))
    frames[7].loc[3, "label"] = "b"
    second = make(workshop.of_frames("second", frames))
    inodes = [{path.stat().st_ino for path in Path(version.uri).iterdir()} for version in (first, second)]
    assert len(inodes[0] & inodes[1]) == 19
    objects = [path for path in (tmp_path / "remote").rglob("*") if path.is_file() and path.suffix != ".dir"]
    assert len(objects) == 21
    found = difference(Path(first.uri), Path(second.uri), "label")
    assert (found.summary, found.labels) == ("0 rows added, 0 removed, 1 changed", (("a", "b", 1),))


def test_the_repo_does_not_depend_on_the_users_git_configuration(make, workshop, tmp_path, monkeypatch):
    (tmp_path / "gitconfig").write_text("[commit]\n gpgsign = true\n[user]\n useConfigOnly = true\n")
    monkeypatch.setenv("HOME", str(Path(tmp_path)))
    (tmp_path / ".gitconfig").write_text((tmp_path / "gitconfig").read_text())
    assert make(workshop.labelled("rows", 40)).version == 1
