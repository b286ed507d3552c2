"""The half of the graph that MLflow, the bundles, the release manifest and the drift ledger know."""

from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

from infra.files import read_json
from infra.settings import Settings
from tasks.deployment.registry import DIGEST, REASON, STATUS, Registry
from tasks.lineage.graph import Graph, Node
from tasks.monitoring.episode_store import EpisodeStore
from tasks.production.releases import Releases


class Models:
    """Adds what it finds to a graph. An installation that never trained has no registry, and none is made."""

    def __init__(self, settings: Settings, graph: Graph) -> None:
        self.settings = settings
        self.graph = graph

    @cached_property
    def registry(self) -> Registry | None:
        """MLflow's; importing it takes seconds."""
        return Registry(self.settings.tracking_uri) if self.settings.home.mlflow_database.is_file() else None

    def versions(self, project: str) -> list[Any]:
        """A project's registered models, newest first."""
        return self.registry.versions(project) if self.registry else []

    def version(self, project: str, number: int) -> Any | None:
        """A registered model."""
        return next((each for each in self.versions(project) if int(each.version) == number), None)

    def of_run(self, project: str, run_id: str) -> list[Any]:
        """The registered models that a run trained."""
        return [each for each in self.versions(project) if each.run_id == run_id]

    def with_digest(self, start: str) -> Any | None:
        """The registered model whose bundle's digest starts so."""
        models = self.registry.client.search_registered_models() if self.registry else []
        return next(
            (
                each
                for model in models
                for each in self.versions(model.name)
                if each.tags.get(DIGEST, "").startswith(start)
            ),
            None,
        )

    def find_run(self, run_id: str) -> Any | None:
        """An MLflow run; None where it is unknown."""
        from mlflow.exceptions import MlflowException

        try:
            return self.registry.client.get_run(run_id) if self.registry and run_id else None
        except MlflowException:
            return None

    def runs(self, project: str, tag: str) -> list[Any]:
        """The runs that learned from a data set version, newest first."""
        experiment = self.registry.client.get_experiment_by_name(project) if self.registry else None
        if experiment is None or self.registry is None:
            return []
        found: list[Any] = self.registry.client.search_runs(
            [experiment.experiment_id], f"params.dataset_tag = '{tag}'"
        )
        return found

    def run(self, run: Any, after: str) -> str:
        """A run and its test metrics."""
        metrics = {
            name.removeprefix("test_"): f"{value:.4g}"
            for name, value in sorted(run.data.metrics.items())
            if name.startswith("test_")
        }
        told = {
            "status": run.info.status.lower(),
            "code": run.data.tags.get("mlflow.source.git.commit", "")[:12],
        }
        return self.graph.add(Node("run", run.info.run_id, told | metrics), after=after)

    def model(self, version: Any, after: str) -> str:
        """A registered model: before it its bundle, after it what it does now and the drift that it met."""
        bundle = self.graph.add(bundle_node(version), after=after)
        name = f"{version.name}/{version.version}"
        told = {"status": version.tags.get(STATUS, ""), "reason": version.tags.get(REASON, "")}
        key = self.graph.add(Node("model", name, told), after=bundle)
        manifest = Releases(self.settings.home.releases).read(version.name)
        for role in ("champion", "canary", "previous"):
            served = getattr(manifest, role)
            if served and served.version == int(version.version):
                since = {"since": manifest.released_at or ""} if role == "champion" else {}
                self.graph.add(Node("release", f"{version.name} {role}", since), after=key)
        for episode in self.episodes(version.name, int(version.version)):
            self.graph.add(episode, after=key)
        return key

    def episodes(self, project: str, version: int) -> list[Node]:
        """Times of drift that a model met."""
        url = self.settings.database_url
        if url.startswith("sqlite") and not Path(url.removeprefix("sqlite:///")).is_file():
            return []
        found = [each for each in EpisodeStore(url).episodes(project) if each.version == version]
        return [
            Node("episode", each.id, {"state": each.state, "flow run": each.flow_run_id or ""})
            for each in found
        ]


def bundle_node(version: Any) -> Node:
    """What was deployed as a registered model.

    What the bundle itself tells of it, where it is still there.
    """
    folder = Path(urlparse(version.source or "").path)
    told = {"graph": version.tags.get("gyre.chosen", "")}
    if (folder / "lineage.json").is_file():
        kept = read_json(folder / "lineage.json")
        told |= {
            name: str(value)[:12]
            for name, value in kept.get("graph", {}).items()
            if name in ("score", "digest")
        }
        told |= {"code": " ".join(f"{package} {found}" for package, found in kept.get("code", {}).items())}
    return Node("bundle", version.tags.get(DIGEST, "")[:16], told)
