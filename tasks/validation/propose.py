"""A suite of expectations proposed from the rows of a good version, for a person to read, change and put into the project's YAML."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import pyarrow as pa
import yaml

from configs.data import Expectation
from tasks.validation import learned
from tasks.validation.dependencies import dependencies, known
from tasks.validation.profile import ADDED, Profile, kinds, opened, profile

WRITTEN_BY_GYRE = ("origin", "origin_line", "origin_content", "split")
"""Columns that stages add; they are no part of the data."""
FEWEST = 20
"""Rows from which something can be learned."""


def propose(rows: pd.DataFrame | pa.Table | Sequence[Path], ignore: Sequence[str] = WRITTEN_BY_GYRE) -> tuple[Expectation, ...]:
    """Expectations that nearly all good rows like these meet, from a frame, a table or the Parquet parts of a version.

    Each was learned from one half of the rows and tried on the other. Raises ValueError where there are too few rows.
    """
    with opened(rows) as connection:
        there: int = connection.execute("SELECT count(*) FROM rows").fetchall()[0][0]
        if there < FEWEST:
            raise ValueError(f"{there} rows: too few to propose rules from; give at least {FEWEST}")
        profiles = [profile(connection, name, kind) for name, kind in kinds(connection, ignore).items()]
        return tuple(suite(connection, profiles, ignore, there))


def suite(connection: duckdb.DuckDBPyConnection, profiles: list[Profile], ignore: Sequence[str], rows: int) -> Iterator[Expectation]:
    """Rules about the table, each column, and columns together."""
    names = [row[0] for row in connection.execute("DESCRIBE rows").fetchall() if row[0] not in (*ignore, *ADDED)]
    yield Expectation(type="expect_table_columns_to_match_set", severity="fail", kwargs={"column_set": names, "exact_match": False})
    for found in profiles:
        yield from learned.rules(found, connection)
    told: set[str] = set()
    for pair in dependencies(connection, profiles, learned.allowed(rows)):
        written = {} if pair.other in told else known(connection, pair.column, pair.other)
        told |= {pair.other} if written else set()
        yield Expectation(
            type="tasks.validation.rules:ExpectColumnToDetermineAnother",
            kwargs={"column_A": pair.column, "column_B": pair.other, **({"known": written} if written else {})},
        )


def to_yaml(expectations: Sequence[Expectation]) -> str:
    """The `validation:` section of a project's YAML."""
    body = {"validation": {"expectations": [expectation.model_dump() for expectation in expectations]}}
    written: str = yaml.dump(body, Dumper=Readable, sort_keys=False, allow_unicode=True, width=140)
    return written


class Readable(yaml.SafeDumper):
    """Lists and mappings of plain values on one line."""

    def represent_sequence(self, tag: str, sequence: Any, flow_style: bool | None = None) -> yaml.SequenceNode:
        """In brackets where it holds plain values."""
        return super().represent_sequence(tag, sequence, not any(isinstance(value, (dict, list)) for value in sequence))

    def represent_mapping(self, tag: str, mapping: Any, flow_style: bool | None = None) -> yaml.MappingNode:
        """In braces where it is long, such as what a column is known to be."""
        return super().represent_mapping(tag, mapping, len(mapping) > 8)
