"""How often a look finds what moved, and how often it alarms where nothing did.

By rows, move and kind of descriptor.

.venv/bin/python tests/benchmarks/drift_quality.py

Twenty normal columns, or eight awkward ones (heavy tails, ties, rare values, many texts), against 2,000
reference rows at the defaults of `monitoring:`; then real images and texts before a small network that was
trained on others of them, where `$GYRE_DATA` (default ../shared/data) has them. The last line is a JSON
object: by kind and rows, `looks` at an unchanged world, `alarmed` (streams that ever alarmed, or of real rows
looks, each as the first one), and the share found, `power` by the move of the first column in standard
deviations, `found` by what was changed.
"""

import io
import json
import os
import tarfile
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from configs.intake import ImageIntakeConfig, TextIntakeConfig
from configs.monitoring import MonitoringConfig
from tasks.monitoring.verdict.judgement import judge
from tasks.monitoring.verdict.values import of_frame
from tests.tasks.monitoring.trained import Trained

ROWS, MOVES = (30, 100, 1000, 10_000, 100_000), (0.1, 0.2, 0.3, 0.5, 1.0)
REFERENCE, STREAMS, LOOKS, TRIALS = 2000, 2, 100, 10
MOST_DRAWN = 300_000
"""Rows that one cell of the table may draw for its streams, or for one move.

Larger windows take fewer looks and trials.
"""
REAL_ROWS, REAL_LOOKS = (100, 300), 20
DATA = Path(os.environ.get("GYRE_DATA", Path(__file__).parents[3] / "shared" / "data"))
Draw = Callable[[np.random.Generator, int, float], pd.DataFrame]
Change = Callable[[pd.DataFrame], pd.DataFrame]


def normal(draw: np.random.Generator, rows: int, move: float) -> pd.DataFrame:
    """Twenty normal columns, the first one moved."""
    values = draw.normal(size=(rows, 20))
    values[:, 0] += move
    return pd.DataFrame(values, columns=[f"column {number}" for number in range(20)])


def awkward(draw: np.random.Generator, rows: int, move: float) -> pd.DataFrame:
    """The first column has two kinds whose share moves by so many standard deviations of being one of them."""
    return pd.DataFrame(
        {
            "kind": np.where(draw.random(rows) < min(1.0, 0.5 + move / 2), "a", "b"),
            "cauchy": draw.standard_cauchy(rows),
            "lognormal": np.exp(2 * draw.normal(size=rows)),
            "rare": (draw.random(rows) < 0.01).astype(float),
            "counts": draw.poisson(0.3, rows).astype(float),
            "gaps": np.where(draw.random(rows) < 0.02, np.nan, draw.normal(size=rows)),
            "postcode": draw.integers(0, 1000, rows).astype(str),
            "identity": draw.integers(0, 10**9, rows).astype(str),
        }
    )


def main() -> None:
    """Prints the table, then the JSON object."""
    told: dict[str, object] = {}
    started = time.perf_counter()
    for name, kind in {"normal": normal, "awkward": awkward}.items():
        for rows in ROWS:
            told[f"{name} {rows}"] = cell(kind, rows)
            print(name, rows, told[f"{name} {rows}"], flush=True)
    for name, project in {"digits": digits, "photos": photos, "messages": messages}.items():
        if not DATA.is_dir():
            print(name, f"left out: no data sets in {DATA}; set GYRE_DATA")
            continue
        with tempfile.TemporaryDirectory() as folder:
            trained, asked, changes = project(Path(folder))
            for rows in REAL_ROWS:
                told[f"{name} {rows}"] = real_cell(trained, asked, changes, rows)
                print(name, rows, told[f"{name} {rows}"], flush=True)
    told["seconds"] = round(time.perf_counter() - started)
    print(json.dumps(told))


