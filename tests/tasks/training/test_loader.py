"""The loader: each row once an epoch, the same order for any number of ranks, flat memory."""

import subprocess
import sys
import threading

import numpy as np
import pyarrow as pa
import pytest

from tasks.rows.parts import part_writer
from tasks.training.loader import Loader

ROWS = 1000


@pytest.fixture
def folder(tmp_path):
    """Three parts of small row groups; every fifth row is a test row."""
    numbers = np.arange(ROWS)
    table = pa.table({"number": numbers, "split": np.where(numbers % 5 == 4, "test", "train")})
    for part, piece in enumerate((table[:400], table[400:410], table[410:])):
        with part_writer(tmp_path / f"part-{part:05d}.parquet") as add:
            for start in range(0, len(piece), 64):
                add(piece[start : start + 64])
    return tmp_path


def loader(folder, batch_size=48, window_bytes=1500, split="train"):
    return Loader(
        folder,
        split,
        ["number"],
        lambda table: (table["number"].to_pylist(),),
        batch_size,
        seed=3,
        window_bytes=window_bytes,
    )


def epoch(found, number=1, ranks=1, first=0):
    """The global batches, put together from what each rank gets."""
    shares = [list(found.epoch(number, rank, ranks, first)) for rank in range(ranks)]
    return [
        [row for share in batch for row in share.rows[0][: share.end - share.start]]
        for batch in zip(*shares, strict=True)
    ]


def test_an_epoch_holds_every_row_of_the_split_once(folder):
    found = loader(folder)
    batches = epoch(found)
    assert sorted(row for batch in batches for row in batch) == [
        number for number in range(ROWS) if number % 5 != 4
    ]
    assert [len(batch) for batch in batches] == [48] * 16 + [32]
    assert (found.rows, found.steps) == (800, 17)


@pytest.mark.parametrize("ranks", [2, 3, 4, 64])
def test_the_order_does_not_depend_on_the_number_of_ranks(folder, ranks):
    assert epoch(loader(folder), ranks=ranks) == epoch(loader(folder))


def test_every_rank_has_a_row_in_every_batch(folder):
    assert all(
        len(share.rows[0]) >= 1 for share in loader(folder, batch_size=999).epoch(1, rank=63, ranks=64)
    )


def test_epochs_differ_and_an_epoch_repeats_itself(folder):
    found = loader(folder)
    assert epoch(found, 1) != epoch(found, 2)
    assert epoch(found, 1) == epoch(loader(folder), 1)


@pytest.mark.parametrize("first", [1, 7, 16, 17])
def test_an_epoch_goes_on_from_any_batch(folder, first):
    assert epoch(loader(folder), first=first, ranks=2) == epoch(loader(folder))[first:]


def test_a_split_that_fits_into_a_window_is_shuffled_as_a_whole(folder):
    first = epoch(loader(folder, window_bytes=2**20))[0]
    assert max(first) - min(first) > 800


def test_the_reader_thread_ends_with_the_epoch_and_with_an_early_stop(folder):
    before = threading.active_count()
    batches = loader(folder).epoch(1, 0, 1)
    next(batches)
    batches.close()
    epoch(loader(folder))
    assert threading.active_count() == before


def test_an_error_while_decoding_is_raised_in_the_training(folder):
    def broken(table):
        raise ValueError("row 7 is no image")

    found = Loader(folder, "train", ["number"], broken, 10, seed=1)
    with pytest.raises(ValueError, match="row 7 is no image"):
        next(found.epoch(1, 0, 1))


PEAK = """
import sys
import numpy as np, pyarrow as pa
from pathlib import Path
from tasks.rows.parts import part_writer
from tasks.training.loader import Loader
folder, rows = Path(sys.argv[1]), int(sys.argv[2])
with part_writer(folder / "part-00000.parquet") as add:
    for start in range(0, rows, 5000):
        add(pa.table({"values": list(np.random.default_rng(start).random((5000, 100), dtype=np.float32)), "split": ["train"] * 5000}))
loader = Loader(folder, "train", ["values"], lambda table: (np.stack(table["values"].to_pylist()),), 100, 1, window_bytes=8 * 2**20)
assert sum(len(share.rows[0]) for share in loader.epoch(1, 0, 1)) == rows
print(int(next(line for line in open("/proc/self/status") if line.startswith("VmHWM")).split()[1]) // 1024)
"""


def test_memory_does_not_grow_with_the_rows(tmp_path):
    def peak(rows):
        (folder := tmp_path / str(rows)).mkdir()
        done = subprocess.run(
            [sys.executable, "-c", PEAK, str(folder), str(rows)],
            capture_output=True,
            text=True,
            timeout=200,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return int(done.stdout)

    small, large = peak(20_000), peak(200_000)
    assert large < small + 60, f"{small} MiB for 20,000 rows, {large} MiB for 200,000, which are 80 MB"
