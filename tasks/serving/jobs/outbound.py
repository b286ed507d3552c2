"""What the model server may call: the origins that GYRE_OUTBOUND_ORIGINS names, and nothing else.

A client that names a URL borrows this machine's place in the network: what listens on the loopback or in the
private network, or hands out a cloud's credentials, would be in its reach. So nothing is called that nobody
named, no redirect is followed, and no proxy of the environment is used.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from tasks.serving.protocol.refusal import Refusal, shorten

if TYPE_CHECKING:
    import httpx

CONNECT_S, ANSWER_S = 5.0, 30.0
SETTING = "GYRE_OUTBOUND_ORIGINS"
USUAL_PORTS = {"http": 80, "https": 443}
MAX_URL = 2048


def check_url(url: str, origins: frozenset[str], name: str) -> str:
    """The URL, where it may be called. Refuses (400) what is none, (403) one of another origin."""
    try:
        parts = urlsplit(url)
        port = parts.port or USUAL_PORTS.get(parts.scheme)
    except ValueError as error:
        raise Refusal(400, f"{name} is {shorten(url)}: {error}") from None
    if parts.scheme not in USUAL_PORTS or not parts.hostname or len(url) > MAX_URL or not url.isprintable():
        wanted = f"a URL such as https://example.com/path of at most {MAX_URL} characters"
        raise Refusal(400, f"{name} is {shorten(url)}; want {wanted}")
    if parts.username or parts.password or parts.fragment or " " in url:
        raise Refusal(400, f"{name} is {shorten(url)}; want it without user, password, fragment and spaces")
    if origin_of(parts.scheme, parts.hostname, port) not in origins:
        known = ", ".join(sorted(origins)) or "none yet"
        raise Refusal(
            403, f"{name}: {parts.scheme}://{parts.netloc} may not be called; {SETTING} names: {known}"
        )
    return url


def origins_of(given: str) -> frozenset[str]:
    """Origins of a list with commas between them, such as `https://hooks.example.com, http://10.0.0.7:9000`.

    Raises ValueError.
    """
    found = set[str]()
    for each in filter(None, (part.strip() for part in given.split(","))):
        parts = urlsplit(each)
        if parts.scheme not in USUAL_PORTS or not parts.hostname or parts.path not in ("", "/"):
            raise ValueError(f"{SETTING}: {each!r} is no origin; want such as https://hooks.example.com")
        found.add(origin_of(parts.scheme, parts.hostname, parts.port or USUAL_PORTS[parts.scheme]))
    return frozenset(found)


def origin_of(scheme: str, host: str, port: int | None) -> str:
    """An origin with its port."""
    return f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}"


def fetch(url: str, limit: int) -> tuple[bytes, str]:
    """A file's bytes and content type, for a thread that may wait. Refuses (422) what cannot be had."""
    import httpx

    try:
        with (
            client() as asking,
            asking.stream("GET", url, headers={"accept-encoding": "identity"}) as answer,
        ):
            if answer.status_code != 200:
                raise Refusal(422, f"{shorten(url)} answers {answer.status_code}; want 200 and the file")
            parts, size = [], 0
            for part in answer.iter_raw():
                parts.append(part)
                size += len(part)
                if size > limit:
                    raise Refusal(413, f"{shorten(url)} has more than {limit} bytes, the most of one job")
            return b"".join(parts), answer.headers.get("content-type", "")
    except httpx.HTTPError as error:
        raise Refusal(422, f"{shorten(url)} cannot be read: {type(error).__name__}: {error}") from None


def post(url: str, body: bytes, headers: Mapping[str, str]) -> int:
    """The status of what answers a POST, for a thread that may wait. Raises OSError."""
    import httpx

    try:
        with client() as asking, asking.stream("POST", url, content=body, headers=headers) as answer:
            return answer.status_code
    except httpx.HTTPError as error:
        raise OSError(f"{type(error).__name__}: {error}") from None


def client() -> "httpx.Client":
    """Calls what it is told to and nothing else."""
    import httpx

    limits = httpx.Timeout(ANSWER_S, connect=CONNECT_S)
    return httpx.Client(timeout=limits, follow_redirects=False, trust_env=False)
