"""What the model server answered and what turned out to be true: append-only Parquet by project and day.

`<home>/predictions/<project>/<YYYY-MM-DD>/predictions-*.parquet`, a line a row served:
    request_id text (`<id>` or `<id>#<row>` where a request held several), time timestamp[us] (UTC), version int64 (the model's),
    role text (`champion`, `canary`, or `previous` where a client named that version), row list of the raw row's numbers, flat, in the
    input's dtype, answer text.
`<home>/predictions/<project>/<YYYY-MM-DD>/labels-*.parquet`, a line a late label:
    request_id text, time timestamp[us] (UTC), label text.
A label may come before or after its prediction is on the disk, twice, or for a request nobody made; the last one by time counts.
Files appear whole, by rename, and never change.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

from infra.files import whole_file

if TYPE_CHECKING:
    # The model server only appends, and stays small without them.
    import pandas as pd

_TIME = pa.timestamp("us")
EMPTY = {
    "predictions": pa.schema(
        {"request_id": pa.string(), "time": _TIME, "version": pa.int64(), "row": pa.list_(pa.float32()), "answer": pa.string()}
    ).empty_table(),
    "labels": pa.schema({"request_id": pa.string(), "time": _TIME, "label": pa.string()}).empty_table(),
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
        """The newest predictions (of one model version), oldest first, at most `rows`: request_id, time, version, row, answer."""
        return self._query(
            """
            select * from (
                select request_id, time, version, row, answer from predictions
                where $version is null or version = $version
                order by time desc, request_id desc limit $rows
            ) order by time, request_id
            """,
            {"rows": rows, "version": version},
        )

    def labelled(self, since: datetime | None = None) -> "pd.DataFrame":
        """Predictions whose truth arrived (after `since`), by arrival: request_id, time (of the label), version, row, answer, label."""
        return self._query(
            """
            select request_id, l.time, p.version, p.row, p.answer, l.label
            from (select request_id, max(time) as time, arg_max(label, time) as label from labels group by request_id) l
            join (select request_id, first(version) as version, first(row) as row, first(answer) as answer
                  from predictions group by request_id) p using (request_id)
            where $since is null or l.time > $since
            order by l.time, request_id
            """,
            {"since": since},
        )

    def _query(self, sql: str, parameters: Mapping[str, object]) -> "pd.DataFrame":
        """Runs `sql` with the views `predictions` and `labels`; a kind of which there is no file yet is an empty view."""
        import duckdb

        with duckdb.connect(config={"threads": 2}) as connection:
            for kind, empty in EMPTY.items():
                files = [str(path) for path in sorted(self.folder.glob(f"*/{kind}-*.parquet"))]
                connection.register(kind, empty) if not files else connection.read_parquet(files).create_view(kind)
            return connection.execute(sql, parameters).df()
