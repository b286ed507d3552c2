"""The one way in which the server says no."""

from reprlib import Repr
from typing import Any

SHOWN = 60
"""Characters of a value in an error's text."""


class Refusal(Exception):  # noqa: N818 - it is an answer, not a failure
    """A request that is answered with an HTTP error and a text that names the culprit, the value and what is wanted."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


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
