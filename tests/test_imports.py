"""What starts often or stays idle imports no heavy library: flow runs by their seconds, services by their memory."""

import subprocess
import sys

import pytest

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
    "tasks.serving.__main__",
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
