"""The one way in which the server says no."""

import math
from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from reprlib import Repr
from types import MappingProxyType
from typing import Any, NoReturn

SHOWN = 60
"""Characters of a value in an error's text."""
NO_HEADERS: Mapping[str, str] = MappingProxyType({})


class Refusal(Exception):  # noqa: N818 - it is an answer, not a failure
    """A request that is answered with an HTTP error and a text that names the culprit, the value and what is wanted."""

    def __init__(self, status: int, message: str, headers: Mapping[str, str] = NO_HEADERS) -> None:
        super().__init__(message)
        self.status = status
        self.headers = headers
        """More headers of the answer over HTTP, such as the methods that a path has."""


def refuse_for(seconds: float, reason: str) -> NoReturn:
    """Refuses (503) with the time after which it is worth trying again."""
    after = max(1, math.ceil(seconds))
    raise Refusal(503, f"{reason}; try again in {after} s", {"retry-after": str(after)})


class _Shortened(Repr):
    """repr() that stops early: of a value as deep or as long as a client likes."""

    def __init__(self) -> None:
        super().__init__()
        self.maxlevel, self.maxlist, self.maxdict, self.maxstring, self.maxlong = 3, 8, 8, SHOWN, SHOWN


_shortened = _Shortened()


def shorten(value: Any) -> str:
    """A JSON value for an error's text."""
    text = "missing" if value is None else _shortened.repr(value)
    return text if len(text) <= SHOWN else f"{text[: SHOWN - 3]}..."


def check_known(given: Iterable[str], known: Sequence[str], where: str) -> None:
    """Refuses a key that means nothing here: what it asks for would not be done, and nobody would know."""
    for key in given:
        if key not in known:
            close = get_close_matches(key[:SHOWN], known, 1)
            hint = f" (did you mean {close[0]!r}?)" if close else ""
            raise Refusal(400, f"{where}: {shorten(key)} is not understood{hint}; known: {', '.join(known)}")


def parameters_of(value: Any, known: tuple[str, ...], where: str) -> dict[str, Any]:
    """The parameters of a request or an output; none where it has none.

    Refuses those that are not understood.
    """
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise Refusal(400, f"{where} is {shorten(value)}; want an object")
    if None in value.values():
        # Clients that write out all of their fields have null for those that nobody set.
        value = {name: given for name, given in value.items() if given is not None}
    parameters: dict[str, Any] = value
    check_known(parameters, known, where)
    return parameters
