"""Whether what was released really serves.

The model server answers with an older version while a champion's files are damaged.
"""

from pathlib import Path

from infra.files import DigestError, digest, verify
from infra.settings import Settings
from tasks.production.inference_client import InferenceClient, InferenceError
from tasks.production.releases import (
    Manifest,
    ReleaseError,
    Releases,
    Served,
    as_champion,
    fallbacks,
    rollback,
)
from tasks.records import Champion, Stored

GRAPH = "model.onnx"


def champion_of(project: str, releases: Releases) -> Champion | None:
    """The version that is released, and where its files are damaged the newest whole one before it.

    None before the first release.
    """
    manifest, champion = releases.read(project), releases.champion(project)
    if champion is None or not (told := damage_of(champion)):
        return champion
    before = [as_champion(project, each) for each in fallbacks(manifest)]
    whole = next((each for each in before if not damage_of(each)), None)
    return champion.model_copy(update={"damage": told, "fallback": whole})


def damage_of(bundle: Stored) -> str:
    """Why a version's files cannot be read; empty where they are as they were released."""
    try:
        verify(bundle.uri, bundle.digest)
    except (DigestError, OSError) as error:
        return f"{type(error).__name__}: {error}"
    return ""


def damage(project: str, settings: Settings) -> str:
    """What does not serve as it was released, in a sentence.

    Empty where all does, or the server is away (`gyre status` tells that).
    """
    with InferenceClient(settings.server_url, project) as client:
        try:
            return client.degraded().get(project, "")
        except InferenceError as error:
            return str(error) if error.status == 503 else ""


def is_news(project: str, told: str, releases: Releases) -> bool:
    """Whether this damage was not announced yet."""
    return bool(told) and told != releases.announced_damage(project)


def rollback_to_whole(manifest: Manifest) -> Manifest:
    """`rollback`, unless the files of the version that would serve again are not as they were released.

    Raises ReleaseError naming the damaged file; as well where there is no version to go back to.
    """
    after, serves = rollback(manifest), manifest.champion
    back = after.champion
    if back is None or not damage_of(back):
        return after
    goes_on = f"; version {serves.version} goes on serving" if serves else ""
    raise ReleaseError(
        f"{manifest.project}: version {back.version} cannot serve again, {damaged_file(back)}{goes_on}. "
        f"Restore it from a copy, or make a new version with `gyre run {manifest.project}`"
    )


def damaged_file(served: Served) -> str:
    """Which file of a damaged version is not as it was released.

    The graph's digest is known by itself, that of the others is not.
    """
    folder = Path(served.uri)
    graph = folder / GRAPH
    if not graph.is_file():
        return f"{graph} is missing"
    if (found := digest(graph)) != served.graph_digest:
        return f"{graph} is damaged: its digest is {found[:12]} instead of {served.graph_digest[:12]}"
    others = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    others.remove(GRAPH)
    return (
        f"a file of {folder} other than {GRAPH} was changed, added or removed; there are {', '.join(others)}"
    )
