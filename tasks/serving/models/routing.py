"""Which version answers, and the watch on the manifests that changes it while requests go on."""

import hashlib
import logging
import math
import time
from collections.abc import Mapping
from concurrent.futures import Executor
from dataclasses import dataclass, field, replace
from pathlib import Path

from tasks.production.releases import Manifest, Releases, Served, fallbacks, refusal
from tasks.serving.models.memory import ModelMemory
from tasks.serving.models.model import Model, load
from tasks.serving.protocol.refusal import Refusal

log = logging.getLogger("gyre.serving")

POLL_S = 0.2
"""How soon a changed manifest is seen."""
RETRY_S = 5.0
"""A bundle that was refused is looked at again after this time: it may have been restored."""


@dataclass(frozen=True)
class Route:
    """The loaded versions of one project.

    Never changed: a request that chose its model keeps it, whatever is swapped meanwhile.
    """

    champion: Model | None = None
    fallback: Model | None = None
    """An older version that answers while the champion cannot be loaded."""
    canary: Model | None = None
    previous: Model | None = None
    majors: tuple[Model, ...] = ()
    """The last version of each older major, the newest first: it answers requests that fit no later one."""
    share: float = 0.0
    """Of the requests, that the canary answers."""
    shadow_share: float = 0.0
    """Of the requests, that the canary is asked too, without its answers being given."""
    spread: float = 0.0
    """Standard deviation of the canary's answers, where they are numbers."""
    refused: Mapping[int, str] = field(default_factory=dict)
    """Why a version in the manifest is not loaded."""
    damage: str = ""
    """What does not serve as the manifest says, in a sentence; empty where all does."""
    refusal: str = ""
    """Which version was deployed last and does not serve, and why, in a sentence; empty where it serves."""

    @property
    def models(self) -> dict[str, Model]:
        """Loaded versions by role."""
        roles = {
            "champion": self.champion,
            "fallback": self.fallback,
            "canary": self.canary,
            "previous": self.previous,
        }
        roles |= {f"major-{model.served.major}": model for model in self.majors}
        return {role: model for role, model in roles.items() if model is not None}

    def choose(self, key: str) -> tuple[str, Model]:
        """Role and model for a request.

        The same key (its id where it has none) always meets the same one while the share stays.

        Refuses (503) where none serves.
        """
        if self.canary and fraction(key) < self.share:
            return "canary", self.canary
        if self.champion:
            return "champion", self.champion
        if self.fallback:
            return "fallback", self.fallback
        raise Refusal(
            503, f"no version serves yet; {'; '.join(self.refused.values()) or 'none was promoted'}"
        )

    def beside(self, role: str, key: str) -> Model | None:
        """Who is asked the rows of a request too, while a challenger is on trial; None: nobody."""
        if role == "canary":
            return self.champion
        if role == "champion" and fraction(key) < self.shadow_share:
            return self.canary
        return None

    def others(self, chosen: Model) -> list[tuple[str, Model]]:
        """Who may answer a request that does not fit what was chosen for it: the champion, then older majors.

        Each with other inputs.
        """
        roles = [
            ("champion", self.champion),
            ("fallback", self.fallback),
            *((f"major-{model.served.major}", model) for model in self.majors),
        ]
        return [
            (role, model)
            for role, model in roles
            if model and model.signature.inputs != chosen.signature.inputs
        ]

    def any(self, project: str) -> Model:
        """The champion or what answers in its place, or before there is one, what is on trial.

        Refuses (503) where nothing is loaded.
        """
        if not self.models:
            raise Refusal(
                503,
                f"model {project!r}: nothing is loaded; {'; '.join(self.refused.values()) or 'none was released'}",
            )
        return next(iter(self.models.values()))

    def version(self, project: str, wanted: str) -> tuple[str, Model]:
        """Role and model of an explicit version.

        Refuses (404, or 503 with the reason where its bundle was refused).
        """
        for role, model in self.models.items():
            if str(model.served.version) == wanted:
                return role, model
        if reason := {str(version): text for version, text in self.refused.items()}.get(wanted):
            raise Refusal(503, f"version {wanted} is refused: {reason}")
        loaded = ", ".join(str(model.served.version) for model in self.models.values()) or "none"
        raise Refusal(404, f"model {project!r} has no version {wanted!r} loaded; loaded: {loaded}")


def fraction(key: str) -> float:
    """A request's place in [0, 1), evenly spread over keys."""
    return int.from_bytes(hashlib.blake2b(key.encode(), digest_size=8).digest()) / 2**64


Table = Mapping[str, Route]
Stamp = tuple[int, int, int]


