"""What serves: one small file a project, `<home>/releases/<project>.json`, changed whole and by one writer at a time.

Deployment writes it; the model server, monitoring and whoever asks "what serves?" read it. Every change is a
pure transition of the manifest, and each transition made twice equals made once, so a deployment that was
killed between two steps is simply run again.
"""

import fcntl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from infra.files import read_json, whole_file, write_json
from tasks.records import Champion, DatasetVersion, Record, Stored


class Served(Stored):
    """A model version as the server loads it.

    The stored folder is its bundle, kept where nothing changes it.
    """

    version: int
    """In MLflow's registry."""
    graph_digest: str
    dataset: DatasetVersion
    major: int = 1
    """Grows where clients of the version before would be refused: by other names, dtypes or shapes of inputs.
    """
    log: Literal["buffered", "durable"] = "buffered"
    """Whether its answers are given before they are in the prediction log, or after."""


class Canary(Served):
    """A challenger on trial."""

    share: float
    """Of the project's requests."""
    mode: Literal["canary", "shadow"] = "canary"
    """`canary`: it answers its share, `shadow`: it is only asked that share too."""
    spread: float = 0.0
    """Standard deviation of its answers, where they are numbers; 0 for classes."""


Outcome = Literal["promoted", "refused", "rolled-back"]


class Decision(Record):
    """How the deployment of a version ended, and on what evidence."""

    version: int
    digest: str
    """Of its bundle."""
    outcome: Outcome
    """`refused`: before it saw traffic; `rolled-back`: after."""
    reason: str
    at: str
    """ISO 8601, UTC."""
    evidence: dict[str, Any] = Field(default_factory=dict)
    """What was measured, as JSON."""


class Manifest(Record):
    """What serves in one project."""

    project: str
    sequence: int = 0
    """Grows by one with each change."""
    champion: Served | None = None
    canary: Canary | None = None
    previous: Served | None = None
    """The champion before, which a rollback brings back."""
    earlier: tuple[Served, ...] = ()
    """Champions before `previous`, the newest first: what can answer while the files of the later ones are
    damaged."""
    majors: tuple[Served, ...] = ()
    """The last champion of each major version before the champion's, the newest first. They answer the
    clients that fit them, until a person retires them."""
    withdrawn: tuple[Served, ...] = ()
    """Versions that a person rolled back: no later run of the same graph may bring one back by itself."""
    released_at: str | None = None
    """When the champion began to serve, ISO 8601 with its zone (UTC)."""
    decisions: tuple[Decision, ...] = ()
    """About the versions that were deployed, the newest first."""


KEPT_DECISIONS = 20
KEPT = 5
"""Champions of the past that a manifest remembers beside the previous one."""


class ReleaseError(ValueError):
    """A release cannot be changed that way; the message says what serves and what can be done."""


def stage_canary(
    manifest: Manifest,
    challenger: Served,
    share: float,
    mode: Literal["canary", "shadow"] = "canary",
    spread: float = 0.0,
) -> Manifest:
    """`challenger` on trial with `share` of the requests; it takes the place of any other."""
    canary = Canary(**as_served(challenger), share=share, mode=mode, spread=spread)
    return manifest.model_copy(update={"canary": canary})


def change_share(manifest: Manifest, version: int, share: float) -> Manifest:
    """The canary `version` with another share of the requests; nothing where it is not on trial any more."""
    if manifest.canary is None or manifest.canary.version != version:
        return manifest
    return manifest.model_copy(update={"canary": manifest.canary.model_copy(update={"share": share})})


def log_as(manifest: Manifest, log: Literal["buffered", "durable"]) -> Manifest:
    """The champion's answers logged in another way."""
    if manifest.champion is None:
        return manifest
    return manifest.model_copy(update={"champion": manifest.champion.model_copy(update={"log": log})})


def promote(manifest: Manifest, version: int) -> Manifest:
    """The canary `version` as champion, and the champion before as previous."""
    if manifest.champion and manifest.champion.version == version:
        return drop_canary(manifest, version)
    if manifest.canary is None or manifest.canary.version != version:
        found = f"version {manifest.canary.version}" if manifest.canary else "none"
        raise ReleaseError(
            f"{manifest.project}: version {version} is not on trial (canary: {found}); deploy it again"
        )
    before = [
        each
        for each in (manifest.champion, manifest.previous, *manifest.earlier)
        if each and each.version != version
    ]
    changed = {
        "champion": Served(**as_served(manifest.canary)),
        "canary": None,
        "previous": before[0] if before else None,
        "earlier": tuple(before[1 : KEPT + 1]),
        "majors": majors_before(manifest.canary, manifest),
        "released_at": now(),
    }
    return manifest.model_copy(update=changed)


def drop_canary(manifest: Manifest, version: int) -> Manifest:
    """Without the canary `version`; another one on trial stays."""
    if manifest.canary is None or manifest.canary.version != version:
        return manifest
    return manifest.model_copy(update={"canary": None})


def rollback(manifest: Manifest) -> Manifest:
    """The previous version as champion again and the champion as previous, so a rollback can be taken back.

    Ends a trial.

    The version left is withdrawn, the one that serves again is not any more.
    """
    if manifest.previous is None:
        serves = (
            f"only version {manifest.champion.version} has served" if manifest.champion else "nothing serves"
        )
        raise ReleaseError(f"{manifest.project}: there is no version to go back to, {serves}")
    back, left = manifest.previous, manifest.champion
    withdrawn = tuple(each for each in manifest.withdrawn if each.graph_digest != back.graph_digest) + (
        (left,) if left else ()
    )
    changed = {
        "champion": back,
        "canary": None,
        "previous": left,
        "withdrawn": withdrawn,
        "released_at": now(),
    }
    return manifest.model_copy(update=changed | {"majors": majors_before(back, manifest)})


