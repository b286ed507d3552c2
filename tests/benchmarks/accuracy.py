"""The default network and settings of each intake on real data sets, on two ranks.

What `make bench-accuracy` runs.

python tests/benchmarks/accuracy.py [name ...]      mnist, cifar10, adult, banking77, bike_r2; by default all

Held out: the last 10,000 images of MNIST and CIFAR-10, the files that Adult and Banking77 are tested with, a
shuffled fifth of bike sharing. Minutes are those of training and evaluation. Data sets are read from
$GYRE_DATA, or ../shared/data beside the checkout.
"""

import io
import json
import os
import sys
import tarfile
import tempfile
import time
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pandas as pd
import torch
from PIL import Image

from configs.cluster import ClusterConfig
from configs.intake import ImageIntakeConfig, TextIntakeConfig
from configs.load import load
from configs.result import ClassificationResultConfig
from configs.training import TrainingConfig
from infra.cluster import open_cluster
from tasks.records import DatasetVersion
from tasks.rows.parts import record_of, write
from tasks.training.distributed import train_on_ranks
from tasks.training.evaluate import evaluate
from tasks.training.messages import EpochEnded
from tasks.training.plan import Plan

DATA = Path(os.environ.get("GYRE_DATA", Path(__file__).parents[3] / "shared" / "data"))
HELD_OUT = 10_000
VALIDATION = 0.1


def say(*words):
    print(*words, file=sys.stderr, flush=True)


def images(path, mode):
    """Names and pixels of an archive's images, in the order of their names."""
    with tarfile.open(path) as archive:
        found = {
            member.name: np.asarray(
                Image.open(io.BytesIO(archive.extractfile(member).read())).convert(mode)
            ).reshape(-1)
            for member in archive
            if member.name.endswith((".png", ".jpg"))
        }
    return dict(sorted(found.items(), key=lambda item: int(Path(item[0]).stem)))


def last_held_out(frame):
    return frame.assign(split=["train"] * (len(frame) - HELD_OUT) + ["test"] * HELD_OUT)


def mnist():
    found = images(DATA / "mnist" / "train.tar.gz", "L")
    frame = pd.DataFrame({"image": list(found.values()), "label": [Path(name).parent.name for name in found]})
    result = ClassificationResultConfig(kind="classification", classes=tuple("0123456789"))
    return last_held_out(frame), ImageIntakeConfig(kind="image", height=28, width=28), result


def cifar10():
    found = images(DATA / "cifar10" / "train.tar.gz", "RGB")
    labels = pd.read_csv(DATA / "cifar10" / "labels.csv", index_col="file")["clean_label"].astype(str)
    frame = pd.DataFrame({"image": list(found.values()), "label": labels.loc[list(found)].to_list()})
    result = ClassificationResultConfig(kind="classification", classes=tuple("0123456789"))
    return last_held_out(frame), ImageIntakeConfig(kind="image", height=32, width=32, channels=3), result


def adult():
    project = load("adult")
    columns = [
        "age",
        "workclass",
        "fnlwgt",
        "education",
        "education_num",
        "marital_status",
        "occupation",
        "relationship",
        "race",
        "sex",
    ]
    columns += ["capital_gain", "capital_loss", "hours_per_week", "native_country", "income"]
    options = {"names": columns, "skipinitialspace": True, "na_values": "?"}
    parts = [
        pd.read_csv(DATA / "tabular" / f"adult-{split}.csv", **options).assign(split=split)
        for split in ("train", "test")
    ]
    frame = pd.concat(parts, ignore_index=True)
    return frame.assign(income=frame["income"].str.rstrip(".")), project.intake, project.result


def banking77():
    parts = [
        pd.read_csv(DATA / "text" / f"banking77_{split}.csv").assign(split=split)
        for split in ("train", "test")
    ]
    frame = pd.concat(parts, ignore_index=True).rename(columns={"category": "label"})
    result = ClassificationResultConfig(kind="classification", classes=tuple(sorted(frame["label"].unique())))
    return frame, TextIntakeConfig(kind="text"), result


def bike_r2():
    project = load("bike_sharing")
    frame = pd.read_csv(DATA / "drift" / "bike_sharing_hour.csv")
    frame["dteday"] = pd.to_datetime(frame["dteday"], format="%m/%d/%Y")
    draws = np.random.default_rng(0).random(len(frame))
    for column in project.intake.categorical:
        frame[column] = frame[column].astype(str)
    return frame.assign(split=np.where(draws < 0.2, "test", "train")), project.intake, project.result


def version(name, frame, folder):
    """A data set version of the rows; a tenth of the training rows, drawn, is for validation."""
    draws = np.random.default_rng(1).random(len(frame))
    split = frame["split"].where((frame["split"] == "test") | (draws >= VALIDATION), "validation")
    rows = frame.assign(split=split, id=[str(number) for number in range(len(frame))])
    folder.mkdir()
    write((rows[start : start + 10_000] for start in range(0, len(rows), 10_000)), folder)
    splits = split.value_counts().to_dict()
    return DatasetVersion(
        **record_of(folder).model_dump(),
        project=name,
        version=1,
        tag=f"{name}/v1",
        commit="none",
        rows=len(rows),
        splits=splits,
    )


def measure(name, read, client, folder):
    """The result's own metric on the held-out rows, and minutes."""
    frame, intake, result = read()
    rows = version(name, frame, folder / "rows")
    plan = Plan(dataset=rows, intake=intake, result=result, training=TrainingConfig(), folder=folder)
    say(f"{name}: {rows.splits}")
    started = time.perf_counter()
    train_on_ranks(
        client, plan, lambda message: say(name, message) if isinstance(message, EpochEnded) else None
    )
    metrics = evaluate(plan, record_of(plan.checkpoint))[0]
    found = {
        "value": round(next(iter(metrics.values())), 4),
        "minutes": round((time.perf_counter() - started) / 60, 2),
    }
    say(name, found)
    return found


def main():
    torch.set_num_threads(1)
    read = {"mnist": mnist, "cifar10": cifar10, "adult": adult, "banking77": banking77, "bike_r2": bike_r2}
    results = {}
    with (
        tempfile.TemporaryDirectory(prefix="gyre-bench-") as folder,
        open_cluster(ClusterConfig(workers=2)) as client,
    ):
        for name in sys.argv[1:] or read:
            (Path(folder) / name).mkdir()
            results[name] = measure(name, read[name], client, Path(folder) / name)
    print(json.dumps(results))


if __name__ == "__main__":
    main()
