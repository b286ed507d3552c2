"""What nothing names and no run asked for is cleared.

What a version, a decision or a recent run needs stays.
"""

import json
import os

import numpy as np
import pandas as pd
import pytest

from configs.versioning import VersioningConfig
from infra.home import Home
from tasks.garbage_collection.outcomes import remove_outcomes, unused_outcomes
from tasks.records import LabelReport
from tasks.rows.parts import record_of, write
from tasks.versioning.repository import Repository
from tasks.versioning.version import make_version

ONE, TWO, THREE, NEWEST = ("1" * 24, "2" * 24, "3" * 24, "4" * 24)


@pytest.fixture
def home(tmp_path):
    """A home with a version, whose facts name `validation-kept` and the first quarantine.

    Nothing in it is young but `labeling-young`.
    """
    home, quarantine = tmp_path / "home", tmp_path / "home" / "quarantine" / "wine"
    for name in ("validation-kept", "validation-old", "labeling-young"):
        (home / "outcomes" / name).mkdir(parents=True)
        (home / "results").mkdir(exist_ok=True)
        (home / "results" / name).write_text(TWO if name == "labeling-young" else "")
    (quarantine / "decisions").mkdir(parents=True)
    (quarantine / "decisions" / "000001.json").write_text(json.dumps({"seen": "5" * 24}))
    (quarantine / "about-new.json").write_text(json.dumps({"quarantine": f"{NEWEST}.parquet"}))
    (quarantine / "latest.json").write_text(json.dumps({"about": "about-new.json"}))
    for name in (ONE, TWO, THREE, NEWEST, "5" * 24):
        (quarantine / f"{name}.parquet").touch()
    (tmp_path / "rows").mkdir()
    contents = np.random.default_rng(0).integers(2**64, size=40, dtype=np.uint64)
    write(
        [
            pd.DataFrame(
                {"id": [f"r{n}" for n in range(40)], "x": range(40), "label": "a", "origin_content": contents}
            )
        ],
        tmp_path / "rows",
    )
    nothing = {
        "agreement": 1.0,
        "annotators": (),
        "relabelled": 0,
        "suspects": None,
        "suspected": 0,
        "failures": (),
    }
    labels = LabelReport(**record_of(tmp_path / "rows").model_dump(), rows=40, **nothing)
    named = {
        "validation": {
            "suspects": "outcomes/validation-kept/suspects.parquet",
            "quarantine": f"quarantine/wine/{ONE}.parquet",
        }
    }
    make_version(
        "wine",
        labels,
        ("x",),
        VersioningConfig(),
        Repository(home / "data", str(home / "remote")),
        home / "datasets",
        origin=named,
    )
    for path in [*home.glob("quarantine/wine/*"), *home.glob("outcomes/validation-*")]:
        os.utime(path, (0, 0))
    return home


def names(paths):
    return [path.stem for path in paths]


def test_what_a_version_a_decision_or_a_recent_run_names_stays(home):
    found = unused_outcomes(Home(home), home / "results", 30)
    assert names(found) == ["validation-old", THREE]
    remove_outcomes(found, home / "results")
    assert sorted(path.name for path in (home / "results").iterdir()) == ["labeling-young", "validation-kept"]
    assert unused_outcomes(Home(home), home / "results", 30) == []


def test_what_only_versions_name_that_are_about_to_go_goes_with_them(home):
    assert names(unused_outcomes(Home(home), home / "results", 30, {"wine/v1"})) == [
        "validation-kept",
        "validation-old",
        ONE,
        THREE,
    ]
