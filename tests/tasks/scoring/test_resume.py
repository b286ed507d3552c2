"""A scoring that is killed goes on where it stood, and no row is in its target twice, or missing."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time

import pandas as pd
import psutil
import pytest

from configs.cluster import ClusterConfig
from infra.cluster import open_cluster
from infra.progress import Patience, work
from tests.tasks.scoring.conftest import as_csv, people

FILES = 24
ROWS = 1500
ALONE = """
import sys
from pathlib import Path
from tasks.records import Stored
from tasks.scoring.run import Question, score
from tasks.scoring.source import source_at
from tasks.scoring.targets import target_at
from tests.tasks.scoring.conftest import SECTION, TRAINING

uri, digest, source, target, table, folder = sys.argv[1:]
question = Question("work", 3, Stored(uri=uri, digest=digest), source_at(source, TRAINING, SECTION), SECTION)
folder = Path(folder)
score(question, target_at(target, table or None), "refuse", folder / "staging" / "one", folder / "kept")
"""


@pytest.fixture
def files(tmp_path):
    for number in range(FILES):
        as_csv(people(ROWS, seed=number), tmp_path / f"people-{number:02d}.csv")
    return tmp_path / "people-*.csv"


def killed(workers, source, target, table, tmp_path, reached):
    """A scoring in a process of its own that is killed once `reached` says so."""
    arguments = [workers.uri, workers.digest, source, target, table or "", tmp_path]
    process = subprocess.Popen([sys.executable, "-c", ALONE, *map(str, arguments)])
    patience = Patience(lambda: work([psutil.Process()]))
    while not reached():
        assert process.poll() is None, "it ended before it could be killed"
        assert not patience.has_run_out()
        time.sleep(0.005)
    process.kill()
    assert process.wait() == -signal.SIGKILL


def test_a_killed_run_goes_on_without_repeating_finished_partitions(run, workers, files, tmp_path):
    staging = tmp_path / "staging" / "one"
    killed(
        workers,
        files,
        tmp_path / "scores",
        None,
        tmp_path,
        lambda: len(list(staging.glob("[!.]*/note.json"))) > 3,
    )
    finished = {note.parent.name: json.loads(note.read_text()) for note in staging.glob("[!.]*/note.json")}
    assert 3 < len(finished) < FILES
    assert not (tmp_path / "scores").exists()
    scored, _, _ = run(files, tmp_path / "scores")
    assert scored.reused == len(finished)
    assert {note["key"]: note for note in scored.notes if note["key"] in finished} == finished
    scores = pd.read_parquet(tmp_path / "scores")
    run(files, tmp_path / "at once", staging=tmp_path / "staging" / "two")
    assert scores.equals(pd.read_parquet(tmp_path / "at once"))
    assert len(scores) == FILES * ROWS
    assert not staging.exists()


def test_a_killed_run_leaves_no_row_twice_in_a_table(run, workers, files, tmp_path):
    database = tmp_path / "scores.db"

    def rows():
        try:
            with sqlite3.connect(database) as connected:
                return connected.execute("SELECT count(*) FROM people").fetchone()[0]
        except sqlite3.OperationalError:
            return 0

    killed(workers, files, f"sqlite:///{database}", "people", tmp_path, lambda: rows() > 3 * ROWS)
    before = rows()
    assert before % ROWS == 0
    assert before < FILES * ROWS
    scored, _, _ = run(files, f"sqlite:///{database}", "people")
    assert scored.reused >= before // ROWS
    with sqlite3.connect(database) as connected:
        names = [name for (name,) in connected.execute("SELECT request_id FROM people")]
        ledger = connected.execute("SELECT count(*) FROM gyre_scored_partitions").fetchone()[0]
    assert len(names) == len(set(names)) == FILES * ROWS
    assert ledger == FILES


def test_a_finished_target_is_not_scored_again(run, files, tmp_path):
    for target, table in (
        (tmp_path / "a", None),
        (tmp_path / "a.csv", None),
        (f"sqlite:///{tmp_path}/a.db", "t"),
    ):
        run(files, target, table)
        scored, _, _ = run(files, target, table)
        assert (scored.reused, scored.now) == (FILES, 0)
        assert sum(note["counts"]["rows"] for note in scored.notes) == FILES * ROWS


def test_rows_that_a_table_has_of_the_source_as_it_was_are_replaced_or_kept_as_asked(run, tmp_path):
    source, database = tmp_path / "people.csv", f"sqlite:///{tmp_path}/scores.db"

    def ids():
        with sqlite3.connect(tmp_path / "scores.db") as connected:
            return sorted(name for (name,) in connected.execute("SELECT id FROM people"))

    run(as_csv(people(10), source), database, "people")
    as_csv(people(12), source)
    with pytest.raises(
        ValueError, match=r"people: holds 1 partitions of .* as it was before; --replace .* --append"
    ):
        run(source, database, "people")
    assert len(ids()) == 10
    run(source, database, "people", existing="append")
    assert len(ids()) == 22
    run(source, database, "people", existing="replace")
    assert ids() == sorted(f"p{number}" for number in range(12))


def test_workers_score_alike_and_one_that_is_killed_costs_no_row(run, files, tmp_path):
    with open_cluster(ClusterConfig(workers=2)) as client:
        victim = next(iter(client.run(os.getpid).values()))
        told = []

        def tell(progress):
            if not told:
                os.kill(victim, signal.SIGKILL)
            told.append(progress)

        run(files, tmp_path / "of two", client=client, tell=tell)
    run(files, tmp_path / "of one", staging=tmp_path / "staging" / "two")
    assert pd.read_parquet(tmp_path / "of two").equals(pd.read_parquet(tmp_path / "of one"))
    assert told[-1].rows <= FILES * ROWS


def test_a_second_run_of_the_same_is_refused_while_the_first_goes_on(run, workers, files, tmp_path):
    from tasks.scoring.run import alone

    with (
        alone(tmp_path / "staging" / "one"),
        pytest.raises(ValueError, match="another run scores this source into this target now"),
    ):
        run(files, tmp_path / "scores")
