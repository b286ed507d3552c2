"""What the model server answered and what turned out to be true: append-only Parquet by project and day.

`<home>/predictions/<project>/<YYYY-MM-DD>/predictions-*.parquet`, a line a row served:
    request_id text (`<id>` or `<id>#<row>` where a request held several), time timestamp[us] (UTC), version
    int64 (the model's), role text (`champion`, `fallback` while the champion's files are damaged, `canary`,
    or `previous` where a client named that version), a column `input.<name>` for each input of the graph (a
    number or text; an input of several numbers a list, flat, in its dtype), answer text.
`<home>/predictions/<project>/<YYYY-MM-DD>/labels-*.parquet`, a line a late label:
    request_id text, time timestamp[us] (UTC), label text.
A label may come before or after its prediction is on the disk, or twice; the last one by time counts. The
model server refuses labels of rows that were not logged; those that it could not look for in time may stay
unmatched, which the drift flow counts. Files appear whole, by rename, and never change; small ones of a day
are merged (tasks/production/log_compaction.py).
"""

import math
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from infra.files import whole_file
from tasks.production.log_compaction import visible_files
from tasks.rows.raw import TEXT, Rows, TensorSpec, blank
from tasks.rows.sql import open_database

if TYPE_CHECKING:
    # The model server only appends, and stays small without them.
    import pandas as pd

ATTEMPTS = 5
"""To read files that may be merged at the same moment."""
_TIME = pa.timestamp("us")
# Schemas only: to make a table of them, pyarrow imports pandas.
SCHEMAS = {
    "predictions": pa.schema(
        {"request_id": pa.string(), "time": _TIME, "version": pa.int64(), "answer": pa.string()}
    ),
    "labels": pa.schema({"request_id": pa.string(), "time": _TIME, "label": pa.string()}),
}


@dataclass(frozen=True)
class PredictionLog:
    """The log of one project. Reading and appending may happen in different processes at the same time."""

    folder: Path
    """`<home>/predictions/<project>`."""

    def append_predictions(self, table: pa.Table, day: str, name: str) -> None:
        """One more file of predictions; `name` must be new."""
        self._append(table, f"{day}/predictions-{name}.parquet")

    def append_labels(self, table: pa.Table, day: str, name: str) -> None:
        """One more file of labels; `name` must be new."""
        self._append(table, f"{day}/labels-{name}.parquet")

    def _append(self, table: pa.Table, relative: str) -> None:
        with whole_file(self.folder / relative) as temporary:
            pq.write_table(table, temporary, compression="zstd")

    def latest(self, rows: int, version: int | None = None) -> "pd.DataFrame":
        """The newest predictions (of one model version), oldest first, at most `rows`: request_id, time, version, answer, inputs.

        Days are opened from the newest one back, as many as hold that many rows.
        """
        days = sorted((path.name for path in self.folder.glob("*") if path.is_dir()), reverse=True)
        count = 1
        while True:
            found = self._query(
                """
                select * from (
                    select * from predictions
                    where $version is null or version = $version
                    order by time desc, request_id desc limit $rows
                ) order by time, request_id
                """,
                {"rows": rows, "version": version},
                days[:count],
            )
            if len(found) >= rows or count >= len(days):
                return found
            count *= 4

    def labelled(self, since: datetime | None = None) -> "pd.DataFrame":
        """Predictions whose truth arrived (after `since`), by arrival.

        Columns: request_id, time (of the label), answered (when), version, answer, label, inputs.
        """
        return self._query(
            """
            select p.* replace (l.time as time), p.time as answered, l.label
            from (select request_id, max(time) as time, arg_max(label, time) as label from labels group by request_id) l
            join (select distinct on (request_id) * from predictions) p using (request_id)
            where $since is null or l.time > $since
            order by l.time, p.request_id
            """,
            {"since": since},
        )

    def unmatched(self) -> int:
        """Labels of rows that are not in the log: nothing learns from them."""
        sql = "select count(distinct request_id) as count from labels anti join (select request_id from predictions) using (request_id)"
        return int(self._query(sql, {})["count"].iloc[0])

    def answered(self, request_id: str) -> "pd.DataFrame":
        """What was answered to a request, a line a row of it, and its truth: request_id, time, version, answer, label (none yet: null)."""
        return self._query(
            """
            select distinct on (p.request_id) p.request_id, p.time, p.version, p.answer, l.label
            from predictions p
            left join (select request_id, arg_max(label, time) as label from labels group by request_id) l using (request_id)
            where p.request_id = $request or starts_with(p.request_id, $request || '#')
            order by p.request_id, p.time
            """,
            {"request": request_id},
        )

    def _query(
        self, sql: str, parameters: Mapping[str, object], days: Collection[str] | None = None
    ) -> "pd.DataFrame":
        """Runs `sql` with the views `predictions` and `labels` (of some days).

        A kind of which there is no file is an empty view.
        """
        import duckdb

        for _ in range(ATTEMPTS - 1):
            # A file that was listed has been merged meanwhile.
            with suppress(duckdb.IOException):
                return self._ask(sql, parameters, days)
        return self._ask(sql, parameters, days)

    def _ask(
        self, sql: str, parameters: Mapping[str, object], days: Collection[str] | None
    ) -> "pd.DataFrame":
        with open_database() as connection:
            for kind, schema in SCHEMAS.items():
                files = [
                    str(path)
                    for path in visible_files(self.folder, kind)
                    if days is None or path.parent.name in days
                ]
                if files:
                    connection.read_parquet(files, union_by_name=True).create_view(kind)
                else:
                    connection.register(kind, schema.empty_table())
            return connection.execute(sql, parameters).df()


