"""What the `gyre` command tells without a traceback."""


class RunError(RuntimeError):
    """A flow run, or what it should have brought about, did not go well; the message says what and why."""
