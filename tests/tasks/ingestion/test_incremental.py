"""Only what is new is read; a run from the same snapshot gives the same rows.

Nothing is doubled or left half.
"""

import os
import signal
import subprocess
import threading
import time

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import sqlalchemy as sa

from configs.cluster import ClusterConfig
from configs.intake import TabularIntakeConfig
from configs.result import ClassificationResultConfig
from configs.source import ColumnConfig, JoinConfig, SourceConfig, SqlConfig
from infra.cluster import open_cluster
from tasks.garbage_collection.disk_usage import bytes_of_these_alone
from tasks.garbage_collection.partitions import remove_partitions, unused_partitions
from tasks.ingestion.raw_rows import ingest, take_snapshot
from tasks.production.prediction_log import PredictionLog
from tasks.rows.parts import part_paths, read

HEAD = "id,height,kind\n"
SIZES = TabularIntakeConfig(kind="tabular", numeric=("height",))
KINDS = ClassificationResultConfig(kind="classification", classes=("cat", "dog"), label="kind")


@pytest.fixture
def files(tmp_path):
    def write(**contents):
        (tmp_path / "data").mkdir(exist_ok=True)
        for name, text in contents.items():
            (tmp_path / "data" / f"{name}.csv").write_text(HEAD + text)
        return SourceConfig(reader="csv", path=str(tmp_path / "data" / "*.csv"))

    return write


def test_a_late_file_is_all_that_is_read_and_never_doubles_rows(run, files):
    first, _, _ = run(files(b="1,1,cat\n2,2,dog\n"))
    again, _, _ = run(files(), name="again")
    more, frame, _ = run(files(a="0,0,cat\n"), name="more")
    assert (first.read, again.read, more.read) == (1, 0, 1)
    assert again.rows.digest == first.rows.digest
    assert frame["id"].to_list() == ["0", "1", "2"]


def test_a_changed_file_alone_is_read_again_and_the_other_parts_keep_their_bytes(run, files, tmp_path):
    first, _, _ = run(files(a="1,1,cat\n", b="2,2,dog\n"))
    before = [path.read_bytes() for path in part_paths(tmp_path / "outcomes" / "rows")]
    more, frame, _ = run(files(b="2,5,dog\n"), name="more")
    after = [path.read_bytes() for path in part_paths(tmp_path / "outcomes" / "more")]
    assert (first.read, more.read) == (2, 1)
    assert frame["height"].to_list() == [1, 5]
    assert (before[0] == after[0], before[1] == after[1]) == (True, False)


def test_an_old_snapshot_gives_its_rows_after_the_source_changed(run, files):
    first, _, found = run(files(a="1,1,cat\n"))
    source = files(a="1,9,cat\n", b="2,2,dog\n")
    run(source, name="changed")
    again, frame, _ = run(source, found=found, name="again")
    assert again.rows.digest == first.rows.digest
    assert frame["height"].to_list() == [1]


def test_a_kept_partition_that_was_damaged_is_read_again(run, files, tmp_path):
    first, _, _ = run(files(a="1,1,cat\n"))
    (part,) = (tmp_path / "slices").glob("*/part-*.parquet")
    part.unlink()
    part.write_bytes(b"damaged")
    again, _, _ = run(files(), name="again")
    assert (again.read, again.rows.digest) == (1, first.rows.digest)


def test_a_row_of_a_later_file_takes_the_place_of_an_earlier_one(run, files, tmp_path):
    made, frame, _ = run(files(a="1,1,cat\n2,2,cat\n", b="2,7,dog\n"))
    assert made.duplicates == 1
    assert frame[["id", "height", "origin", "origin_line"]].values.tolist() == [
        ["1", 1, "a.csv", 2],
        ["2", 7, "b.csv", 2],
    ]
    kept = (tmp_path / "slices").glob("*/part-*.parquet")
    assert sorted(pq.read_metadata(path).num_rows for path in kept) == [1, 2], (
        "the kept partition has both its rows"
    )


def test_keys_of_several_columns_and_of_all(run, files):
    source = files(a="1,1,cat\n1,2,cat\n1,2,cat\n1,3,c|t\n")
    columns = renamed() | {"pet": ColumnConfig(type="text", source="id")}
    del columns["id"]
    _, frame, _ = run(source.model_copy(update={"key": ("pet", "kind"), "columns": columns}))
    assert frame[["id", "height"]].values.tolist() == [["1|cat", 2], [r"1|c\|t", 3]]
    made, frame, _ = run(source.model_copy(update={"key": "*", "columns": columns}), name="all")
    assert made.duplicates == 1
    assert frame["id"].str.len().to_list() == [64] * 3


def renamed():
    """The contract of files whose `id` names no row."""
    return {
        "id": ColumnConfig(type="text"),
        "height": ColumnConfig(type="number"),
        "kind": ColumnConfig(type="text"),
    }


