"""A bundle goes into production: registered, put on trial beside the champion, then promoted or taken back.

Each step can be made twice, and they are made in an order in which a kill between any two is mended by
running the same again.
"""

import logging
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from configs.deployment import DeploymentConfig
from infra.files import DigestError, read_json, verify, whole_folder
from infra.settings import Settings
from tasks.deployment.canary import Canary, CanaryTrial, wait_until
from tasks.deployment.live_labels import label_differences
from tasks.deployment.promotion import Production
from tasks.deployment.release_health import damage_of
from tasks.deployment.sandbox import SandboxReport, try_in_sandbox
from tasks.deployment.sequential import Differences
from tasks.intake import Rows
from tasks.production.inference_client import InferenceClient, InferenceError
from tasks.production.releases import Manifest, ReleaseError, Served, log_as, withdrawal
from tasks.production.releases import retire as retired
from tasks.records import Bundle, Release

log = logging.getLogger("gyre.deployment")

SERVER_S = 30.0
"""How long the model server may be away before a deployment gives up: as long as a restart takes."""
SWAP_S = 10.0
"""How long the model server may take to swap to the promoted version; it polls several times a second."""


@dataclass(frozen=True)
class Rollout:
    """How a deployment ended, and what sandbox and trial found.

    Neither where nothing changed, no trial where the sandbox refused.
    """

    release: Release
    sandbox: SandboxReport | None = None
    trial: CanaryTrial | None = None


def roll_out(
    bundle: Bundle,
    rows: Callable[[int], Rows],
    deployment: DeploymentConfig,
    settings: Settings,
    server_s: float = SERVER_S,
) -> Rollout:
    """Makes a bundle the champion, unless its trial fails.

    rows: gives at most so many raw test rows, which are replayed to the challenger
    server_s: how long the model server may be away
    Raises InferenceError where it is away for longer (then nothing was changed), DigestError for a changed
    bundle, SandboxError where no sandbox can be started.
    """
    production = Production.of(bundle.project, settings)
    released = production.manifest().champion
    damaged = damage_of(released) if released else ""
    folder = keep_bundle(bundle, settings.home.bundle(bundle.project, bundle.digest))
    restored = f"; its files were damaged and are restored ({damaged})" if damaged else ""
    with (
        InferenceClient(settings.server_url, bundle.project) as client,
        production.releases.rollout(bundle.project),
    ):
        manifest = production.manifest()
        champion = manifest.champion
        # A damaged champion of the same graph was restored just now, or another bundle takes its place.
        if champion and same_answers(folder, Path(champion.uri)) and not damage_of(champion):
            production.releases.change(bundle.project, lambda found: log_as(found, deployment.log))
            return Rollout(
                production.leave(
                    champion, f"version {champion.version} serves the same graph already{restored}"
                )
            )
        if champion and (left := withdrawal(manifest, read_json(folder / "signature.json")["graph_digest"])):
            told = next((each for each in manifest.decisions if each.digest == left.digest), None)
            why = "by hand" if told is None or told.outcome == "promoted" else f"({told.reason})"
            reason = f"the same graph as version {left.version}, which was rolled back {why}; `gyre rollback` takes that back"
            return Rollout(production.leave(champion, reason))
        replayed = rows(max(1, deployment.canary_requests))
        wait_until(lambda: reachable(client), server_s)
        challenger = registered_bundle(bundle, folder, production, deployment)
        tried = try_in_sandbox(bundle.project, challenger, replayed, deployment)
        if tried.refusal:
            return Rollout(production.refuse(challenger, tried.refusal, {"sandbox": tried.figures()}), tried)
        shares = deployment.shares if champion else (0.0,)
        # Versions with other inputs, or whose files are damaged, cannot be asked the same rows.
        beside = champion if champion and not damaged and champion.major == challenger.major else None
        canary = Canary(
            client,
            challenger,
            beside,
            replayed,
            next(iter(tried.answers.values())),
            deployment,
            wanted=lambda: production.tries(challenger),
            take_share=lambda share: production.take_share(challenger, share),
            labels=label_source(challenger, beside, folder, settings.home.prediction_log(bundle.project)),
        )
        with on_trial(production, challenger, shares[0], deployment.mode, canary.spread):
            trial = canary.run(shares)
            evidence = {"sandbox": tried.figures(), "trial": trial.evidence()}
            release = promote_or_take_back(challenger, trial, deployment, production, evidence)
        await_swap(client, release)
        return Rollout(release, tried, trial)


def label_source(
    challenger: Served, champion: Served | None, folder: Path, log_folder: Path
) -> Callable[[datetime], Differences]:
    """What gives the differences that late labels since a moment tell; nothing where there is no champion."""
    numbers = read_json(folder / "signature.json")["classes"] is None

    def labels(since: datetime) -> Differences:
        if champion is None:
            return Differences()
        return label_differences(log_folder, since, challenger.version, champion.version, numbers=numbers)

    return labels


