from pathlib import Path

import pytest

from infra.home import Home

LAYOUT = {
    "credentials": "credentials",
    "tokens": "tokens.json",
    "settings": "settings.yaml",
    "project_schema": "project.schema.json",
    "database": "gyre.db",
    "outcomes": "outcomes",
    "partitions": "slices",
    "data_repository": "data",
    "remote": "remote",
    "datasets": "datasets",
    "quarantines": "quarantine",
    "checkpoints": "checkpoints",
    "searches": "searches",
    "backtests": "backtests",
    "mlflow": "mlflow",
    "mlflow_database": "mlflow/mlflow.db",
    "mlflow_artifacts": "mlflow/artifacts",
    "runtimes": "runtimes",
    "bundles": "bundles",
    "releases": "releases",
    "predictions": "predictions",
    "jobs": "jobs",
    "reports": "reports",
    "prefect": "prefect",
    "prefect_database": "prefect/prefect.db",
    "prefect_results": "prefect/results",
    "services": "services",
    "logs": "logs",
    "demo_report": "report.json",
}
"""Where installations that people run have these places: another path, and what they hold is not found."""


@pytest.fixture
def home(tmp_path):
    return Home(tmp_path / "home")


def test_every_place_is_where_installations_have_it(home):
    properties = {name for name, member in vars(Home).items() if isinstance(member, property)}
    found = {name: str(getattr(home, name).relative_to(home.root)) for name in properties - {"demo"}}
    assert found == LAYOUT


def test_places_of_a_project_are_where_installations_have_them(home):
    root = home.root
    assert home.demo == Home(root / "demo")
    assert home.dataset("wine", 3) == root / "datasets" / "wine" / "v3"
    assert home.quarantine("wine") == root / "quarantine" / "wine"
    assert home.bundle("wine", "0123456789abcdef0123") == root / "bundles" / "wine" / "0123456789abcdef"
    assert home.prediction_log("wine") == root / "predictions" / "wine"
    assert home.last_look("wine") == root / "monitoring" / "wine.json"
    assert home.report_folder("wine", "drift") == root / "reports" / "wine" / "drift"


def test_asking_where_a_place_is_makes_nothing(home):
    assert not home.releases.exists()
    assert not home.root.exists()


def test_a_home_that_is_made_with_a_place_is_its_owners_alone(home):
    made = home.make_report_folder("wine", "training", "1")
    assert made == home.root / "reports" / "wine" / "training" / "1"
    assert made.is_dir()
    assert home.root.stat().st_mode & 0o777 == 0o700


def test_a_home_stands_for_its_path(home):
    assert str(home) == str(home.root)
    assert Path(home) == home.root
