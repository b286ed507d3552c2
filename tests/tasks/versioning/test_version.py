"""Versions: the same rows are the same version, and anybody can pull them."""

import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from configs.data import Split, Versioning
from infra.files import digest, whole_folder
from tasks.dataset import read, write
from tasks.records import LabelReport
from tasks.versioning.repository import Repository
from tasks.versioning.split import counts, split_of
from tasks.versioning.version import Changes, changes, make_version


def labelled(folder, rows):
    with whole_folder(folder) as partial:
        write([pd.DataFrame({"id": [f"r{n}" for n in range(rows)], "x": [float(n) for n in range(rows)], "label": "a"})], partial)
    nothing = {"agreement": 1.0, "annotators": (), "relabelled": 0, "suspects": None, "suspected": 0, "failures": ()}
    return LabelReport(uri=str(folder), digest=digest(folder), rows=rows, **nothing)


@pytest.fixture
def make(tmp_path):
    repository = Repository(tmp_path / "home" / "data", str(tmp_path / "remote"))
    return lambda labels: make_version("wine", labels, Versioning(), repository, tmp_path / "home" / "datasets")


def test_the_same_rows_are_the_same_version_and_others_the_next(make, tmp_path):
    few, more = labelled(tmp_path / "few", 40), labelled(tmp_path / "more", 60)
    first, again, second = make(few), make(few), make(more)
    assert first == again
    assert (first.tag, second.tag) == ("wine/v1", "wine/v2")
    assert make(few) == first
    assert len(read(first)) == 40
    assert changes(second, first) == Changes(added=20, removed=0, changed=0)


def test_a_run_killed_between_commit_and_tag_is_finished_by_the_next(make, tmp_path):
    labels = labelled(tmp_path / "rows", 40)
    first = make(labels)
    subprocess.run(["git", "-C", tmp_path / "home" / "data", "tag", "--delete", first.tag], check=True, capture_output=True)
    assert make(labels) == first


def test_git_and_dvc_alone_fetch_a_version(make, tmp_path):
    first = make(labelled(tmp_path / "few", 40))
    make(labelled(tmp_path / "more", 60))
    clone = tmp_path / "clone"
    subprocess.run(["git", "clone", "--quiet", tmp_path / "home" / "data", clone], check=True)
    subprocess.run(["git", "-C", clone, "checkout", "--quiet", first.tag], check=True)
    pull = [sys.executable, "-m", "dvc", "pull", "--quiet", "wine"]
    subprocess.run(pull, cwd=clone, check=True, env=os.environ | {"DVC_NO_ANALYTICS": "true"}, timeout=120)
    assert digest(clone / "wine") == first.digest


def test_a_row_keeps_its_split_when_others_come():
    ids = pd.Series([f"scan-{n}" for n in range(3000)])
    split = Split(train=0.7, validation=0.1)
    sides = split_of(ids, split)
    assert (split_of(ids[1000:], split) == sides[1000:]).all()
    assert abs(counts(sides, split)["train"] / 3000 - 0.7) < 0.03


def test_an_empty_split_is_named():
    with pytest.raises(ValueError, match="no row of 1 falls into"):
        counts(split_of(pd.Series(["only"]), Split()), Split())


def test_the_repo_does_not_depend_on_the_users_git_configuration(make, tmp_path, monkeypatch):
    (tmp_path / "gitconfig").write_text("[commit]\n gpgsign = true\n[user]\n useConfigOnly = true\n")
    monkeypatch.setenv("HOME", str(Path(tmp_path)))
    (tmp_path / ".gitconfig").write_text((tmp_path / "gitconfig").read_text())
    assert make(labelled(tmp_path / "rows", 40)).version == 1
