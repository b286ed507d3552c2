"""Rows that cannot be scored, kept with their reason in a file beside the scores."""

import json
from typing import IO, Any

import pyarrow as pa

from tasks.ingestion.lines import LINE
from tasks.ingestion.parsing.conversions import Conversions
from tasks.rows.content_hash import COLUMN as CONTENT
from tasks.scoring.counts import Counts
from tasks.scoring.row_inputs import Refusals

CELL = 1_000
"""Characters of a refused row's value that the side file keeps: what broke it may be an endless text."""
CELLS = 200
LEFT_OUT = {
    "ragged_lines": "a line with another number of fields than there are columns",
    "unreadable_lines": "a line that is no JSON object",
    "unreadable_images": "no readable image",
    "unmatched_dropped": "no row of the joined source",
}
"""Reasons of rows that never became one."""


class KeptRows(Conversions):
    """Counts of what reading changed, and the rows that the reader itself left out."""

    keeps_rows = True

    def __init__(self) -> None:
        super().__init__()
        self.left_out: list[dict[str, Any]] = []

    def leave_out(self, check: str, origin: str, line: int | None, reason: str, text: str) -> None:
        """See Conversions."""
        self.left_out.append(
            {"origin": origin, LINE: line, "reason": reason, "row": text[:CELL], "check": check}
        )


def write_refused(
    table: pa.Table, ids: pa.Array, refusals: Refusals, origin: str, counts: Counts, side: IO[str]
) -> None:
    """The refused rows of a table in the side file.

    Origin, line, id, reason and the row as the source has it.
    """
    if not refusals.reasons:
        return
    places = sorted(refusals.reasons)
    rows = table.take(pa.array(places))
    shown = shown_columns(rows)
    lines, names = rows[LINE].to_pylist(), ids.take(pa.array(places)).to_pylist()
    values = rows.select(shown).to_pylist()
    for place, line, name, row in zip(places, lines, names, values, strict=True):
        reasons = refusals.reasons[place]
        for reason in reasons:
            counts.reasons[reason_kind(reason)] += 1
        told = {
            "origin": origin,
            LINE: line,
            "id": name,
            "reason": "; ".join(reasons),
            "row": {key: cell(value) for key, value in row.items()},
        }
        side.write(json.dumps(told, ensure_ascii=False, default=str) + "\n")


def shown_columns(table: pa.Table) -> list[str]:
    """The columns that the side file shows of a row.

    The source's own, the first ones of a very wide table.
    """
    return [name for name in table.column_names if name not in (LINE, CONTENT)][:CELLS]


def write_left_out(kept: KeptRows, counts: Counts, side: IO[str]) -> None:
    """The rows that the reader left out, in the side file."""
    waiting, kept.left_out = kept.left_out, []
    for each in waiting:
        counts.reasons[LEFT_OUT[each.pop("check")]] += 1
        counts.refused += 1
        side.write(json.dumps({**each, "id": None}, ensure_ascii=False) + "\n")


def reason_kind(reason: str) -> str:
    """A reason without the row's own value, to count by."""
    column, _, told = reason.partition(": ")
    _, said, wanted = told.rpartition(" is ")
    # A value that is shown stands in quotes, or is a number.
    return f"{column}: a value is {wanted}" if said else reason


def cell(value: Any) -> Any:
    """A value for the side file, cut where it is long."""
    if isinstance(value, str):
        return value[:CELL]
    if isinstance(value, (list, bytes)):
        return str(value)[:CELL]
    return value
