"""Labelled rows and a data repo of a test's own."""

import os
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest

from configs.versioning import VersioningConfig
from infra.files import digest, whole_folder
from tasks.records import LabelReport
from tasks.rows.content_hash import digests
from tasks.rows.parts import write
from tasks.versioning.repository import Repository
from tasks.versioning.version import make_version


@pytest.fixture
def data():
    """The folder of real data sets."""
    folder = Path(os.environ.get("GYRE_DATA", Path(__file__).parents[4] / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no data sets in {folder}; set GYRE_DATA")
    return folder


class Workshop:
    """A home with a data repo, and rows to put into it."""

    def __init__(self, folder):
        self.folder = folder
        self.home = folder / "home"
        self.datasets = self.home / "datasets"
        self.repository = Repository(self.home / "data", str(folder / "remote"))

    def labelled(self, name, rows):
        """So many rows in one part."""
        numbers = range(rows)
        return self.of_frames(
            name,
            [
                pd.DataFrame(
                    {"id": [f"r{n}" for n in numbers], "x": [float(n) for n in numbers], "label": "a"}
                )
            ],
        )

    def of_frames(self, name, frames):
        """A part a frame; the content of a row is its first column beside `id`."""
        target = self.folder / name
        frames = [
            frame.assign(origin_content=digests([pa.chunked_array([frame.iloc[:, 1]])]).to_numpy())
            for frame in frames
        ]
        with whole_folder(target) as partial:
            write(frames, partial)
        nothing = {
            "agreement": 1.0,
            "annotators": (),
            "relabelled": 0,
            "suspects": None,
            "suspected": 0,
            "failures": (),
        }
        return LabelReport(uri=str(target), digest=digest(target), rows=sum(map(len, frames)), **nothing)

    def make(self, labels, project="wine", **options):
        """A version of them, split by their content."""
        return make_version(
            project, labels, ("x",), VersioningConfig(), self.repository, self.datasets, **options
        )


@pytest.fixture
def workshop(tmp_path):
    return Workshop(tmp_path)
