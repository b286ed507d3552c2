"""The release manifest and the registry of one project, changed together.

First what decides, then what tells people about it.

A kill between the two is mended by the next change of the same kind: each can be made twice.
"""

import logging
from dataclasses import dataclass
from typing import Any, Literal

from infra.settings import Settings
from tasks.deployment.registry import Registry
from tasks.deployment.release_health import rollback_to_whole
from tasks.production.releases import (
    Decision,
    Manifest,
    Outcome,
    ReleaseError,
    Releases,
    Served,
    change_share,
    drop_canary,
    now,
    promote,
    record,
    refusal,
    stage_canary,
)
from tasks.records import Release

log = logging.getLogger("gyre.deployment")
UNFINISHED = "its deployment did not end"


@dataclass(frozen=True)
class Production:
    """What serves in one project."""

    project: str
    releases: Releases
    registry: Registry

    @classmethod
    def of(cls, project: str, settings: Settings) -> "Production":
        """Of a project in an installation."""
        settings.home.make(settings.home.mlflow)
        return cls(project, Releases(settings.home.releases), Registry(settings.tracking_uri))

    def manifest(self) -> Manifest:
        """As it is now."""
        return self.releases.read(self.project)

    def stage(
        self,
        challenger: Served,
        share: float,
        mode: Literal["canary", "shadow"] = "canary",
        spread: float = 0.0,
    ) -> None:
        """Puts a challenger on trial, in the place of one whose deployment did not end.

        tasks/production/releases.py says what mode and spread are.
        """
        if (left := self.manifest().canary) and left.version != challenger.version:
            self.take_back(left, UNFINISHED, {})
        self.registry.on_trial(self.project, challenger.version)
        self.releases.change(
            self.project, lambda manifest: stage_canary(manifest, challenger, share, mode, spread)
        )

    def take_share(self, challenger: Served, share: float) -> None:
        """So many of the live requests go to the challenger, as long as it is on trial."""
        self.releases.change(self.project, lambda manifest: change_share(manifest, challenger.version, share))

    def refuse(self, challenger: Served, reason: str, evidence: dict[str, Any]) -> Release:
        """The challenger sees no traffic; what serves goes on, and everybody can read why."""
        refused = decision(challenger, "refused", reason, evidence)
        manifest = self.releases.change(self.project, lambda manifest: record(manifest, refused))
        self.registry.refused(self.project, challenger.version, reason)
        log.error("%s: version %d is refused: %s", self.project, challenger.version, reason)
        return self.release(challenger, "refused", manifest.champion, reason)

    def tries(self, challenger: Served) -> bool:
        """Whether the challenger is on trial; a rollback by hand ends it."""
        canary = self.manifest().canary
        return canary is not None and canary.version == challenger.version

    def end_trial(self, version: int) -> Manifest:
        """No live request goes to the challenger any more."""
        return self.releases.change(self.project, lambda manifest: drop_canary(manifest, version))

    def promote(self, challenger: Served, reason: str, evidence: dict[str, Any]) -> Release:
        """The challenger on trial as champion. Raises ReleaseError where somebody took it off its trial."""
        promoted = decision(challenger, "promoted", reason, evidence)
        manifest = self.releases.change(
            self.project, lambda manifest: record(promote(manifest, challenger.version), promoted)
        )
        self.registry.serves(self.project, challenger.version, reason)
        log.info("%s: version %d is promoted: %s", self.project, challenger.version, reason)
        return self.release(challenger, "promoted", manifest.previous, reason)

    def take_back(self, challenger: Served, reason: str, evidence: dict[str, Any]) -> Release:
        """The challenger off its trial; the champion goes on."""
        taken_back = decision(challenger, "rolled-back", reason, evidence)
        manifest = self.releases.change(
            self.project, lambda manifest: record(drop_canary(manifest, challenger.version), taken_back)
        )
        self.registry.rolled_back(self.project, challenger.version, reason)
        log.error("%s: version %d is rolled back: %s", self.project, challenger.version, reason)
        return self.release(challenger, "rolled-back", manifest.champion, reason)

    def leave(self, champion: Served, reason: str) -> Release:
        """What serves stays; what a killed deployment left half done is finished."""
        manifest = self.manifest()
        if manifest.canary:
            self.take_back(manifest.canary, UNFINISHED, {})
        if refusal(self.manifest()):
            # What was refused is not what was deployed last any more.
            serves = decision(champion, "promoted", reason, {})
            self.releases.change(self.project, lambda manifest: record(manifest, serves))
        self.registry.serves(self.project, champion.version)
        return self.release(champion, "unchanged", manifest.previous, reason)

    def roll_back(self) -> Release:
        """Champion and previous version change places.

        Raises ReleaseError where there is no previous one, or its files are damaged.
        """
        manifest = self.releases.change(self.project, rollback_to_whole)
        champion, left = manifest.champion, manifest.previous
        assert champion and left, "the transition swaps the two"  # noqa: S101
        reason = f"version {left.version} was rolled back by hand"
        self.registry.rolled_back(self.project, left.version, reason)
        self.registry.serves(self.project, champion.version)
        log.warning("%s: version %d serves again: %s", self.project, champion.version, reason)
        return self.release(champion, "rolled-back", left, reason)

    def demote(self, champion: Served, reason: str, evidence: dict[str, Any]) -> Release:
        """The previous version serves again in the place of a champion that is not as good as it was held for.

        Raises ReleaseError where the champion serves no more, there is no previous one, or its files are
        damaged.
        """
        demoted = decision(champion, "rolled-back", reason, evidence)

        def demotion(manifest: Manifest) -> Manifest:
            if manifest.champion != champion:
                raise ReleaseError(f"{self.project}: version {champion.version} serves no more, so it stays")
            return record(rollback_to_whole(manifest), demoted)

        serves = self.releases.change(self.project, demotion).champion
        assert serves, "the transition swaps the two"  # noqa: S101
        self.registry.rolled_back(self.project, champion.version, reason)
        self.registry.serves(self.project, serves.version)
        log.error("%s: version %d serves again: %s", self.project, serves.version, reason)
        return self.release(champion, "rolled-back", serves, reason)

    def release(
        self,
        served: Served,
        status: Literal["promoted", "refused", "rolled-back", "unchanged"],
        previous: Served | None,
        reason: str,
    ) -> Release:
        """The record of how a deployment of `served` ended."""
        before = previous.version if previous else None
        return Release(
            project=self.project,
            version=served.version,
            digest=served.digest,
            status=status,
            previous=before,
            reason=reason,
        )


def decision(served: Served, outcome: Outcome, reason: str, evidence: dict[str, Any]) -> Decision:
    """What was decided about a version just now."""
    return Decision(
        version=served.version,
        digest=served.digest,
        outcome=outcome,
        reason=reason,
        at=now(),
        evidence=evidence,
    )
