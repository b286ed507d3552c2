"""Sources read into tables, and whole runs by two real Dask workers."""

import os
from pathlib import Path

import pyarrow as pa
import pytest

from configs.cluster import ClusterConfig
from configs.intake import TabularIntakeConfig
from configs.result import ClassificationResultConfig
from infra.cluster import open_cluster
from tasks.ingestion.partitions.sources import list_partitions
from tasks.ingestion.raw_rows import ingest, take_snapshot
from tasks.production.prediction_log import PredictionLog
from tasks.rows.parts import read

SIZES = TabularIntakeConfig(kind="tabular", numeric=("height",))
KINDS = ClassificationResultConfig(kind="classification", classes=("cat", "dog"), label="kind")


@pytest.fixture(scope="session")
def data():
    """Real data; tests that need it are skipped where it is absent."""
    folder = Path(os.environ.get("GYRE_DATA") or Path(__file__).parents[3] / ".." / "shared" / "data")
    if not folder.is_dir():
        pytest.skip("no real data: set GYRE_DATA to its folder")
    return folder


@pytest.fixture(scope="module")
def client():
    with open_cluster(ClusterConfig(workers=2)) as client:
        yield client


@pytest.fixture
def tables(tmp_path):
    """The rows of a source, a table a partition."""

    def read_all(source, intake=SIZES, label="kind"):
        (tmp_path / "kept").mkdir(exist_ok=True)
        return [
            pa.concat_tables(list(entry.partition.tables()))
            for entry in list_partitions(source, intake, label, tmp_path / "kept")
        ]

    return read_all


@pytest.fixture
def run(client, tmp_path):
    """A run from the source as it is now; gives what is found, its rows and its snapshot."""

    def ingested(source, intake=SIZES, result=KINDS, found=None, name="rows"):
        log, kept = PredictionLog(tmp_path / "log"), tmp_path / "slices"
        found = found or take_snapshot("pets", source, intake, result, log, tmp_path / "outcomes", kept)
        made = ingest(found, source, intake, result, client, tmp_path / "outcomes" / name, kept)
        return made, read(made.rows), found

    return ingested
