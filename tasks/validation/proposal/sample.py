"""Rows spread evenly over a data set, in memory: every column as numbers that stand for its values.

What many pairs of columns, or many ways to hold rows out, are asked for is then arithmetic, not one query
each.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tasks.rows.sql import identifier

ROWS = 200_000
"""Rows looked at, at most."""
CELLS = 8_000_000
"""Values looked at, at most: wide tables are sampled more thinly."""
Codes = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Sample:
    """Some rows, in their order."""

    rows: int
    codes: dict[str, Codes]
    """By column: the place of each row's value in `values`, -1 where there is none."""
    values: dict[str, list[str]]
    """By column: its different values, as text."""
    cached: dict[str, npt.NDArray[np.float64]] = field(default_factory=dict)

    def counts(self, column: str, rows: Mask) -> dict[str, int]:
        """The values that some rows have, and how many have each."""
        codes = self.codes[column][rows]
        numbers = np.bincount(codes[codes >= 0], minlength=len(self.values[column]))
        values = self.values[column]
        return {values[place]: int(numbers[place]) for place in np.flatnonzero(numbers)}

    def numbers(self, column: str) -> npt.NDArray[np.float64]:
        """A column of numbers, NaN where there is none."""
        if column not in self.cached:
            parsed = np.array([*map(float, self.values[column]), np.nan])
            self.cached[column] = parsed[self.codes[column]]
        return self.cached[column]


def sample_rows(connection: duckdb.DuckDBPyConnection, columns: Sequence[str], rows: int) -> Sample:
    """Up to ROWS of the view `rows`, which has that many."""
    most = max(1000, min(ROWS, CELLS // max(1, len(columns))))
    # An odd step, or a table that alternates between two kinds of rows would show one kind only.
    step = max(1, -(-rows // most)) | 1
    listed = ", ".join(f"{identifier(name)}::VARCHAR AS {identifier(name)}" for name in columns)
    found = connection.sql(
        f"SELECT {listed} FROM rows WHERE gyre_place % {step} = 0 ORDER BY gyre_place"
    ).to_arrow_table()
    codes, values = dict[str, Codes](), dict[str, list[str]]()
    for name in columns:
        encoded = found[name].cast(pa.string()).combine_chunks().dictionary_encode()
        codes[name] = encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)
        values[name] = encoded.dictionary.to_pylist()
    return Sample(len(found), codes, values)
