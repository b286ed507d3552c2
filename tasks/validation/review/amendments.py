"""Decisions about rows, laid over the rows as the source has them.

Fixed values in their places, released rows known.

Decisions are few and rows many: only the ids of all rows are looked at, and only row groups with a decided
row are read whole.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from tasks.rows.parts import tables, write_tables
from tasks.validation.review.decisions import Standing
from tasks.validation.review.row_content import contents, value_of

NO_SUCH_ROW, CHANGED = "the source has no such row any more", "the row's content has changed since"


@dataclass
class Amendments:
    """The decisions in force, and the rows of one set of parts that they are about."""

    standings: Sequence[Standing]
    found: dict[str, Standing] = field(default_factory=dict)
    """The decisions that hold, by row."""
    rows: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Decided rows as the source has them, without what is no single value, by id."""
    changed: set[str] = field(default_factory=set)
    """Names of the parts in which values are fixed."""

    @property
    def released(self) -> pa.Array:
        """Ids of the rows that pass whatever they break."""
        return pa.array(sorted(row for row, standing in self.found.items() if standing.released), pa.string())

    def look(self, parts: Sequence[Path]) -> "Amendments":
        """Finds the rows in the parts."""
        wanted = {(standing.row, standing.content): standing for standing in self.standings}
        ids = pa.array(sorted({standing.row for standing in self.standings}), pa.string())
        for part in parts if len(ids) else ():
            for group in groups_with(part, ids):
                for row, found in zip(single_values(group), contents(group), strict=True):
                    self.rows.setdefault(row["id"], row)
                    if standing := wanted.get((row["id"], found)):
                        self.found[row["id"]], self.rows[row["id"]] = standing, row
                        self.changed |= {part.name} if standing.values else set()
        return self

    def laid_over(self, parts: Sequence[Path], scratch: Path) -> list[Path]:
        """The parts with fixed values.

        Those with any are written into `scratch`, the others are as they are.
        """
        for part in parts:
            if part.name in self.changed:
                write_tables(map(self.fixed, tables(part)), scratch / part.name)
        return [scratch / part.name if part.name in self.changed else part for part in parts]

    def fixed(self, table: pa.Table) -> pa.Table:
        """A table with the fixed values in it.

        Raises ValueError where a value does not fit its column any more.
        """
        for place, standing in self.places(table):
            for column, text in standing.values.items():
                number = table.schema.get_field_index(column)
                value = pa.array(
                    [value_of(table.schema, column, text).as_py()], table.schema.field(column).type
                )
                before = table.column(number)
                pieces = [*before.slice(0, place).chunks, value, *before.slice(place + 1).chunks]
                table = table.set_column(
                    number, table.schema.field(number), pa.chunked_array(pieces, before.type).combine_chunks()
                )
        return table

    def places(self, table: pa.Table) -> Iterator[tuple[int, Standing]]:
        """Positions of the rows to be fixed, with their decisions."""
        ids = pa.array(sorted(row for row, standing in self.found.items() if standing.values), pa.string())
        places = pc.indices_nonzero(pc.is_in(table["id"].cast(pa.string()), ids)).to_pylist()
        for place in places:
            row = table.slice(place, 1)
            standing = self.found[str(row["id"][0].as_py())]
            if contents(row) == [standing.content]:
                yield place, standing

    def outcomes(self, broken: dict[str, list[str]]) -> list[dict[str, Any]]:
        """What became of each decided row, as JSON: `broken` are the rules that rows break now, with their fixed values."""
        return [self.outcome(standing, broken.get(standing.row, [])) for standing in self.standings]

    def outcome(self, standing: Standing, broken: list[str]) -> dict[str, Any]:
        """A line about one decided row.

        `became` is released, fixed, `still breaks`, or why the decision no longer holds.
        """
        row, holds = self.rows.get(standing.row), self.found.get(standing.row) == standing
        became = "released" if standing.released else "still breaks" if broken else "fixed"
        return {
            "row": standing.row,
            "holds": holds,
            "became": became if holds else CHANGED if row else NO_SUCH_ROW,
            "origin": row.get("origin") if row else None,
            "origin_line": row.get("origin_line") if row else None,
            "breaks": broken if holds else [],
            "changes": {name: [str(row.get(name)), text] for name, text in standing.values.items()}
            if row and holds
            else {},
            "decisions": [
                decision.model_dump(mode="json", exclude={"rows"}) for decision in standing.decisions
            ],
            "reasons": list(standing.decisions[0].rows[0].reasons),
        }


def groups_with(part: Path, ids: pa.Array) -> Iterator[pa.Table]:
    """The rows of a part that have one of the ids, a row group at a time."""
    with pq.ParquetFile(part) as file:
        for number in range(file.num_row_groups):
            here = pc.is_in(file.read_row_group(number, columns=["id"])["id"].cast(pa.string()), ids)
            if pc.any(here).as_py():
                yield file.read_row_group(number).filter(here)


def single_values(table: pa.Table) -> list[dict[str, Any]]:
    """Rows without what is no single value; ids as text."""
    plain = [name for name in table.column_names if not pa.types.is_nested(table.schema.field(name).type)]
    return [row | {"id": str(row["id"])} for row in table.select(plain).to_pylist()]
