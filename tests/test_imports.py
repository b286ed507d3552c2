"""What starts often or stays idle imports no heavy library.

Flow runs by their seconds, services by their memory.
"""

import importlib
import inspect
import subprocess
import sys

import pytest

from infra.imports import lazy

HEAVY = (
    "torch",
    "pandas",
    "duckdb",
    "onnxruntime",
    "mlflow",
    "evidently",
    "great_expectations",
    "sklearn",
    "scipy",
    "matplotlib",
    "dask",
)


STARTED = (
    "flows.cli",
    "flows.deployments",
    "flows.cycle",
    "flows.drift",
    "flows.tune",
    "flows.backtest",
    "flows.score",
    "tasks.serving.__main__",
    "tasks.ingestion",
    "tasks.validation",
    "tasks.labeling",
    "tasks.versioning",
    "tasks.training",
)


@pytest.mark.parametrize("started", STARTED)
def test_what_is_started_imports_no_heavy_library(started):
    told = subprocess.run(
        [
            sys.executable,
            "-c",
            f"import sys, {started}; print([name for name in {HEAVY!r} if name in sys.modules])",
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    assert told.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("stage", "core"),
    [
        ("ingestion", "take_snapshot"),
        ("ingestion", "ingest"),
        ("validation", "validate"),
        ("labeling", "label"),
        ("versioning", "make_version"),
        ("training", "train"),
    ],
)
def test_a_stage_offers_its_core_beside_its_task(stage, core):
    # The task first: a module of the core's name would hide the function once somebody has imported it.
    importlib.import_module(f"tasks.{stage}.task")
    assert inspect.isfunction(getattr(importlib.import_module(f"tasks.{stage}"), core))


def test_what_a_stage_does_not_offer_is_named_with_what_it_does():
    load = lazy("tasks.training.local:train", "tasks.training.plan:Plan")
    with pytest.raises(AttributeError, match="no 'trane'; offered are train, Plan"):
        load("trane")
