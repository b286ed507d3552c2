"""MLflow's model registry: what was deployed, from which run and rows, and under which alias.

The release manifest decides what serves; the registry tells people about it. Every write here can be made
twice.
"""

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

from infra.files import read_json, whole_folder
from infra.settings import Settings
from tasks.deployment.release_health import damage
from tasks.production.releases import Releases
from tasks.records import Bundle, Champion, Stored

CHAMPION, CHALLENGER = "champion", "challenger"
DIGEST, STATUS, REASON = "gyre.digest", "gyre.status", "gyre.reason"


@dataclass(frozen=True)
class Registry:
    """The registered models of one installation."""

    uri: str
    """MLflow's tracking and registry store."""

    @cached_property
    def client(self) -> Any:
        """mlflow.MlflowClient; importing it takes seconds."""
        from mlflow import MlflowClient

        return MlflowClient(self.uri, self.uri)

    def register(self, bundle: Bundle, folder: Path, graph_digest: str) -> int:
        """The version of a bundle kept in `folder`: the one that has its digest, or a new one."""
        from mlflow.exceptions import MlflowException

        try:
            self.client.create_registered_model(bundle.project)
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
        for version in self.versions(bundle.project):
            if version.tags.get(DIGEST) == bundle.digest:
                return int(version.version)
        tags = {
            DIGEST: bundle.digest,
            "gyre.graph": graph_digest,
            "gyre.dataset": bundle.model.dataset.tag,
            "gyre.chosen": bundle.chosen,
            "gyre.score": f"{bundle.headline} on {bundle.judgement.rows:,} test rows",
            "gyre.candidates": json.dumps(
                [candidate_facts(bundle, number) for number in range(len(bundle.candidates))]
            ),
        }
        made = self.client.create_model_version(
            bundle.project, folder.as_uri(), run_id=bundle.model.run_id, tags=tags
        )
        return int(made.version)

    def versions(self, project: str) -> list[Any]:
        """MLflow's model versions of a project, newest first."""
        return sorted(
            self.client.search_model_versions(f"name='{project}'"), key=lambda each: -int(each.version)
        )

    def checkpoint(self, project: str, version: str, folder: Path) -> Stored:
        """The checkpoint of a version, fetched into the folder.

        Raises ValueError naming the versions that there are instead.
        """
        versions = {str(each.version): each for each in self.versions(project)}
        found = versions.get(version)
        if found is None:
            there = ", ".join(f"{project}/{number}" for number in versions) or "none of this project"
            raise ValueError(
                f"training.warm_start {project}/{version}: no such registered model; there are {there}"
            )
        lineage = read_json(Path(url2pathname(urlsplit(found.source).path)) / "lineage.json")
        known = str(lineage["checkpoint"]["digest"])
        kept = folder / known[:24]
        if not kept.exists():
            from mlflow.artifacts import download_artifacts

            with whole_folder(kept) as partial:
                download_artifacts(
                    run_id=found.run_id,
                    artifact_path="checkpoint",
                    dst_path=str(partial),
                    tracking_uri=self.uri,
                )
        return Stored(uri=str(kept / "checkpoint"), digest=known)

    def on_trial(self, project: str, version: int) -> None:
        """`version` has the alias `challenger`."""
        self.client.set_registered_model_alias(project, CHALLENGER, str(version))
        self._tell(project, version, "on trial", "")

    def serves(self, project: str, version: int, reason: str | None = None) -> None:
        """`version` has the alias `champion`, and nobody is challenger.

        Without a `reason` the one of its promotion stays.
        """
        self.client.set_registered_model_alias(project, CHAMPION, str(version))
        self.client.delete_registered_model_alias(project, CHALLENGER)
        self._tell(project, version, "promoted", reason)

    def rolled_back(self, project: str, version: int, reason: str) -> None:
        """`version` does not serve, and why."""
        self.client.delete_registered_model_alias(project, CHALLENGER)
        self._tell(project, version, "rolled-back", reason)

    def refused(self, project: str, version: int, reason: str) -> None:
        """`version` sees no traffic, and why."""
        self._tell(project, version, "refused", reason)

    def _tell(self, project: str, version: int, status: str, reason: str | None) -> None:
        """Status and reason as tags of the version."""
        self.client.set_model_version_tag(project, str(version), STATUS, status)
        if reason is not None:
            self.client.set_model_version_tag(project, str(version), REASON, reason)


def candidate_facts(bundle: Bundle, number: int) -> dict[str, Any]:
    """A candidate's measurements, for the registry's page."""
    candidate = bundle.candidates[number]
    facts = candidate.model_dump(exclude={"graph"})
    return {"name": candidate.graph.name, **facts, "chosen": candidate.graph.name == bundle.chosen}


def named_checkpoint(model: str, settings: Settings) -> Stored | None:
    """The checkpoint of `<project>/<version>`, or of `<project>/champion`, None while nothing serves there.

    Raises ValueError.
    """
    project, _, version = model.partition("/")
    if version == CHAMPION:
        champion = Releases(settings.home.releases).champion(project)
        if champion is None:
            return None
        version = str(champion.version)
    settings.home.make(settings.home.mlflow)
    return Registry(settings.tracking_uri).checkpoint(
        project, version, settings.home.make(settings.home.checkpoints)
    )


def registered_versions() -> list[dict[str, Any]]:
    """Every registered version of this installation.

    What it was trained on, its score, and whether it serves.
    """
    settings = Settings()
    settings.home.make(settings.home.mlflow)
    registry, releases = Registry(settings.tracking_uri), Releases(settings.home.releases)
    found = []
    for model in sorted(registry.client.search_registered_models(), key=lambda each: each.name):
        champion, damaged = releases.champion(model.name), damage(model.name, settings)
        found += [facts(version, champion, damaged) for version in registry.versions(model.name)]
    return found


def facts(version: Any, champion: Champion | None, damaged: str) -> dict[str, Any]:
    """A registered version for people; `damaged` says why the champion does not serve."""
    serves = champion is not None and champion.version == int(version.version)
    return {
        "model": version.name,
        "version": int(version.version),
        "serves": (f"no: {damaged}" if damaged else "yes") if serves else "",
        "status": version.tags.get(STATUS, ""),
        "dataset": version.tags.get("gyre.dataset", ""),
        "graph": version.tags.get("gyre.chosen", ""),
        "score": version.tags.get("gyre.score", ""),
        "digest": version.tags.get(DIGEST, "")[:12],
        "run": version.run_id or "",
    }
