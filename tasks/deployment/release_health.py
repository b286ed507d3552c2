"""Whether what was released really serves: the model server answers with an older version while a champion's files are damaged."""

from infra.files import DigestError, verify, whole_file
from infra.settings import Settings
from tasks.production.inference_client import InferenceClient, InferenceError
from tasks.production.releases import Releases, fallbacks
from tasks.records import Champion, Stored


def champion_of(project: str, releases: Releases) -> Champion | None:
    """The version that is released, and where its files are damaged the newest whole one before it.

    None before the first release.
    """
    manifest, champion = releases.read(project), releases.champion(project)
    if champion is None or not (told := damage_of(champion)):
        return champion
    before = [Champion(project=project, **each.model_dump()) for each in fallbacks(manifest)]
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
    """What does not serve as it was released, in a sentence; empty where all does, or the server is away (`gyre status` tells that)."""
    with InferenceClient(settings.server_url, project) as client:
        try:
            return client.degraded().get(project, "")
        except InferenceError as error:
            return str(error) if error.status == 503 else ""


def is_news(project: str, told: str, settings: Settings) -> bool:
    """Whether this damage was not announced yet."""
    path = settings.folder("releases") / f".{project}.damage"
    return bool(told) and not (path.is_file() and path.read_text(encoding="utf-8") == told)


def note_announced(project: str, told: str, settings: Settings) -> None:
    """Keeps in mind what was announced, so that a damage is one event however often production is looked at; empty: that it is mended."""
    with whole_file(settings.folder("releases") / f".{project}.damage") as temporary:
        temporary.write_text(told, encoding="utf-8")