def test_a_source_that_is_appended_comes_after_and_keeps_the_contract(run, files, tmp_path):
    (tmp_path / "more.jsonl").write_text('{"id": "1", "height": 8.5, "kind": "dog"}\n')
    more = SourceConfig(reader="jsonl", path=str(tmp_path / "more.jsonl"))
    _, frame, _ = run(
        files(a="1,1,cat\n3,3,cat\n").model_copy(update={"columns": renamed(), "append": (more,)})
    )
    assert frame[["id", "height", "origin"]].values.tolist() == [["3", 3, "a.csv"], ["1", 8.5, "more.jsonl"]]


def test_joined_columns_stand_beside_their_rows(run, files, tmp_path):
    (tmp_path / "owners.csv").write_text("kind,owner\ncat,Ann\n")
    other = SourceConfig(reader="csv", path=str(tmp_path / "owners.csv"))
    source = files(a="1,1,cat\n2,2,dog\n3,3,cat\n")
    _, frame, _ = run(source.model_copy(update={"join": (JoinConfig(source=other, on="kind"),)}))
    assert frame["owner"].astype(object).where(frame["owner"].notna(), None).to_list() == ["Ann", None, "Ann"]
    _, frame, _ = run(
        source.model_copy(update={"join": (JoinConfig(source=other, on="kind", how="inner"),)}), name="inner"
    )
    assert frame[["id", "origin_line"]].values.tolist() == [["1", 2], ["3", 4]]
    (tmp_path / "owners.csv").write_text("kind,owner\ncat,Ann\ncat,Bob\n")
    with pytest.raises(
        ValueError, match=r"join with source .*owners.csv: kind 'cat' comes 2 times; a join would double rows"
    ):
        run(source.model_copy(update={"join": (JoinConfig(source=other, on="kind"),)}), name="twice")


def test_the_first_rows_alone_make_a_trial(run, files):
    made, frame, _ = run(files(a="1,1,cat\n2,2,dog\n", b="3,3,cat\n4,4,cat\n").model_copy(update={"rows": 3}))
    assert made.rows.rows == 3
    assert frame["id"].to_list() == ["1", "2", "3"]


def test_a_watermark_adds_ranges_that_never_change(run, tmp_path):
    url = f"sqlite:///{tmp_path / 'pets.db'}"
    engine = sa.create_engine(url, poolclass=sa.NullPool)
    with engine.begin() as connected:
        connected.execute(sa.text("CREATE TABLE pets (id INTEGER, height REAL, kind TEXT, changed INTEGER)"))
        connected.execute(sa.text("INSERT INTO pets VALUES (1, 1, 'cat', 10), (2, 2, 'dog', 20)"))
    source = SourceConfig(reader="sql", path=url, sql=SqlConfig(table="pets"), watermark="changed")
    first, _, found = run(source)
    same, _, _ = run(source, name="same")
    with engine.begin() as connected:
        connected.execute(sa.text("INSERT INTO pets VALUES (1, 9, 'cat', 30)"))
    more, frame, _ = run(source, name="more")
    assert (first.read, same.read, more.read) == (1, 0, 1)
    assert (same.rows.digest, more.duplicates) == (first.rows.digest, 1)
    assert frame[["id", "height"]].values.tolist() == [["2", 2], ["1", 9]]
    old, _, _ = run(source, found=found, name="old")
    assert old.rows.digest == first.rows.digest


@pytest.fixture
def dump(tmp_path):
    """A file of each kind that is written anew as a whole, with the time of change of each row."""

    def write(kind, rows, name="dump"):
        frame = pd.DataFrame(rows, columns=["id", "height", "kind", "changed"])
        path = tmp_path / "data" / f"{name}.{kind}"
        path.parent.mkdir(exist_ok=True)
        match kind:
            case "csv":
                frame.to_csv(path, index=False)
            case "jsonl":
                frame.to_json(path, orient="records", lines=True)
            case "parquet":
                frame.to_parquet(path, index=False)
        types = {"id": "text", "height": "number", "kind": "text", "changed": "integer"}
        columns = {name: ColumnConfig(type=kind) for name, kind in types.items()} if kind == "csv" else {}
        return SourceConfig(
            reader=kind, path=str(tmp_path / "data" / f"*.{kind}"), watermark="changed", columns=columns
        )

    return write


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
def test_of_a_file_that_is_written_anew_only_rows_above_its_watermark_are_new(run, dump, tmp_path, kind):
    first, _, found = run(dump(kind, [(1, 1, "cat", 9), (2, 2, "dog", 10)]))
    same, _, _ = run(dump(kind, [(1, 5, "dog", 9), (2, 2, "dog", 10)]), name="same")
    more, frame, _ = run(
        dump(kind, [(1, 5, "dog", 9), (2, 2, "dog", 10), (2, 7, "cat", 30), (3, 3, "cat", None)]), name="more"
    )
    assert (first.read, same.read, more.read) == (1, 0, 1)
    assert (same.rows.digest, more.duplicates) == (first.rows.digest, 1)
    assert frame[["id", "height"]].values.tolist() == [["1", 1], ["2", 7]]
    late, frame, _ = run(dump(kind, [(1, 4, "cat", 3), (4, 4, "cat", 4)], name="a"), name="late")
    assert (late.read, late.duplicates) == (1, 2)
    assert frame[["id", "height"]].values.tolist() == [["4", 4], ["1", 1], ["2", 7]]
    old, _, _ = run(dump(kind, [(2, 8, "cat", 40)]), found=found, name="old")
    assert old.rows.digest == first.rows.digest


