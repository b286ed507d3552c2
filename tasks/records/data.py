"""Records of the data plane: from a source's snapshot to labelled rows."""

from typing import Literal

from tasks.records.base import Finding, Record, Stored


class SourceSnapshot(Record):
    """What a source holds at one moment: ingesting the same snapshot twice gives the same rows."""

    project: str
    fingerprint: str
    """Digest of the source's partitions."""
    partitions: tuple[str, ...] = ()
    """The partitions that its rows are made of, in order: names of their folders in the home."""
    feedback: Stored | None = None
    """Parquet of served rows whose truth arrived, frozen at this moment."""
    feedback_rows: int = 0
    content: tuple[str, ...] = ()
    """The source's columns whose values are a row's content, by which rows are split; none: what the intake
    takes."""
    date_formats: dict[str, str] = {}
    """How date columns are written, declared or found; one that is not named is in ISO 8601, or holds dates
    already."""
    findings: tuple[Finding, ...] = ()


class RawRows(Stored):
    """Ingested rows: a folder of Parquet parts."""

    rows: int
    feedback_rows: int
    """How many of them are served rows whose truth arrived late (`origin` is `feedback`)."""
    content: tuple[str, ...] = ()
    """The source's columns whose values `origin_content` was taken from."""
    date_formats: dict[str, str] = {}
    """As the snapshot has them."""
    findings: tuple[Finding, ...] = ()


class DatasetVersion(Stored):
    """A commit of the data repo."""

    project: str
    version: int
    tag: str
    """Such as `digits/v3`; `git -C <data repo> checkout <tag> && dvc pull` gives the rows without Gyre."""
    commit: str
    rows: int
    splits: dict[str, int]
    """Rows a split: train, validation, test."""
    date_formats: dict[str, str] = {}
    """How the source wrote its date columns, so that clients' texts are read alike."""


class ValidationBaseline(Record):
    """What people and the last version say about rows that are to be validated, frozen at one moment."""

    decisions: Stored | None = None
    """JSON of the decisions in force about single rows (tasks/validation/review/decisions.py)."""
    last: DatasetVersion | None = None
    """The version to compare with, where the project has rules about it."""
    stale: str = ""
    """The newest value of the freshness rule's column where that is too old at this moment."""
    unlabelled: str = ""
    """Column of the label where it is empty until labeling, so that there is nothing to compare in it."""


class RuleOutcome(Record):
    """One expectation's result."""

    rule: str
    """GX's name and the column, such as `expect_column_values_to_be_between(brightness)`."""
    severity: Literal["fail", "quarantine", "warn"]
    success: bool
    observed: str
    unexpected: int
    """Rows that break it; 0 for rules about the whole table."""


class ValidationReport(Stored):
    """The accepted rows (a folder of Parquet parts) and what was found."""

    rows: int
    quarantined: int
    quarantine: Stored | None
    """Parquet of the rows set aside, as the source has them, with the column `reasons` (list of rules)."""
    decisions: Stored | None = None
    """JSON of people's decisions and what became of the rows that they are about."""
    decided: int = 0
    """Rows that were released or fixed."""
    lapsed: int = 0
    """Rows whose decision no longer holds: their content has changed, or the source does not have them any
    more."""
    rules: tuple[RuleOutcome, ...]
    failures: tuple[str, ...]
    """Why the run must stop; empty when it may go on."""
    report: str
    """Path of Data Docs' index.html under the home's `reports`."""
    findings: tuple[Finding, ...] = ()


class AnnotatorQuality(Record):
    """How one annotator did against the consensus."""

    name: str
    answers: int
    agreement: float
    """Share of answers equal to the consensus."""


class LabelReport(Stored):
    """Rows with their consensus label (a folder of Parquet parts) and what is doubtful."""

    rows: int
    agreement: float
    """Share of all answers equal to the consensus; 1.0 without annotators."""
    annotators: tuple[AnnotatorQuality, ...]
    relabelled: int
    """Rows whose consensus differs from the plain majority vote."""
    suspects: Stored | None
    """Parquet with `id, label, suggested, quality` (0 worst, 1 best), worst first."""
    suspected: int
    failures: tuple[str, ...]
    findings: tuple[Finding, ...] = ()
