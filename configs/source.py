"""Where raw rows come from: the source section of a project's YAML."""

import re
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from configs.section import Section, import_path_or

FILES = ("csv", "jsonl", "parquet", "delta", "images")
"""Readers of something that has a path."""


class ColumnConfig(Section):
    """The contract about one column. A source that breaks it stops the run, with both sides named."""

    type: Literal["text", "integer", "number", "boolean", "timestamp", "any"]
    """`any` takes the source's own type, such as the pixels of an image."""
    source: str | None = None
    """The column's name in the source, where it is another."""
    required: bool = False
    """Whether a missing value breaks the contract."""
    missing: tuple[str, ...] = ("",)
    """Texts that stand for no value, such as `?`; blanks around a value are cut first."""
    prefix: str = ""
    """Text cut from the beginning of values that have it, such as a currency's sign; a number's own sign may
    stand before or behind it."""
    suffix: str = ""
    """Text cut from the end of values that have it, such as the dot after Adult's test labels, or a unit."""
    replace: dict[str, str] = {}
    """Texts in place of others, such as {"YES": "Yes"} where one class is written in several ways."""
    thousands: str = ""
    """Separator of thousands in numbers."""
    decimal: str = "."
    """Decimal sign in numbers."""
    format: str | None = None
    """Of timestamps, as strptime has it; none: ISO 8601."""
    usual: tuple[float, float, float, float, float] | None = None
    """The 5, 25, 50, 75 and 95 % quantiles when the contract was inferred. Values that are all larger or
    smaller by one factor, as after a change of unit, break the contract."""


class CsvConfig(Section):
    """How a CSV file is written."""

    delimiter: Annotated[str, Field(min_length=1, max_length=1)] = ","
    quote: Annotated[str, Field(max_length=1)] = '"'
    """Empty: quotation marks are text like any other."""
    encoding: str = "utf-8"
    """A byte order mark is skipped."""
    names: tuple[str, ...] = ()
    """Column names of a file without a header line; with `header: true` they take the place of the header
    line's own."""
    header: bool | None = None
    """Whether the first line names the columns; none: where `names` does not."""
    skip: int = Field(default=0, ge=0, le=1000)
    """Lines before the header (without one, before the first row) that are no part of the table, such as a
    title or comments."""

    @property
    def has_header(self) -> bool:
        """Whether a line is no row but the header."""
        return not self.names if self.header is None else self.header

    @model_validator(mode="after")
    def columns_have_names(self) -> "CsvConfig":
        """From the header line or from `names`."""
        if self.header is False and not self.names:
            raise ValueError("header: false needs `names`: the columns' names, in their order")
        return self


class SqlConfig(Section):
    """Rows of a database."""

    table: str | None = None
    query: str | None = None
    """A SELECT in place of a table."""
    partition_on: str | None = None
    """An indexed number or time column whose range is read in `partitions` pieces, side by side."""

    @model_validator(mode="after")
    def table_or_query(self) -> "SqlConfig":
        """Exactly one of the two."""
        if (self.table is None) == (self.query is None):
            raise ValueError("give `table` or `query`, one of them")
        return self


class ImagesConfig(Section):
    """Image files, in a folder or a tar or zip archive."""

    labels: str | None = None
    """A CSV file, beside the images or inside the archive; none: the label is the name of an image's folder.
    """
    file_column: str = "file"
    """Column of `labels` with an image's path, or the end of it, with or without the file's suffix."""
    label_pattern: str | None = None
    """Where there is neither: a regular expression for a file's name without its suffix, whose one group is the
    label, such as `^([a-z]+)_`. A file that does not match has no label."""

    @model_validator(mode="after")
    def pattern_has_a_group(self) -> "ImagesConfig":
        """What the pattern finds must be one text."""
        if self.label_pattern is None:
            return self
        if self.labels is not None:
            raise ValueError("give `labels` or `label_pattern`, one of them")
        try:
            groups = re.compile(self.label_pattern).groups
        except re.error as error:
            raise ValueError(
                f"label_pattern {self.label_pattern!r} is no regular expression: {error}"
            ) from None
        if groups != 1:
            raise ValueError(
                f"label_pattern {self.label_pattern!r} has {groups} groups; put round brackets around the label alone"
            )
        return self