def test_a_watermark_that_is_no_column_is_named(run, dump):
    source = dump("jsonl", [(1, 1, "cat", 9)]).model_copy(update={"watermark": "when"})
    with pytest.raises(ValueError, match=r"no column 'when' \(source.watermark\) \(it has id, height"):
        run(source)


def test_a_source_that_fails_half_way_leaves_nothing_visible(run, files, tmp_path):
    source = files(a="1,1,cat\n", b="2,2,dog\n,3,dog\n")
    with pytest.raises(ValueError, match=r"b.csv: 1 rows have no 'id' \(the first in line 3\)"):
        run(source)
    assert not (tmp_path / "outcomes").exists()
    deadline = time.monotonic() + 30
    while list((tmp_path / "slices").glob(".*")):  # the other worker may be at a partition yet
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_worker_that_is_killed_changes_no_byte(tmp_path, files):
    contents = {
        f"f{number}": "".join(f"{number}-{row},{row},cat\n" for row in range(60_000)) for number in range(12)
    }
    source, digests = files(**contents), []
    for name, kill in (("calm", False), ("killed", True)):
        kept = tmp_path / name
        with open_cluster(ClusterConfig(workers=2)) as client:
            found = take_snapshot(
                "pets", source, SIZES, KINDS, PredictionLog(tmp_path / "log"), tmp_path / "o", kept
            )
            pids = list(client.run(os.getpid).values())
            watcher = threading.Thread(target=kill_in_the_middle, args=(kept, pids[0]), daemon=True)
            if kill:
                watcher.start()
            made = ingest(found, source, SIZES, KINDS, client, tmp_path / "o" / name, kept)
            if kill:
                watcher.join(30)
                assert pids[0] not in client.run(os.getpid).values()
        digests.append(made.rows.digest)
        assert not list(kept.glob(".*"))
    assert digests[0] == digests[1]
    assert len(read(made.rows)) == 720_000


def kill_in_the_middle(kept, pid):
    """Kills a worker once some partitions are there."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and len(list(kept.glob("*/partition.json"))) < 2:
        time.sleep(0.005)
    os.kill(pid, signal.SIGKILL)


def test_partitions_that_no_run_asks_for_are_cleared_and_read_again(run, files, tmp_path):
    kept = tmp_path / "slices"
    first, _, _ = run(files(a="1,1,cat\n", b="2,2,dog\n"))
    (tmp_path / "data" / "b.csv").unlink()
    for note in kept.glob("*/partition.json"):
        os.utime(note, (0, 0))
    run(files(), name="without b")
    gone = unused_partitions(kept, days=1)
    assert len(gone) == 1
    assert bytes_of_these_alone(gone) < sum(path.stat().st_size for path in gone[0].iterdir())
    remove_partitions(gone)
    assert unused_partitions(kept, days=1) == []
    again, _, _ = run(files(b="2,2,dog\n"), name="again")
    assert (again.read, again.rows.digest) == (1, first.rows.digest)


def test_a_full_disk_is_named_and_nothing_half_written_stays(client, files, tmp_path):
    if os.geteuid() != 0:
        pytest.skip("mounting a small disk needs root")
    small = tmp_path / "small"
    small.mkdir()
    try:
        subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", small], check=True, capture_output=True
        )
    except (FileNotFoundError, subprocess.CalledProcessError) as error:
        pytest.skip(f"no small disk could be mounted: {error}")
    try:
        draw = np.random.default_rng(0)
        source = files(a="".join(f"{draw.bytes(32).hex()},{draw.random()},cat\n" for _ in range(60_000)))
        found = take_snapshot(
            "pets",
            source,
            SIZES,
            KINDS,
            PredictionLog(tmp_path / "log"),
            tmp_path / "outcomes",
            small / "slices",
        )
        with pytest.raises(
            OSError, match=rf"no space left in {small}.*: the rows of .*csv do not fit, \d MB are free"
        ):
            ingest(found, source, SIZES, KINDS, client, small / "rows", small / "slices")
        assert not (small / "rows").exists()
        assert not list((small / "slices").iterdir())
    finally:
        subprocess.run(["umount", "--lazy", small], check=True)