def cell(kind: Draw, rows: int) -> dict[str, object]:
    """False alarms and power of one kind of descriptors at one number of rows."""
    draw = np.random.default_rng(rows)
    looks = min(LOOKS, max(1, MOST_DRAWN // rows // STREAMS))
    alarmed = 0
    for _ in range(STREAMS):
        then = kind(draw, REFERENCE, 0.0)
        alarmed += any(drifted(kind(draw, rows, 0.0), then, look) for look in range(1, looks + 1))
    power = {}
    trials = min(TRIALS, max(2, MOST_DRAWN // rows))
    for move in MOVES:
        found = [
            drifted(kind(draw, rows, move), kind(draw, REFERENCE, 0.0), 1, first=True) for _ in range(trials)
        ]
        power[str(move)] = float(np.mean(found))
    return {"streams": STREAMS, "looks": looks, "alarmed": alarmed, "trials": trials, "power": power}


def drifted(now: pd.DataFrame, then: pd.DataFrame, look: int, first: bool = False) -> bool:
    """Whether a look finds any descriptor drifted, or the first one."""
    found = judge(of_frame(now), of_frame(then), MonitoringConfig().threshold, look)
    return any(each.drifted and (not first or each.name == then.columns[0]) for each in found)


def real_cell(
    trained: Trained, asked: pd.DataFrame, changes: Mapping[str, Change], rows: int
) -> dict[str, object]:
    """Looks at rows drawn of those that are asked, as they are and changed."""
    draws = [asked.sample(rows, random_state=number).reset_index(drop=True) for number in range(REAL_LOOKS)]
    alarmed = sum(bool(trained.drifted(each)) for each in draws)
    found = {}
    for name, change in changes.items():
        found[name] = float(np.mean([bool(trained.drifted(change(each))) for each in draws[:5]]))
    return {"looks": REAL_LOOKS, "alarmed": alarmed, "found": found}


def digits(folder: Path) -> tuple[Trained, pd.DataFrame, dict[str, Change]]:
    """Every twelfth scan of MNIST."""
    frame = pictures("mnist", 28, every=12, most=5000)
    frame["label"] = [Path(name).parent.name for name in frame["file"]]
    trained = Trained(folder, ImageIntakeConfig(kind="image", height=28, width=28), frame[:3500], 2500, 2)
    changes: dict[str, Change] = {
        "turned by 90 degrees": on_pixels(28, 28, 1, lambda each: np.rot90(each, axes=(1, 2))),
        "fainter by 15 %": on_pixels(28, 28, 1, lambda each: 0.85 * each),
        "grey paper": on_pixels(28, 28, 1, lambda each: 120 + 0.35 * each),
        "noise of 12 levels": on_pixels(28, 28, 1, add_noise),
        "five of ten categories": lambda rows: rows[rows["label"].isin(list("01234"))],
    }
    return trained, frame[3500:], changes


def photos(folder: Path) -> tuple[Trained, pd.DataFrame, dict[str, Change]]:
    """Photographs of CIFAR-10."""
    frame = pictures("cifar10", 32, every=1, most=4500)
    labels = pd.read_csv(DATA / "cifar10" / "labels.csv").set_index("file")["clean_label"].astype(str)
    labels.index = [Path(name).name for name in labels.index]
    frame["label"] = [labels[Path(name).name] for name in frame["file"]]
    section = ImageIntakeConfig(kind="image", height=32, width=32, channels=3)
    trained = Trained(folder, section, frame[:3000], 2000, 2)
    changes: dict[str, Change] = {
        "turned by 90 degrees": on_pixels(32, 32, 3, lambda each: np.rot90(each, axes=(1, 2))),
        "a tenth less red, a tenth more blue": on_pixels(32, 32, 3, lambda each: each * [0.9, 1.0, 1.1]),
        "noise of 12 levels": on_pixels(32, 32, 3, add_noise),
        "five of ten categories": lambda rows: rows[rows["label"].isin(sorted(labels.unique())[:5])],
    }
    return trained, frame[3000:], changes


def messages(folder: Path) -> tuple[Trained, pd.DataFrame, dict[str, Change]]:
    """Short messages; and questions to a bank, which are none."""
    lines = (DATA / "text" / "sms_spam.tsv").read_text(encoding="utf-8").splitlines()
    frame = pd.DataFrame([line.split("\t", 1) for line in lines], columns=["label", "text"])
    frame = frame.sample(frac=1, random_state=0).reset_index(drop=True)
    others = pd.read_csv(DATA / "text" / "banking77_test.csv")["text"]
    trained = Trained(folder, TextIntakeConfig(kind="text"), frame[:4000], 3000, 3)

    def out_of_scope(rows: pd.DataFrame) -> pd.DataFrame:
        return rows.assign(text=others.sample(len(rows), random_state=len(rows)).to_list())

    def half(rows: pd.DataFrame) -> pd.DataFrame:
        return pd.concat([rows[: len(rows) // 2], out_of_scope(rows)[len(rows) // 2 :]])

    changes: dict[str, Change] = {
        "out of scope": out_of_scope,
        "the newer half out of scope": half,
        "vowels hit wrongly": lambda rows: rows.assign(
            text=rows["text"].str.replace("[aeiou]", "j", regex=True)
        ),
        "shouted": lambda rows: rows.assign(text=rows["text"].str.upper()),
        "ham alone": lambda rows: rows[rows["label"] == "ham"],
    }
    return trained, frame[4000:], changes


def pictures(name: str, side: int, every: int, most: int) -> pd.DataFrame:
    """Every so many images of an archive, shuffled: columns file and image."""
    from PIL import Image

    files, images = [], []
    with tarfile.open(DATA / name / "train.tar.gz") as archive:
        found = (member for member in archive if member.name.endswith((".png", ".jpg")))
        for number, member in enumerate(found):
            if number % every:
                continue
            content = archive.extractfile(member)
            assert content
            image = np.asarray(Image.open(io.BytesIO(content.read())))
            assert image.shape[0] == side
            files.append(member.name)
            images.append(image.ravel())
            if len(files) >= most:
                break
    return (
        pd.DataFrame({"file": files, "image": images}).sample(frac=1, random_state=0).reset_index(drop=True)
    )


def on_pixels(
    height: int,
    width: int,
    channels: int,
    change: Callable[[npt.NDArray[np.float64]], npt.NDArray[np.float64]],
) -> Change:
    """A change of images as one of rows."""

    def changed(rows: pd.DataFrame) -> pd.DataFrame:
        pixels = np.stack(rows["image"].to_list()).reshape(-1, height, width, channels).astype(np.float64)
        made = np.clip(change(pixels), 0, 255).astype(np.uint8)
        return rows.assign(image=list(made.reshape(len(rows), -1)))

    return changed


def add_noise(pixels: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Normal noise of 12 grey levels, seeded."""
    return pixels + np.random.default_rng(0).normal(0, 12, pixels.shape)


if __name__ == "__main__":
    main()
