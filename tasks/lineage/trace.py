"""Follows what the stores know, from one thing to its causes and effects."""

import re
from pathlib import Path
from typing import Any

from configs.section import NAME
from infra.settings import Settings
from tasks.lineage.data import Data
from tasks.lineage.graph import Graph, Node
from tasks.lineage.models import Models
from tasks.production.prediction_log import PredictionLog

DATASET = re.compile(rf"(?P<project>{NAME})/(?P<name>(?!\d+$)[A-Za-z0-9][\w.-]*)")
MODEL = re.compile(rf"(?P<project>{NAME})/(?P<version>\d+)")
RUN = re.compile(r"[0-9a-f]{32}")
DIGEST = re.compile(r"[0-9a-f]{8,64}")


def lineage(anything: str, settings: Settings | None = None) -> Graph:
    """What something came from and what followed from it.

    anything: a data set version (`digits/v3`, or a name given to one), a registered model (`digits/2`), an
    MLflow run's id, a bundle's
        digest (its first 8 digits or more), a request's id, or the id of a quarantined row
    Raises ValueError where nothing of these is known by that name.
    """
    return Trace(settings or Settings()).of(anything.strip())


class Trace:
    """One question."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.graph = Graph()
        self.data = Data(settings.home, self.graph)
        self.models = Models(settings, self.graph)

    def of(self, anything: str) -> Graph:
        """The graph around a thing, whatever it is."""
        for reader in (self.dataset, self.model, self.run, self.bundle, self.prediction, self.row):
            if start := reader(anything):
                self.graph.start = start
                return self.graph
        raise ValueError(
            f"{anything!r}: nothing is known by that name; want a data set version (digits/v3), a model (digits/2), an MLflow run's id, "
            "a bundle's digest, a request's id, or the id of a quarantined row"
        )

    def dataset(self, name: str) -> str | None:
        """A data set version, and the runs and models that learned from it."""
        found = DATASET.fullmatch(name)
        number = self.data.number(found["project"], found["name"]) if found else None
        if found is None or number is None:
            return None
        key = self.data.version(found["project"], number)
        for run in self.models.runs(found["project"], f"{found['project']}/v{number}"):
            self.models.run(run, after=key)
            for version in self.models.of_run(found["project"], run.info.run_id):
                self.add_model(version)
        return key

    def model(self, name: str) -> str | None:
        """A registered model."""
        found = MODEL.fullmatch(name)
        version = self.models.version(found["project"], int(found["version"])) if found else None
        return self.add_model(version) if version else None

    def run(self, name: str) -> str | None:
        """An MLflow run, and the models that came of it."""
        run = self.models.find_run(name) if RUN.fullmatch(name) else None
        if run is None:
            return None
        key = self.models.run(run, after=self.add_dataset(run.data.params.get("dataset_tag", "")))
        for version in self.models.of_run(
            run.data.params.get("dataset_tag", "").partition("/")[0], run.info.run_id
        ):
            self.add_model(version)
        return key

    def bundle(self, name: str) -> str | None:
        """A bundle by its digest."""
        version = self.models.with_digest(name) if DIGEST.fullmatch(name) else None
        if version is None:
            return None
        return next(iter(self.graph.causes(self.add_model(version))))

    def prediction(self, name: str) -> str | None:
        """What was answered to a request, and why."""
        for folder in projects(self.settings.home.predictions):
            answers = PredictionLog(folder).answered(name)
            keys = [self.add_answer(folder.name, row) for row in answers.to_dict("records")]
            if len(keys) == 1:
                return keys[0]
            if keys:
                whole = Node("prediction", name, {"project": folder.name, "rows": str(len(keys))})
                for key in keys:
                    self.graph.add(whole, after=key)
                return whole.key
        return None

    def row(self, name: str) -> str | None:
        """A quarantined row, the rules that it broke, and the versions that were made without it."""
        return self.data.quarantined(name)

    def add_model(self, version: Any) -> str:
        """A registered model with all it came from, and what it does now."""
        dataset = self.add_dataset(version.tags.get("gyre.dataset", ""))
        run = self.models.find_run(version.run_id or "")
        trained = self.models.run(run, after=dataset) if run else dataset
        return self.models.model(version, after=trained)

    def add_dataset(self, tag: str) -> str:
        """A version by its tag; one that is gone is known by its name alone."""
        project, _, name = tag.partition("/")
        number = self.data.number(project, name) if tag else None
        if number is None:
            return self.graph.add(Node("dataset", tag, {"rows": "cleared"})) if tag else ""
        return self.data.version(project, number)

    def add_answer(self, project: str, row: dict[Any, Any]) -> str:
        """A line of the prediction log, under the model that answered it."""
        version = self.models.version(project, int(row["version"]))
        truth = "" if row["label"] is None or row["label"] != row["label"] else str(row["label"])
        facts = {
            "answer": str(row["answer"]),
            "truth": truth,
            "time": row["time"].isoformat(timespec="seconds"),
        }
        return self.graph.add(
            Node("prediction", str(row["request_id"]), facts),
            after=self.add_model(version) if version else "",
        )


def projects(folder: Path) -> list[Path]:
    """A folder a project."""
    return sorted(path for path in folder.glob("*") if path.is_dir())