def registered_bundle(
    bundle: Bundle, folder: Path, production: Production, deployment: DeploymentConfig
) -> Served:
    """The bundle as a version of the registry, for the manifest."""
    graph_digest = read_json(folder / "signature.json")["graph_digest"]
    version = production.registry.register(bundle, folder, graph_digest)
    return Served(
        uri=str(folder),
        digest=bundle.digest,
        version=version,
        graph_digest=graph_digest,
        dataset=bundle.model.dataset,
        major=major_of(folder, production.manifest()),
        log=deployment.log,
    )


def major_of(folder: Path, manifest: Manifest) -> int:
    """The major version of a bundle.

    That of the champion, or of a later one that was rolled back, whose inputs it takes; or a new one.
    """
    champion = manifest.champion
    known = [each for each in (champion, manifest.previous, *manifest.earlier, *manifest.majors) if each]
    if champion is None:
        return 1
    inputs = inputs_of(folder)
    for each in known:
        if each.major >= champion.major and inputs_of(Path(each.uri)) in (inputs, None):
            return each.major
    return max(each.major for each in known) + 1


def inputs_of(folder: Path) -> list[dict[str, Any]] | None:
    """Names, dtypes and shapes of a bundle's inputs, in the order of their names.

    None where the bundle is gone or damaged.
    """
    try:
        inputs = read_json(folder / "signature.json")["inputs"]
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None
    return sorted(
        ({name: each[name] for name in ("name", "dtype", "shape")} for each in inputs),
        key=lambda each: str(each["name"]),
    )


@contextmanager
def on_trial(
    production: Production,
    challenger: Served,
    share: float,
    mode: Literal["canary", "shadow"],
    spread: float,
) -> Iterator[None]:
    """Live requests go to the challenger inside the block.

    An error or a cancelled run must not leave them there.
    """
    production.stage(challenger, share, mode, spread)
    try:
        yield
    finally:
        production.end_trial(challenger.version)


def promote_or_take_back(
    challenger: Served,
    trial: CanaryTrial,
    deployment: DeploymentConfig,
    production: Production,
    evidence: dict[str, Any],
) -> Release:
    """Promotes the challenger, or takes it back when it failed its trial or somebody ended the trial meanwhile."""
    if production.tries(challenger) and (failure := trial.failure(deployment)):
        return production.take_back(challenger, failure, evidence)
    reason = trial.summary() + new_major(challenger, production.manifest())
    try:
        return production.promote(challenger, reason, evidence)
    except ReleaseError as error:
        return production.take_back(challenger, str(error), evidence)


def new_major(challenger: Served, manifest: Manifest) -> str:
    """What clients of the champion meet, where the challenger takes other inputs; else nothing."""
    champion = manifest.champion
    if champion is None or challenger.major <= champion.major:
        return ""
    return (
        f"; it is major version {challenger.major}, which takes other inputs: version {champion.version} goes on answering the requests "
        f"that fit it, until `gyre retire {manifest.project} {champion.version}`"
    )


def retire(project: str, version: int) -> None:
    """Stops answering the clients of an older major version.

    Raises ReleaseError naming those that there are.
    """
    Production.of(project, Settings()).releases.change(project, lambda manifest: retired(manifest, version))


def await_swap(client: InferenceClient, release: Release) -> None:
    """Returns when the model server does what was decided, so that whoever asks next meets the right version."""
    champion = release.version if release.status == "promoted" else release.previous

    def swapped() -> bool:
        roles = client.metadata()["parameters"]
        return roles.get("champion") == str(champion) and "canary" not in roles

    try:
        if champion is not None:
            wait_until(swapped, SWAP_S)
    except (InferenceError, TimeoutError) as error:
        log.warning(
            "%s: decided, but the model server does not serve version %d yet: %s",
            release.project,
            champion,
            error,
        )


def roll_back(project: str) -> Release:
    """Serves the previous version again; doing it once more takes it back.

    Raises ReleaseError where there is none, or its files are damaged.
    """
    return Production.of(project, Settings()).roll_back()


def keep_bundle(bundle: Bundle, folder: Path) -> Path:
    """The bundle at its lasting place, where no later run of an earlier stage reaches it.

    Raises DigestError.
    """
    try:
        return verify(folder, bundle.digest)
    except (FileNotFoundError, DigestError):
        source = verify(bundle.uri, bundle.digest)
    with whole_folder(folder) as partial:
        shutil.copytree(source, partial, dirs_exist_ok=True)
        verify(partial, bundle.digest)
    return folder


def same_answers(folder: Path, champion: Path) -> bool:
    """Whether two bundles have the same signature, which names the graph's digest.

    A trial would compare a model with itself.
    """
    try:
        return (folder / "signature.json").read_bytes() == (champion / "signature.json").read_bytes()
    except FileNotFoundError:
        return False


def reachable(client: InferenceClient) -> bool:
    """True where the model server answers, whatever it serves. Raises InferenceError."""
    client.server()
    return True