@dataclass
class Watch:
    """Follows the manifests. `refreshed` runs off the event loop, in one thread at a time."""

    releases: Releases
    executor: Executor
    memory: ModelMemory = field(default_factory=lambda: ModelMemory(math.inf))
    _seen: dict[str, Stamp] = field(default_factory=dict)
    _retry_at: float = float("inf")

    def retry(self) -> None:
        """Has the next look try again what was refused."""
        self._retry_at = 0.0

    def refreshed(self, table: Table) -> Table:
        """The routing table as the manifests are now; the same object while they are unchanged."""
        seen = {path.stem: file_stamp(path) for path in sorted(self.releases.folder.glob("*.json"))}
        retry = time.monotonic() > self._retry_at
        changed = [
            project
            for project in seen
            if seen[project] != self._seen.get(project) or (retry and needs_retry(table, project))
        ]
        if not changed and seen.keys() == self._seen.keys():
            return table
        fresh = {project: table[project] for project in seen if project in table}
        fresh |= {project: self._route(project, table.get(project, Route())) for project in changed}
        self._seen = seen
        self._retry_at = (
            time.monotonic() + RETRY_S if any(route.refused for route in fresh.values()) else float("inf")
        )
        return fresh

    def _route(self, project: str, old: Route) -> Route:
        """A project's route by its manifest.

        What is loaded stays loaded, and the old champion goes on where the new one is refused.
        """
        try:
            manifest = self.releases.read(project)
        except (OSError, ValueError) as error:
            log.error("%s: the release manifest cannot be read, all stays as it is: %s", project, error)
            return replace(old, refused={0: f"release manifest: {error}"})
        refused: dict[int, str] = {}
        champion = self._model(project, manifest.champion, old, refused)
        fallback = (
            self._fallback(project, manifest, old, refused)
            if manifest.champion and champion is None
            else None
        )
        canary = self._model(project, manifest.canary, old, refused)
        majors = tuple(
            model for each in manifest.majors if (model := self._model(project, each, old, refused))
        )
        previous = loaded_model(manifest.previous, old) if manifest.previous else None
        route = Route(
            champion,
            fallback,
            canary,
            None if previous is fallback or previous in majors else previous,
            majors,
            *trial_shares(manifest),
            refused,
            damage(manifest, champion, fallback, canary, refused),
            refusal_sentence(manifest),
        )
        if (described := describe(route)) != describe(old) or route.damage != old.damage:
            log.info("%s: %s", project, described)
        if route.damage and route.damage != old.damage:
            log.error("%s: %s", project, route.damage)
        return route

    def _fallback(
        self, project: str, manifest: Manifest, old: Route, refused: dict[int, str]
    ) -> Model | None:
        """The newest whole version before the champion; where there is none, what is loaded goes on."""
        for version in fallbacks(manifest):
            if model := self._model(project, version, old, refused):
                return model
        return old.champion or old.fallback

    def _model(
        self, project: str, wanted: Served | None, old: Route, refused: dict[int, str]
    ) -> Model | None:
        """The loaded model of a version, loaded now if need be.

        None, with the reason in `refused`, where its bundle is not good.
        """
        if wanted is None:
            return None
        if model := loaded_model(wanted, old):
            # How its answers are logged may have changed, with the same bundle.
            model.served = wanted
            return model
        try:
            return load(project, wanted, self.executor, self.memory)
        except Exception as error:
            # Whatever is wrong with a bundle, the versions that serve must go on.
            refused[wanted.version] = f"{type(error).__name__}: {error}"
            if old.refused.get(wanted.version) != refused[wanted.version]:
                log.error("%s: version %d is refused: %s", project, wanted.version, refused[wanted.version])
            return None


def loaded_model(wanted: Served, old: Route) -> Model | None:
    """The model of a version among those that are loaded."""
    known = {(model.served.version, model.served.digest): model for model in old.models.values()}
    return known.get((wanted.version, wanted.digest))


def trial_shares(manifest: Manifest) -> tuple[float, float, float]:
    """Shares of the requests that the canary answers, and that it is asked as a shadow.

    And the spread of its answers.
    """
    canary = manifest.canary
    if canary is None:
        return 0.0, 0.0, 0.0
    if canary.mode == "shadow":
        return 0.0, canary.share, canary.spread
    return canary.share, 0.0, canary.spread


def damage(
    manifest: Manifest,
    champion: Model | None,
    fallback: Model | None,
    canary: Model | None,
    refused: Mapping[int, str],
) -> str:
    """What does not serve as the manifest says, which version answers instead, and why.

    Empty where all does.
    """
    told = []
    if manifest.champion and champion is None:
        instead = (
            f"version {fallback.served.version} answers in its place"
            if fallback
            else "nothing answers in its place"
        )
        version = manifest.champion.version
        told.append(f"version {version} cannot be loaded, {instead}: {refused[version]}")
    if manifest.canary and canary is None:
        version = manifest.canary.version
        told.append(
            f"version {version} cannot be loaded and gets no request of its trial: {refused[version]}"
        )
    told += [
        f"version {each.version} cannot be loaded, and clients of major version {each.major} are refused"
        for each in manifest.majors
        if each.version in refused
    ]
    told += [
        f"version {model.served.version} answers by its portable graph: {model.portable}"
        for model in (champion, fallback, canary)
        if model and model.portable
    ]
    told += [
        f"version {model.served.version} answers on the CPU: {model.fell_back}"
        for model in (champion, fallback, canary)
        if model and model.fell_back
    ]
    return "; ".join(told)


def refusal_sentence(manifest: Manifest) -> str:
    """Which version was deployed last and does not serve, since when and why; empty where it serves."""
    against = refusal(manifest)
    if against is None:
        return ""
    ended = "was refused" if against.outcome == "refused" else "was rolled back"
    return f"version {against.version} {ended} at {against.at}: {against.reason}"


def needs_retry(table: Table, project: str) -> bool:
    """Whether a bundle of the project was refused."""
    return project in table and bool(table[project].refused)


def file_stamp(path: Path) -> Stamp:
    """Changes whenever the file is replaced; 0 for one that is gone again."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return 0, 0, 0
    return found.st_mtime_ns, found.st_size, found.st_ino


def describe(route: Route) -> str:
    """A route for the log."""
    roles = [f"{role} {model.served.version}" for role, model in route.models.items()]
    if not roles:
        return "nothing serves"
    if route.canary is None:
        return ", ".join(roles)
    asked = f"as a shadow of {route.shadow_share:.0%}" if route.shadow_share else f"at {route.share:.0%}"
    return f"{', '.join(roles)} {asked}"
