"""Columns of other sources beside a source's rows, by DuckDB on disk.

The joined table may be larger than memory.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from configs.intake import IntakeConfig
from configs.source import JoinConfig
from infra.files import read_json, whole_file, write_json
from tasks.ingestion.lines import LINE
from tasks.ingestion.parsing.contract import conform_table
from tasks.ingestion.parsing.conversions import Conversions, examples_of
from tasks.ingestion.partitions.deduplication import open_on_disk
from tasks.ingestion.partitions.sources import list_partitions
from tasks.ingestion.readers.location import name_of
from tasks.ingestion.readers.stream import read_ahead, rebatch
from tasks.pipeline.code import code_digest
from tasks.rows.parts import ROWS_A_PART, part_writer
from tasks.rows.sql import identifier


@dataclass(frozen=True)
class Table:
    """The rows to join, in a Parquet file under the home."""

    path: Path
    key: str
    """Changes with the rows and with how they are joined."""
    on: str
    how: str
    name: str

    @property
    def counts(self) -> list[dict[str, Any]]:
        """What was noted while it was read, as `Conversions` has it."""
        return list(read_json(counts_path(self.path)))


@dataclass
class Matches:
    """Which rows of each joined table some row wanted [rows of that table], by the name of its file."""

    found: dict[str, npt.NDArray[np.bool_]] = field(default_factory=dict)

    def add(self, other: Table, places: npt.NDArray[np.int64]) -> None:
        """Notes places of rows."""
        name = other.path.name
        if name not in self.found:
            self.found[name] = np.zeros(pq.read_metadata(other.path).num_rows, np.bool_)
        self.found[name][places] = True


def counts_path(path: Path) -> Path:
    """Where the counts of a joined table are kept."""
    return path.with_suffix(".json")


def tables(joins: tuple[JoinConfig, ...], intake: IntakeConfig, label: str, kept: Path) -> tuple[Table, ...]:
    """Reads the joined sources, each once: what is unchanged is not read again.

    Raises ValueError where `on` is absent or not unique.
    """
    return tuple(table(join, intake, label, kept) for join in joins)


def table(join: JoinConfig, intake: IntakeConfig, label: str, kept: Path) -> Table:
    """One joined source as a file."""
    name, found = f"join with {name_of(join.source)}", list_partitions(join.source, intake, label, kept)
    how = join.source.model_dump(include={"columns", "extra", "rows", "csv", "limits"}, mode="json")
    facts = json.dumps(
        [code_digest(__name__), [entry.partition.id for entry in found], how, join.on, join.how],
        sort_keys=True,
    )
    key = hashlib.sha256(facts.encode()).hexdigest()[:24]
    path = kept / f"join-{key}.parquet"
    if not path.exists():
        conversions = Conversions()
        with whole_file(path) as temporary:
            with part_writer(temporary) as add:
                for entry in found:
                    for rows in read_ahead(
                        partial(entry.partition.read, conversions), entry.source.limits.seconds, name
                    ):
                        add(
                            conform_table(
                                rows.drop_columns([LINE]), entry.source.columns, entry.source.extra, name
                            )
                        )
            check_unique(temporary, join.on, name)
            write_json(counts_path(path), conversions.as_json())
    return Table(path, key, join.on, join.how, name)


def check_unique(path: Path, on: str, name: str) -> None:
    """Raises ValueError where `on` is absent, or a value comes twice: the join would double rows."""
    import duckdb

    with open_on_disk(path.parent) as opened:
        column = identifier(on)
        try:
            repeated = f"SELECT {column}, count(*) FROM read_parquet(?) WHERE {column} IS NOT NULL GROUP BY 1 HAVING count(*) > 1"
            found = opened.execute(f"{repeated} ORDER BY 1 LIMIT 1", [str(path)]).fetchone()
        except duckdb.BinderException:
            there = ", ".join(pq.read_schema(path).names)
            raise ValueError(f"{name}: no column {on!r} (source.join.on); it has {there}") from None
    if found:
        raise ValueError(
            f"{name}: {on} {found[0]!r} comes {found[1]} times; a join would double rows, so make it unique there"
        )


def join_tables(
    rows: Iterable[pa.Table], others: tuple[Table, ...], name: str, conversions: Conversions, matches: Matches
) -> Iterator[pa.Table]:
    """Rows with the columns of the others beside them, in the same order.

    A part's worth of rows is joined at once.

    Rows without a match are noted in `conversions`, the others' rows that have one in `matches`.
    """
    if not others:
        yield from rows
        return
    with ExitStack() as stack:
        opened = stack.enter_context(open_on_disk(others[0].path.parent))
        for big in rebatch(rows, ROWS_A_PART):
            for other in others:
                big = join_one(opened, big, other, name, conversions, matches)  # noqa: PLW2901
            yield from rebatch([big])


def join_one(
    opened: Any, rows: pa.Table, other: Table, name: str, conversions: Conversions, matches: Matches
) -> pa.Table:
    """As `joined`, of one table.

    Raises ValueError where `on` is absent, or a joined column is there already.
    """
    if other.on not in rows.column_names:
        raise ValueError(
            f"{name}: no column {other.on!r} (source.join.on); it has {', '.join(rows.column_names)}"
        )
    import duckdb

    opened.register("here", rows.append_column("gyre row", pa.array(range(len(rows)), pa.int64())))
    try:
        there = [
            column[0]
            for column in opened.execute(
                "DESCRIBE SELECT * FROM read_parquet(?)", [str(other.path)]
            ).fetchall()
        ]
        if twice := sorted((set(there) - {other.on}) & set(rows.column_names)):
            raise ValueError(
                f"{other.name}: column {twice[0]!r} is in both; leave it out there (source.columns, extra: ignore)"
            )
        on = identifier(other.on)
        beside = '(SELECT * RENAME (file_row_number AS "gyre place") FROM read_parquet(?, file_row_number = true)) AS there'
        found = opened.sql(
            f'SELECT * FROM here {other.how.upper()} JOIN {beside} USING ({on}) ORDER BY "gyre row"',
            params=[str(other.path)],
        ).to_arrow_table()
    except duckdb.DataError as error:
        types = f"{rows.schema.field(other.on).type} in {name} and {pq.read_schema(other.path).field(other.on).type} there"
        fix = "give both one type in source.columns"
        raise ValueError(f"{other.name}: {other.on!r} (source.join.on) is {types} ({error}); {fix}") from None
    finally:
        opened.unregister("here")
    matches.add(other, found["gyre place"].drop_null().to_numpy())
    note_unmatched(
        rows, found.filter(pc.is_valid(found["gyre place"]))["gyre row"].to_numpy(), other, conversions
    )
    lines = found[LINE]
    return found.drop_columns(["gyre row", "gyre place", LINE]).append_column(LINE, lines)


def note_unmatched(
    rows: pa.Table, matched: npt.NDArray[np.int64], other: Table, conversions: Conversions
) -> None:
    """Notes the rows that are not among the matched."""
    without = np.ones(len(rows), np.bool_)
    without[matched] = False
    check = "unmatched_dropped" if other.how == "inner" else "unmatched_kept"
    examples = examples_of(without, rows[other.on].combine_chunks(), rows)
    conversions.add(check, f"{other.name} on {other.on}", int(without.sum()), len(rows), examples)


def unmatched_values(path: Path, on: str, matched: npt.NDArray[np.bool_]) -> list[str]:
    """The first values of `on` of a joined table's rows that no row wanted."""
    places = np.flatnonzero(~matched)[:3]
    return [repr(value) for value in pq.read_table(path, columns=[on])[on].take(places).to_pylist()]
