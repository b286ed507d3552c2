"""Joined sources for a look ahead: read from the beginning for a few seconds, with the checks of a run."""

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa

from configs.intake import IntakeConfig
from configs.source import JoinConfig
from tasks.ingestion.first_partitions import first_partitions
from tasks.ingestion.lines import LINE
from tasks.ingestion.parsing.contract import conform_table
from tasks.ingestion.parsing.conversions import Conversions
from tasks.ingestion.partitions.join import Table, check_unique
from tasks.ingestion.partitions.sources import inherit
from tasks.ingestion.readers.location import name_of
from tasks.rows.parts import part_writer

ROWS = 500_000
"""Of each joined source that are read."""
SECONDS = 2.0
"""After which no more is read of the joined sources together: a look takes 5 s."""


@dataclass
class Joined:
    """What was read of the joined sources."""

    tables: tuple[Table, ...] = ()
    whole: bool = True
    """Whether it is all there is: only then a row without a match has none."""
    conversions: Conversions = field(default_factory=Conversions)


def joined_tables(joins: tuple[JoinConfig, ...], intake: IntakeConfig, label: str, folder: Path) -> Joined:
    """The first rows of joined sources as files in `folder`.

    Raises ValueError naming the key of the YAML, the file and what is wrong: a file that is not there, a
    value against the contract, `on` that is absent or not unique.
    """
    joined, deadline = Joined(), time.monotonic() + SECONDS
    for number, join in enumerate(joins):
        try:
            path = folder / f"join-{number}.parquet"
            whole = write_first_rows(join, intake, label, path, deadline, joined.conversions)
            name = f"join with {name_of(join.source)}"
            check_unique(path, join.on, name)
        except ValueError as error:
            raise ValueError(f"source.join[{number}]: {error}") from None
        # Of a part of the rows a row without a match may have one in the rest.
        table = Table(path, "", join.on, join.how if whole else "inner", name)
        joined.tables = (*joined.tables, table)
        joined.whole = joined.whole and whole
    return joined


def write_first_rows(
    join: JoinConfig, intake: IntakeConfig, label: str, path: Path, deadline: float, conversions: Conversions
) -> bool:
    """Writes rows of a joined source until ROWS or the deadline; whether they are all."""
    left = ROWS
    with part_writer(path) as add:
        for rows in conformed_rows(join, intake, label, conversions):
            add(rows.slice(0, left))
            left -= len(rows)
            if left < 0 or time.monotonic() > deadline:
                return False
    if not path.exists():
        fix = "bring some, or set its path to a file that has them"
        raise ValueError(f"{name_of(join.source)}: holds no rows; {fix}")
    return True


def conformed_rows(
    join: JoinConfig, intake: IntakeConfig, label: str, conversions: Conversions
) -> Iterator[pa.Table]:
    """The rows of a joined source and of those appended to it, by the contract."""
    sources = (join.source, *(inherit(more, join.source) for more in join.source.append))
    for source in sources:
        for partition in first_partitions(source, intake, label, ROWS + 1):
            for rows in partition.read(conversions):
                named = f"join with {name_of(source)}"
                yield conform_table(rows.drop_columns([LINE]), source.columns, source.extra, named)
