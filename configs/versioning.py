"""How rows are split, and where versions of them are kept: the versioning section of a project's YAML."""

from typing import Literal

from pydantic import model_validator

from configs.section import Section, Share


class SplitConfig(Section):
    """Deterministic splits, which a row's place and its neighbours do not change."""

    train: Share = 0.7
    validation: Share = 0.1
    """What neither takes is the test split."""
    by: Literal["content", "group", "time"] = "content"
    """`content`: a hash of what the source holds about a row before anything is made of it (an image file's bytes, a text, the values of
    `columns`), so a row never changes sides and no split holds a copy of another's; `group`: a hash of
    `column`, so rows of one person or device stay together; `time`: the oldest rows of `column` train, the
    newest test.
    """
    column: str | None = None
    columns: tuple[str, ...] = ()
    """For `content`: the source's columns that are a row's content. None: those that the intake of the first
    version took, for all versions after it, so that an input more or less moves no row to another side. The
    label is never one of them: a row whose label is corrected stays where it was."""

    @model_validator(mode="after")
    def leaves_a_test_split(self) -> "SplitConfig":
        """Without test rows no gate can judge."""
        if self.train + self.validation >= 1:
            raise ValueError(
                f"train {self.train} + validation {self.validation} leaves no test rows; their sum must be under 1"
            )
        if (self.by == "content") != (self.column is None):
            raise ValueError(
                f"`column` goes with by: group and by: time, and only with them; by is {self.by!r}, column {self.column!r}"
            )
        if self.columns and self.by != "content":
            raise ValueError(f"`columns` goes with by: content; by is {self.by!r}")
        return self


class VersioningConfig(Section):
    """Where data set versions are kept."""

    split: SplitConfig = SplitConfig()
    remote: str | None = None
    """DVC remote (s3://, gs://, ssh://, a folder); none: a folder under the Gyre home."""
    remote_options: dict[str, str] = {}
    """DVC's settings of the remote, such as endpointurl; secrets belong in the environment or in DVC's own
    local config."""
