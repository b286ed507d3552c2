"""MLflow's store is made before anything uses it.

Processes that each find it missing and create its schema at once all fail.

python -m infra.services.mlflow_store sqlite:////home/mlflow.db /home/artifacts
"""

import os
import subprocess
import sys
from tempfile import TemporaryDirectory

from infra.files import whole_file
from infra.imports import without_collections
from infra.services.errors import ServicesError
from infra.settings import Settings


def make_store(settings: Settings) -> None:
    """Creates MLflow's SQLite store where it is missing (3 s), in a process of its own.

    Raises ServicesError.
    """
    if settings.home.mlflow_database.exists():
        return
    artifacts = settings.home.make(settings.home.mlflow_artifacts)
    with whole_file(settings.home.mlflow_database) as temporary, TemporaryDirectory() as scratch:
        command = [
            sys.executable,
            "-m",
            "infra.services.mlflow_store",
            f"sqlite:///{temporary}",
            str(artifacts),
        ]
        # MLflow leaves a lock file in the temporary folder.
        made = subprocess.run(
            command, env=os.environ | {"TMPDIR": scratch}, capture_output=True, text=True, check=False
        )
        if made.returncode:
            raise ServicesError(
                f"MLflow's store {settings.home.mlflow_database} could not be made:\n{made.stderr[-2000:]}"
            )


def main() -> None:
    """Creates the schema and the default experiment."""
    with without_collections():
        from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    uri, artifacts = sys.argv[1:]
    SqlAlchemyStore(uri, artifacts)


if __name__ == "__main__":
    main()
