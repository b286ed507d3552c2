"""What all records have in common, and the findings that most of them carry."""

from pydantic import BaseModel, ConfigDict


class Record(BaseModel):
    """Frozen, JSON-serialisable; equal inputs give equal records, so a record can be part of a cache key."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class Stored(Record):
    """A file or folder and its digest."""

    uri: str
    digest: str


class Finding(Record):
    """Something that a stage dropped, guessed, converted, merged or did not compare: a fact.

    `checks` in the YAML say what it does.
    """

    stage: str
    """Such as `ingest`."""
    check: str
    """The key of `checks` (configs/checks.py) that decides about it."""
    about: str = ""
    """Column, file or slice of the test set concerned; empty: all rows."""
    count: int
    """How many rows, values or files."""
    total: int
    """Out of how many; at least 1."""
    told: str
    """What was found, in words that follow the count: `rows repeat the key of a later row and were left out`.
    """
    examples: tuple[str, ...] = ()
    """A few of them, short."""
    advice: str = ""
    """What mends the cause, as an imperative without its full stop."""

    @property
    def share(self) -> float:
        """How much of the whole is concerned, 0 to 1."""
        return self.count / max(1, self.total)

    @property
    def text(self) -> str:
        """The finding in a sentence, without its full stop."""
        about = f"{self.about}: " if self.about else ""
        examples = f", such as {'; '.join(self.examples)}" if self.examples else ""
        return f"{about}{self.count:,} of {self.total:,} {self.told} ({self.share:.2%}){examples}"