class LimitsConfig(Section):
    """What a source may cost before it counts as broken or hostile."""

    columns: int = Field(default=2000, ge=1)
    line_bytes: int = Field(default=16 * 2**20, ge=1024)
    """Longest line of a text file."""
    pixels: int = Field(default=50_000_000, ge=1)
    """Of one image, as its header says."""
    seconds: float = Field(default=3600, gt=0)
    """Of waiting for a server that does not answer."""


class JoinConfig(Section):
    """Columns of another source beside the rows that have the same value in `on`."""

    source: "SourceConfig"
    on: str
    how: Literal["left", "inner"] = "left"
    """`left` keeps rows without a match, their joined columns empty."""


class SourceConfig(Section):
    """Where raw rows come from.

    `$NAME` in a path or URL is taken from the environment when rows are read, and never kept.
    """

    reader: Annotated[str, import_path_or(*FILES, "sql", "synthetic")]
    """A built-in reader, or `package.module:function` that returns a list of partitions (see
    tasks/ingestion/partitions/sources.py)."""
    path: str | None = None
    """A file, glob, folder or archive, relative to the YAML's folder, or a URL: s3://, gs://, az://,
    https://; for `sql` SQLAlchemy's URL of the database."""
    mirror: str | None = None
    """A path below $GYRE_DATA that is read in place of `path` where that variable is set."""
    key: str | tuple[str, ...] = "id"
    """Column or columns whose values name a row for ever; `*`: all of them. Rows that repeat it are kept once (the last wins).
    `origin_line`: a row's place, such as rows.csv:12, which keeps every row, also equal ones. It lasts while
    files are only appended to: a line put in or taken out above renames the rows below it, for people's
    decisions and late labels too.
    """
    columns: dict[str, ColumnConfig] = {}
    """The contract; `gyre data infer` writes it. None: columns are taken as they come, those of CSV files as
    text."""
    extra: Literal["error", "ignore", "keep"] = "error"
    """What happens to columns that the contract does not name."""
    watermark: str | None = None
    """The source's column that only grows, such as a time of change: only rows above the last value seen are
    new. Each file has its own last value, so a file that comes late is read whole. Rows that were read stay,
    also where they change below it."""
    partitions: int = Field(default=4, ge=1, le=4096)
    """At most so many pieces are read side by side; an import-path reader cuts its rows itself."""
    rows: int | None = Field(default=None, ge=1)
    """For `synthetic`: rows drawn from the contract; otherwise the first rows of the source alone, for a
    trial."""
    csv: CsvConfig = CsvConfig()
    sql: SqlConfig | None = None
    images: ImagesConfig = ImagesConfig()
    join: tuple[JoinConfig, ...] = ()
    append: tuple["SourceConfig", ...] = ()
    """More sources whose rows come after these, with the same contract."""
    limits: LimitsConfig = LimitsConfig()
    options: dict[str, Any] = {}
    """Keyword arguments of an import-path reader, or storage options of the path's file system."""

    @model_validator(mode="after")
    def reader_has_what_it_reads(self) -> "SourceConfig":
        """What is missing would be found only at the first run; it is said when the YAML is read."""
        if self.reader in (*FILES, "sql") and not self.path:
            example = (
                "postgresql://user:$PASSWORD@host/name"
                if self.reader == "sql"
                else f"a file or glob such as data/*.{self.reader}"
            )
            raise ValueError(f"reader {self.reader!r} needs `path`: {example}")
        if (self.reader == "sql") != (self.sql is not None):
            raise ValueError("`sql` (a table or query) goes with reader: sql, and only with it")
        self.check_watermark()
        if self.key == "origin_line" and self.reader not in ("csv", "jsonl", "parquet", "delta"):
            raise ValueError(
                f"key: origin_line goes with files of rows, csv, jsonl, parquet and delta (reader is {self.reader!r})"
            )
        if self.reader == "synthetic" and not (self.columns and self.rows):
            raise ValueError("reader 'synthetic' needs `columns` (the contract to draw from) and `rows`")
        return self

    def check_watermark(self) -> None:
        """Raises ValueError where rows have none, or texts would be compared that stand for numbers."""
        if self.watermark and self.reader in ("delta", "images", "synthetic"):
            raise ValueError(
                f"watermark goes with sql, csv, jsonl, parquet and readers of your own (reader is {self.reader!r})"
            )
        if (
            self.watermark
            and self.reader == "csv"
            and self.watermark not in {spec.source or name for name, spec in self.columns.items()}
        ):
            raise ValueError(
                f"watermark {self.watermark!r} of a CSV file needs its type: add it to source.columns, such as type: timestamp"
            )
