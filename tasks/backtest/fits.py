"""The models of a backtest.

Each is trained once, by the training that ranks run, and kept by the digest of what it was made of.

Left out, since no verdict depends on it: data versions in git, MLflow, more than one rank, compression and
ONNX. The answers are the trained network's own; the exported graph gives the same ones (its parity is checked
at every release).
"""

import hashlib
import json
import tempfile
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from configs.backtest import RowsConfig
from configs.intake import IntakeConfig
from configs.result import ResultConfig
from configs.training import TrainingConfig
from infra.files import whole_folder
from tasks.backtest.history import History
from tasks.production.drift_reference import ERROR, MOST, ORIGIN, SOURCE, answer_descriptors, errors_of
from tasks.records import DatasetVersion
from tasks.rows.parts import record_of, write
from tasks.rows.recency import WEIGHT, choose

if TYPE_CHECKING:
    from tasks.intake import Intake
    from tasks.model.model import Model
    from tasks.result import Answers, Result

HELD_OUT = 0.1
"""Share of the rows by which the best epoch is chosen and the errors are known that production is compared with."""
SEED = 7
VERSION = "1"
"""Of the files that a fit leaves."""


@dataclass(frozen=True)
class Sections:
    """What of a project's YAML a model depends on."""

    intake: IntakeConfig
    result: ResultConfig
    training: TrainingConfig


@dataclass(frozen=True)
class Job:
    """A fit that a worker is asked for.

    The history lies in the store, since it is larger than a message should be.
    """

    store: Path
    known: int
    recipe: RowsConfig
    sections: Sections


@dataclass(frozen=True)
class Fitted:
    """A model and its answers to everything that came after its rows."""

    known: int
    """Blocks whose labels it knew, besides the first rows."""
    recipe: str
    answers: pd.DataFrame
    """Descriptors of its answers to the rows from block `known` on.

    `answer`, and `confidence` for classes.
    """
    scores: npt.NDArray[np.float64]
    """The result's score of each of these rows; the mean over a block is the metric."""
    inputs: pd.DataFrame
    """Descriptors of the rows that it learned from.

    What production is compared with, as a bundle keeps it.
    """
    tested: pd.DataFrame
    """Descriptors of its answers to held-out rows, and their errors."""


def fit(history: History, known: int, recipe: RowsConfig, sections: Sections, store: Path) -> Fitted:
    """The model that learned from what was labelled once `known` blocks were.

    From the store where it is there.
    """
    folder = store / key(history, known, recipe, sections)
    if not folder.is_dir():
        with whole_folder(folder) as partial:
            make(history, known, recipe, sections, partial)
    names = ("answers", "inputs", "tested")
    answers, inputs, tested = (pq.read_table(folder / f"{name}.parquet").to_pandas() for name in names)
    return Fitted(
        known, recipe.use, answers.drop(columns="score"), answers["score"].to_numpy(), inputs, tested
    )


def run_job(job: Job) -> int:
    """Makes a fit where the store does not have it; how many blocks it knows."""
    fit(read_history(job.store), job.known, job.recipe, job.sections, job.store)
    return job.known


@lru_cache(maxsize=1)
def read_history(store: Path) -> History:
    """The history of a store, once a process."""
    return History.read(store)


def key(history: History, known: int, recipe: RowsConfig, sections: Sections) -> str:
    """Names a fit: the rows it could see, how it chose among them, and how it is trained and asked."""
    about = [VERSION, history.key, known, recipe.model_dump_json()]
    about += [part.model_dump_json() for part in (sections.intake, sections.result, sections.training)]
    return f"{known:03}-{recipe.use}-{hashlib.sha256(json.dumps(about).encode()).hexdigest()[:16]}"


