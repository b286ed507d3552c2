"""Two writers, a kill at any point, a full disk: none of them leaves half a version."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pandas as pd
import pytest

from configs.versioning import VersioningConfig
from infra.files import digest
from tasks.rows.parts import read
from tasks.versioning.repository import Repository
from tasks.versioning.version import make_version

DEADLINE_S = 120
WRITER = """
import json, os, signal, sys
from pathlib import Path
from configs.versioning import VersioningConfig
from tasks.records import LabelReport
from tasks.versioning import repository, split, version

def die(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)

def after(owner, name):
    was = getattr(owner, name)
    def then_die(*arguments, **options):
        was(*arguments, **options)
        die()
    setattr(owner, name, then_die)

def prepared(point):
    if point == "rewriting":
        split.Splitter.checked = die
    elif point in ("add", "push", "checkout"):
        from dvc.repo import Repo
        after(Repo, point)
    elif point in ("lay_out", "write_json"):
        after(version, point)
    elif point == "git add":
        was = repository.Repository.git
        def git(self, *arguments, **options):
            if arguments[0] == "add":
                (self.root / ".git" / "index.lock").touch()
                die()
            return was(self, *arguments, **options)
        repository.Repository.git = git
    elif point == "commit":
        after(repository.Repository, "commit")

root, labels, project, point = Path(sys.argv[1]), LabelReport.model_validate_json(sys.argv[2]), sys.argv[3], sys.argv[4]
prepared(point)
store = repository.Repository(root / "home" / "data", str(root / "remote"))
print(version.make_version(project, labels, ("x",), VersioningConfig(), store, root / "home" / "datasets").tag)
"""
TRACKED = {".dvc/.gitignore", ".dvc/config", ".dvcignore", ".gitignore", "wine.dvc", "wine.json"}


def writer(workshop, labels, project="wine", point=""):
    command = [sys.executable, "-c", WRITER, str(workshop.folder), labels.model_dump_json(), project, point]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=Path(__file__).parents[3]
    )


@pytest.mark.parametrize(
    "point", ["rewriting", "add", "checkout", "push", "lay_out", "write_json", "git add", "commit"]
)
def test_after_a_kill_the_next_run_ends_in_the_same_version(workshop, point):
    old, new = workshop.labelled("old", 40), workshop.labelled("new", 60)
    first = workshop.make(old)
    killed = writer(workshop, new, point=point)
    killed.communicate(timeout=DEADLINE_S)
    assert killed.returncode == -signal.SIGKILL

    assert workshop.repository.versions("wine") == {1: first.digest}
    assert digest(Path(first.uri)) == first.digest
    second = workshop.make(new)
    assert (second.version, len(read(second))) == (2, 60)
    assert set(workshop.repository.git("ls-files").split()) == TRACKED
    assert not [path for path in workshop.repository.root.iterdir() if path.name.startswith(".wine")]
    assert workshop.make(old) == first


def test_two_writers_wait_for_each_other(workshop):
    writers = [
        writer(workshop, workshop.labelled(f"rows-{rows}", rows), project)
        for rows, project in ((40, "wine"), (50, "wine"), (60, "tea"))
    ]
    ended = [each.communicate(timeout=DEADLINE_S) for each in writers]
    assert [each.returncode for each in writers] == [0, 0, 0], ended
    assert sorted(out.strip() for out, _ in ended) == ["tea/v1", "wine/v1", "wine/v2"]
    repository = workshop.repository
    assert {facts["rows"] for facts in repository.all_facts("wine").values()} == {40, 50}
    for project, version in (("wine", 1), ("wine", 2), ("tea", 1)):
        record = repository.record(project, version, workshop.datasets)
        assert digest(Path(record.uri)) == record.digest


def test_a_writer_that_waits_too_long_says_for_whom(workshop):
    repository, held, done = workshop.repository, threading.Event(), threading.Event()

    def hold():
        with repository.opened():
            held.set()
            done.wait(DEADLINE_S)

    holder = threading.Thread(target=hold)
    holder.start()
    held.wait(DEADLINE_S)
    started = time.monotonic()
    with (
        pytest.raises(
            TimeoutError, match=f"process {os.getpid()} has been writing for 0.3 s; wait for it or end it"
        ),
        repository.opened(0.3),
    ):
        pass
    done.set()
    holder.join()
    assert time.monotonic() - started < 10


@pytest.fixture
def small_disk(tmp_path):
    """A folder with 8 MB of room."""
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", folder], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("only root may mount a small disk")
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


def test_a_full_disk_is_named_and_the_version_before_stays(workshop, small_disk):
    repository = Repository(small_disk / "data", str(workshop.folder / "remote"))

    def make(labels):
        return make_version("wine", labels, ("x",), VersioningConfig(), repository, small_disk / "datasets")

    first = make(workshop.labelled("few", 40))
    noise = pd.DataFrame(
        {
            "id": [f"r{n}" for n in range(40)],
            "x": range(40),
            "label": "a",
            "blob": [os.urandom(2**18).hex() for _ in range(40)],
        }
    )
    with pytest.raises(
        OSError, match=rf"no space left in {small_disk}/\w+: this version takes up to \d+ MB, \d MB are free"
    ):
        make(workshop.of_frames("many", [noise]))
    assert repository.versions("wine") == {1: first.digest}
    assert digest(Path(first.uri)) == first.digest
    assert make(workshop.labelled("other", 41)).version == 2
