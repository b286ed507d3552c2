"""Released versions of small real bundles, and sources of rows for them."""

import numpy as np
import pandas as pd
import pytest

from configs.intake import TabularIntakeConfig
from configs.source import SourceConfig
from tasks.records import Stored
from tasks.rows.parts import record_of
from tasks.scoring.run import Question, score
from tasks.scoring.source import source_at
from tasks.scoring.targets import target_at
from tests.tasks.export.conftest import classes_of, core, images, make_bundle, photos, texts  # noqa: F401

WORK = ["Private", "State-gov", "Self-emp-not-inc"]


def people(rows, seed=1):
    """Rows as the source has them: numbers, categories, dates with the day first, and gaps."""
    draw = np.random.default_rng(seed)
    born = pd.to_datetime("1960-01-01") + pd.to_timedelta(draw.integers(0, 9000, rows), "D")
    age = draw.integers(17, 90, rows).astype(float)
    age[::10] = np.nan
    return pd.DataFrame(
        {
            "id": [f"p{number}" for number in range(rows)],
            "age": age,
            "hours per week": draw.integers(1, 99, rows).astype(float),
            "work": draw.choice(WORK, rows),
            "born": born,
        }
    )


def as_csv(frame, path):
    """The frame as a CSV file whose dates are written with the day first."""
    frame.assign(born=frame["born"].dt.strftime("%d/%m/%Y")).to_csv(path, index=False)
    return path


SECTION = TabularIntakeConfig(
    kind="tabular",
    numeric=("age", "hours per week"),
    categorical=("work",),
    dates=("born",),
    date_formats={"born": "%d/%m/%Y"},
)
TRAINING = SourceConfig(reader="csv", path="/nowhere/train.csv")


@pytest.fixture(scope="session")
def workers(make_bundle):  # noqa: F811
    """A bundle that was trained on rows such as `people` gives."""
    folder = make_bundle("work", SECTION, classes_of("low", "high"), people(200))
    return Stored(**record_of(folder).model_dump())


@pytest.fixture
def run(tmp_path, workers):
    """Scores rows at a place into a target."""

    def call(
        source,
        target,
        table=None,
        existing="refuse",
        training=TRAINING,
        bundle=None,
        intake=SECTION,
        **options,
    ):
        question = Question(
            "work",
            3,
            bundle or workers,
            source_at(str(source), training, intake, options.pop("source_table", None)),
            intake,
            options.pop("allow_missing", False),
        )
        goes_to = target_at(str(target), table)
        staging = options.pop("staging", tmp_path / "staging" / "one")
        return score(question, goes_to, existing, staging, tmp_path / "kept", **options), goes_to, question

    return call