def make(history: History, known: int, recipe: RowsConfig, sections: Sections, folder: Path) -> None:
    """Trains, asks, and writes what is kept."""
    import torch

    from tasks.intake import build_intake
    from tasks.model.model import load
    from tasks.result import build_result
    from tasks.training.loop import be_deterministic
    from tasks.training.loop import fit as train
    from tasks.training.plan import Plan
    from tasks.training.strategy import Single

    labelled = history.frame.iloc[: history.starts[known]]
    rows = split(choose(labelled, recipe))
    changes = {"strategy": "single", "ranks": 1, "min_ranks": None, "max_ranks": None, "resume": None}
    if recipe.use == "weighted":
        changes["sample_weight"] = WEIGHT
    training = TrainingConfig(**(sections.training.model_dump() | changes))
    with tempfile.TemporaryDirectory() as scratch:
        dataset = stored(rows, Path(scratch) / "rows")
        plan = Plan(
            dataset=dataset,
            intake=sections.intake,
            result=sections.result,
            training=training,
            folder=Path(scratch) / "training",
        )
        be_deterministic()
        # Two threads on cores that others use spend their time waiting for each other.
        torch.set_num_threads(1)
        train(plan, Single(), lambda _: None)
        intake, result = build_intake(sections.intake), build_result(sections.result)
        model = load(record_of(plan.checkpoint), intake, result, training)
    write_answers(history, known, model, intake, result, folder / "answers.parquet")
    write_reference(rows, model, intake, result, folder)


def split(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows with the column `split`: a seeded tenth is held out, old and new ones alike."""
    draw = np.random.RandomState(SEED).rand(len(rows))
    return rows.assign(split=np.where(draw < HELD_OUT, "validation", "train"))


def stored(rows: pd.DataFrame, folder: Path) -> DatasetVersion:
    """Rows as a version that a training takes."""
    folder.mkdir()
    write([rows.assign(id=np.arange(len(rows)).astype(str))], folder)
    counts = rows["split"].value_counts()
    return DatasetVersion(
        **record_of(folder).model_dump(),
        project="backtest",
        version=1,
        tag="backtest/v1",
        commit="",
        rows=len(rows),
        splits={name: int(counts.get(name, 0)) for name in ("train", "validation", "test")},
    )


def ask(model: "Model", intake: "Intake", result: "Result", rows: pd.DataFrame) -> "Answers":
    """The model's answers to rows of the history."""
    import torch

    from tasks.training.evaluate import answers

    return answers(model, result, torch.from_numpy(model.encoder.encode(intake.rows(rows))))


def write_answers(
    history: History, known: int, model: "Model", intake: "Intake", result: "Result", path: Path
) -> None:
    """Answers to all rows from block `known` on, and their scores by block."""
    parts = []
    for number in range(known, history.blocks):
        rows = history.block(number)
        given = ask(model, intake, result, rows)
        scores = result.scores(given, result.targets(rows[result.label]))
        parts.append(result.describe(given).assign(score=scores))
    pq.write_table(pa.Table.from_pandas(pd.concat(parts, ignore_index=True), preserve_index=False), path)


def write_reference(
    rows: pd.DataFrame, model: "Model", intake: "Intake", result: "Result", folder: Path
) -> None:
    """What a bundle keeps of a version's rows and of its answers to the held-out ones (tasks/production/drift_reference.py)."""
    trained, held_out = (sample(rows[rows["split"] == part]) for part in ("train", "validation"))
    given = ask(model, intake, result, held_out)
    wrong = errors_of(result, given, held_out[result.label])
    tested = answer_descriptors(result, given).assign(**{ERROR: wrong})
    for name, frame in (("inputs", intake.describe(intake.rows(trained))), ("tested", tested)):
        table = pa.Table.from_pandas(frame.assign(**{ORIGIN: SOURCE}), preserve_index=False)
        pq.write_table(table.replace_schema_metadata(None), folder / f"{name}.parquet")


def sample(rows: pd.DataFrame) -> pd.DataFrame:
    """At most as many rows as a bundle keeps."""
    return rows.sample(min(MOST, len(rows)), random_state=SEED).reset_index(drop=True)
