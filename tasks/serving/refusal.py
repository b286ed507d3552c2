"""The one way in which the server says no."""


class Refusal(Exception):  # noqa: N818 - it is an answer, not a failure
    """A request that is answered with an HTTP error and a text that names the culprit, the value and what is wanted."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