def majors_before(serves: Served, manifest: Manifest) -> tuple[Served, ...]:
    """The last version of each major before that of `serves`, which takes the champion's place in the manifest."""
    found: dict[int, Served] = {}
    for each in (manifest.champion, *manifest.majors):
        if each and each.major < serves.major:
            found.setdefault(each.major, each)
    return tuple(found.values())


def retire(manifest: Manifest, version: int) -> Manifest:
    """Without the last version of an older major: its clients are refused from now on."""
    kept = tuple(each for each in manifest.majors if each.version != version)
    if kept == manifest.majors:
        there = ", ".join(str(each.version) for each in manifest.majors) or "none"
        raise ReleaseError(
            f"{manifest.project}: version {version} is no older major version that still serves; there are: {there}"
        )
    return manifest.model_copy(update={"majors": kept})


def fallbacks(manifest: Manifest) -> tuple[Served, ...]:
    """What may answer while the champion cannot be loaded, the newest first.

    None that a person rolled back.
    """
    before = [each for each in (manifest.previous, *manifest.earlier) if each]
    return tuple(each for each in before if withdrawal(manifest, each.graph_digest) is None)


def find_version(manifest: Manifest, version: int | None, purpose: str) -> Served:
    """The champion, or the version with that number among those that a manifest remembers.

    Raises ReleaseError naming those there are; `purpose` is what it is wanted for, such as `to export`.
    """
    remembered = (
        manifest.champion,
        manifest.canary,
        manifest.previous,
        *manifest.earlier,
        *manifest.majors,
    )
    known = {each.version: each for each in remembered if each}
    if version is None and manifest.champion:
        return manifest.champion
    if version in known:
        return known[version]
    there = ", ".join(map(str, sorted(known))) or f"none; `gyre run {manifest.project}` makes one"
    asked = "no version serves" if version is None else f"there is no version {version}"
    raise ReleaseError(f"{manifest.project}: {asked} {purpose}; released: {there}")


def withdrawal(manifest: Manifest, graph_digest: str) -> Served | None:
    """The version of a graph that a person rolled back; None where nobody did."""
    return next((each for each in manifest.withdrawn if each.graph_digest == graph_digest), None)


def record(manifest: Manifest, decision: Decision) -> Manifest:
    """With one more decision, in the place of the last one where that says the same about the same version."""
    before = manifest.decisions
    if before and same_decision(before[0], decision):
        before = before[1:]
    return manifest.model_copy(update={"decisions": (decision, *before)[:KEPT_DECISIONS]})


def same_decision(one: Decision, other: Decision) -> bool:
    """Whether two decisions are about the same bundle and end alike."""
    return (one.version, one.digest, one.outcome) == (other.version, other.digest, other.outcome)


def refusal(manifest: Manifest) -> Decision | None:
    """The decision against the version that was deployed last; None where that one serves."""
    newest = manifest.decisions[0] if manifest.decisions else None
    return newest if newest and newest.outcome != "promoted" else None


def as_champion(project: str, version: Served) -> Champion:
    """A version as flows know it."""
    return Champion(project=project, **version.model_dump(exclude={"log"}))


def as_served(version: Served) -> dict[str, object]:
    """The fields of `Served`, without those of a canary."""
    return {name: getattr(version, name) for name in Served.model_fields}


def now() -> str:
    """ISO 8601, UTC."""
    return datetime.now(UTC).isoformat()


@dataclass(frozen=True)
class Releases:
    """The manifests of one installation."""

    folder: Path
    """`<home>/releases`."""

    def path(self, project: str) -> Path:
        """The file of a project's manifest."""
        return self.folder / f"{project}.json"

    def read(self, project: str) -> Manifest:
        """What serves in a project; an empty manifest where nothing was ever released."""
        path = self.path(project)
        return Manifest.model_validate(read_json(path)) if path.is_file() else Manifest(project=project)

    def champion(self, project: str) -> Champion | None:
        """The version that serves now."""
        champion = self.read(project).champion
        return as_champion(project, champion) if champion else None

    def change(self, project: str, transition: Callable[[Manifest], Manifest]) -> Manifest:
        """The manifest after a transition, on the disk; one that changes nothing writes nothing."""
        with self._locked(f".{project}.write"):
            before = self.read(project)
            after = transition(before)
            if after == before:
                return before
            after = after.model_copy(update={"sequence": before.sequence + 1})
            write_json(self.path(project), after.model_dump(mode="json"))
            return after

    def announced_damage(self, project: str) -> str:
        """The damage that was announced last; empty where none was, or it is mended."""
        path = self._announced(project)
        return path.read_text(encoding="utf-8") if path.is_file() else ""

    def note_announced(self, project: str, damage: str) -> None:
        """Keeps in mind what was announced, so that a damage is one event however often production is looked at.

        damage: empty where it is mended
        """
        with whole_file(self._announced(project)) as temporary:
            temporary.write_text(damage, encoding="utf-8")

    @contextmanager
    def rollout(self, project: str) -> Iterator[None]:
        """One deployment of a project at a time; another waits here. A killed one lets go by dying."""
        with self._locked(f".{project}.rollout"):
            yield

    def _announced(self, project: str) -> Path:
        return self.folder / f".{project}.damage"

    @contextmanager
    def _locked(self, name: str) -> Iterator[None]:
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / name).open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