PREFIX = "input."
"""Of the log's columns that hold raw rows."""


def input_columns(rows: Rows) -> dict[str, pa.Array]:
    """The log's columns of raw rows."""
    return {PREFIX + name: input_column(np.ascontiguousarray(rows[name])) for name in rows.dtype.names or ()}


def input_column(values: npt.NDArray[Any]) -> pa.Array:
    """Numbers or texts [rows], or flat lists of [rows, ...]."""
    if values.ndim == 1:
        return pa.array(values, pa.string() if values.dtype == object else None)
    offsets = np.arange(len(values) + 1, dtype=np.int32) * (values.size // len(values))
    return pa.ListArray.from_arrays(pa.array(offsets), pa.array(values.ravel()))


def logged_rows(frame: "pd.DataFrame", inputs: Sequence[TensorSpec]) -> tuple[Rows, npt.NDArray[np.bool_]]:
    """Raw rows of the log's lines, and which lines fit the inputs.

    A line of a model with other inputs may not, and is left blank.

    A single value that was not logged, such as a column that an older model did not take, is missing: NaN or
    an empty text.
    """
    rows, fits = blank(inputs, len(frame)), np.ones(len(frame), bool)
    for spec in inputs:
        name = PREFIX + spec.name
        if name in frame and (column := whole_column(frame[name], spec)) is not None:
            rows[spec.name] = column
            continue
        values = frame[name].to_list() if name in frame else [None] * len(frame)
        for number, value in enumerate(values):
            try:
                rows[spec.name][number] = logged_value(value, spec)
            except (TypeError, ValueError):
                fits[number] = False
    return rows, fits


def whole_column(values: "pd.Series[Any]", spec: TensorSpec) -> npt.NDArray[Any] | None:
    """A column's values at once, where they are what the input takes as they stand; None where each is to be looked at."""
    if spec.shape:
        arrays, size = values.to_list(), math.prod(spec.shape)
        is_fixed = bool(arrays) and min(spec.shape) >= 0
        if not is_fixed or not all(isinstance(each, np.ndarray) and each.shape == (size,) for each in arrays):
            return None
        return np.concatenate(arrays).astype(spec.dtype).reshape(len(arrays), *spec.shape)
    if spec.dtype == TEXT or values.dtype.kind != "f" or np.dtype(spec.dtype).kind != "f":
        return None
    return values.to_numpy(spec.dtype)


def logged_value(value: Any, spec: TensorSpec) -> Any:
    """One input's value of a line in its dtype. Raises TypeError or ValueError where it is none."""
    missing = value is None or (isinstance(value, float) and np.isnan(value))
    if spec.dtype == TEXT:
        return "" if missing else str(value)
    if spec.shape:
        return np.asarray(value, spec.dtype).reshape(spec.shape)
    return np.nan if missing else value
