"""One training loop on Horovod ranks of a Dask cluster, on DDP ranks of torchrun, and on two processes that know nothing of each other.

python tests/benchmarks/train.py [pairs]      what `make bench-train` runs

Two ranks of one thread, batch 128 a rank; the samples/s of the second epoch, so imports and first allocations
do not count.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"
sys.path.insert(0, str(Path(__file__).parent))

import numpy as np
import pyarrow as pa
import torch

from configs.cluster import ClusterConfig
from configs.intake import ImageIntakeConfig
from configs.result import ClassificationResultConfig
from configs.training import TrainingConfig
from infra.cluster import open_cluster
from infra.ranks.forkserver import ALLOCATOR
from infra.ranks.run import run_on_ranks
from tasks.records import DatasetVersion
from tasks.rows.parts import record_of, write_part
from tasks.training.batches import Batches
from tasks.training.loop import be_deterministic, fit
from tasks.training.messages import EpochEnded
from tasks.training.plan import Plan
from tasks.training.rank import train_rank
from tasks.training.strategy import Ddp, Single

PAIRS = 5
ROWS = 12_800
BATCH = 128
TIMEOUT_S = 600
TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]


def generate(folder):
    """Random images in one Parquet part."""
    draw = np.random.default_rng(0)
    images = draw.integers(0, 256, (ROWS, 784), dtype=np.uint8)
    values = pa.ListArray.from_arrays(
        pa.array(np.arange(0, ROWS * 784 + 1, 784, dtype=np.int32)), pa.array(images.ravel())
    )
    labels = draw.integers(0, 10, ROWS).astype(str)
    write_part(pa.table({"image": values, "label": labels, "split": ["train"] * ROWS}), folder, 0)


def plan(data, folder, ranks):
    """A training of two epochs."""
    facts = {
        "project": "bench",
        "version": 1,
        "tag": "bench/v1",
        "commit": "none",
        "rows": ROWS,
        "splits": {"train": ROWS},
    }
    training = TrainingConfig(
        network="cnn:Cnn", ranks=ranks, epochs=2, batch_size=BATCH * ranks, commit_seconds=1e6
    )
    return Plan(
        dataset=DatasetVersion(**record_of(data).model_dump(), **facts),
        intake=ImageIntakeConfig(kind="image", height=28, width=28, shift=0),
        result=ClassificationResultConfig(kind="classification", classes=tuple("0123456789")),
        training=training,
        folder=folder,
    )


def alone(kind, path):
    """One rank in this process: prints the second epoch's samples/s."""
    torch.set_num_threads(1)
    be_deterministic()
    if kind == "ddp":
        torch.distributed.init_process_group("gloo")
    found = []
    fit(Plan.model_validate_json(Path(path).read_text()), Ddp() if kind == "ddp" else Single(), found.append)
    speeds = [message.samples_per_s for message in found if isinstance(message, EpochEnded)]
    if speeds:
        print(json.dumps(speeds[-1]))
    if kind == "ddp":
        torch.distributed.destroy_process_group()


def horovod(client, made):
    """Samples/s of two ranks on Dask."""
    found = []
    run_on_ranks(client, train_rank, made, 2, TIMEOUT_S, found.append)
    return [message.samples_per_s for message in found if isinstance(message, EpochEnded)][-1]


def processes(*commands):
    """Samples/s that commands print, added up; they run at the same time."""
    # The ranks' settings: what is compared is how they meet, not how they allocate.
    environment = {**os.environ, **ALLOCATOR}
    running = [
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)
        for command in commands
    ]
    total = 0.0
    for process in running:
        out, error = process.communicate(timeout=TIMEOUT_S)
        if process.returncode:
            raise RuntimeError(error[-2000:])
        total += float(out.splitlines()[-1])
    return total


def loaders(made):
    """Samples/s of Gyre's loader and of torch's DataLoader on the same Parquet, with the same batches."""
    batches = Batches(made)
    batches.fit()
    started = time.perf_counter()
    rows = sum(len(share.rows[1]) for share in batches.loader.epoch(0, 0, 1))
    mine = rows / (time.perf_counter() - started)

    class Rows(torch.utils.data.Dataset):
        """The split in memory, a row at a time."""

        def __init__(self):
            frame = batches.loader.sample(ROWS).to_pandas()
            self.images, self.labels = (
                np.stack(frame["image"].to_list()).reshape(-1, 28, 28, 1),
                frame["label"].astype(int).to_numpy(),
            )

        def __len__(self):
            return len(self.images)

        def __getitem__(self, place):
            return torch.from_numpy(self.images[place]), int(self.labels[place])

    started = time.perf_counter()
    seen = sum(
        len(labels) for _, labels in torch.utils.data.DataLoader(Rows(), batch_size=BATCH, shuffle=True)
    )
    return mine, seen / (time.perf_counter() - started)


def main(pairs):
    """Alternates the three, and prints medians of ratios within a round."""
    with (
        tempfile.TemporaryDirectory(prefix="gyre-bench-") as scratch,
        open_cluster(ClusterConfig(workers=2)) as client,
    ):
        base = Path(scratch)
        (base / "rows").mkdir()
        generate(base / "rows")
        over_ddp, over_ceiling, singles = [], [], []
        for number in range(pairs):
            files = []
            for name, ranks in (("ddp", 2), ("one", 1), ("two", 1)):
                files.append(base / f"{name}-{number}.json")
                files[-1].write_text(plan(base / "rows", base / f"{name}-{number}", ranks).model_dump_json())
            made = plan(base / "rows", base / f"horovod-{number}", 2)
            torchrun = [*TORCHRUN, __file__, "ddp", str(files[0])]
            # Whoever comes second finds a warmer machine: they take turns.
            if number % 2:
                theirs, mine = processes(torchrun), horovod(client, made)
            else:
                mine, theirs = horovod(client, made), processes(torchrun)
            ceiling = processes(*([sys.executable, __file__, "single", str(file)] for file in files[1:]))
            over_ddp.append(mine / theirs)
            over_ceiling.append(mine / ceiling)
            singles.append(ceiling / 2)
            print(
                f"  Horovod {mine:.0f}, DDP {theirs:.0f}, two alone {ceiling:.0f} samples/s", file=sys.stderr
            )
        torch.set_num_threads(1)
        loader, torchs = loaders(plan(base / "rows", base / "loader", 1))
    facts = {"horovod_over_ddp": over_ddp, "horovod_over_ceiling": over_ceiling}
    facts = {name: round(statistics.median(values), 3) for name, values in facts.items()}
    facts |= {
        "loader_over_need": round(loader / statistics.median(singles), 1),
        "loader_over_torch": round(loader / torchs, 2),
    }
    print(json.dumps(facts | {"pairs": pairs}))


if __name__ == "__main__":
    if len(sys.argv) > 2:
        alone(sys.argv[1], sys.argv[2])
    else:
        main(int(sys.argv[1]) if len(sys.argv) > 1 else PAIRS)
