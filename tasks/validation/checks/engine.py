"""Great Expectations' SQL engine on DuckDB: exact on Parquet parts of any size, in bounded memory.

Four things are mended: the connection is kept between queries, as for its other embedded databases; regular
expressions are DuckDB's own; uniqueness is one aggregate instead of a window over all rows; and values stand
in queries as DuckDB writes them.
"""

import json
import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from copy import copy
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import sqlalchemy as sa

from tasks.rows.sql import MEMORY, THREADS, identifier, literal

os.environ.setdefault(
    "GX_ANALYTICS_ENABLED", "false"
)  # read when Great Expectations is imported, which then sends events out
TABLE = "rows"
"""The view that rules are about."""


@dataclass(frozen=True)
class Rows:
    """Parquet parts as Great Expectations and DuckDB see them."""

    batch: Any
    scratch: Path
    """For what does not fit into memory."""

    def validate(self, suite: Any, **result_format: Any) -> dict[str, Any]:
        """Great Expectations' result of a suite, in plain JSON values."""
        result = self.batch.validate(suite, result_format=result_format)
        # Some results hold numpy scalars, which neither its own serialisation nor its documents take.
        plain: dict[str, Any] = json.loads(
            json.dumps(result.to_json_dict(), default=lambda scalar: scalar.item())
        )
        return plain

    def keys(self, query: str) -> pa.Table:
        """The column `id` of what a query finds, each once."""
        inner = query.rstrip().rstrip(";")
        file = self.scratch / "keys.parquet"
        command = f"COPY (SELECT DISTINCT id::VARCHAR AS id FROM ({inner}) ORDER BY id) TO {literal(file)} (FORMAT parquet)"
        self.batch.data.execution_engine.execute_query(sa.text(command.replace(":", "\\:")))
        return pq.read_table(file)


@contextmanager
def open_engine(parts: Sequence[Path], fields: Sequence[pa.Field]) -> Iterator[Rows]:
    """The parts' columns `fields` as one table; a column without any value counts as text."""
    import duckdb

    prepare()
    with tempfile.TemporaryDirectory(prefix="gyre-validation-") as scratch:
        with duckdb.connect(f"{scratch}/rows.duckdb") as connection:
            names = ", ".join(
                identifier(f.name) + ("::VARCHAR AS " + identifier(f.name)) * pa.types.is_null(f.type)
                for f in fields
            )
            files = ", ".join(literal(part) for part in parts)
            connection.execute(
                f"CREATE VIEW {TABLE} AS SELECT {names} FROM read_parquet([{files}], union_by_name = true)"
            )
        settings = {"threads": THREADS, "memory_limit": MEMORY, "temp_directory": f"{scratch}/spill"}
        with batch(f"{scratch}/rows.duckdb", settings) as rows:
            yield Rows(rows, Path(scratch))


@contextmanager
def batch(database: str, settings: dict[str, Any]) -> Iterator[Any]:
    """Great Expectations' batch of the view in a DuckDB file."""
    import great_expectations as gx

    context: Any = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = {"globally": False, "metric_calculations": False}
    options = {"connect_args": {"config": settings}}
    source = context.data_sources.add_sql("rows", connection_string=f"duckdb:///{database}", kwargs=options)
    # Without transactions a query that fails does not take along the ones after it; nothing is written here.
    for step in ("do_begin", "do_commit", "do_rollback"):
        setattr(source.get_engine().dialect, step, lambda *_: None)
    found = (
        source.add_table_asset("rows", table_name=TABLE).add_batch_definition_whole_table("all").get_batch()
    )
    try:
        yield found
    finally:
        found.data.execution_engine.close()
        source.get_engine().dispose()


@cache
def prepare() -> None:
    """Teaches Great Expectations DuckDB, once a process."""
    from great_expectations.execution_engine import sqlalchemy_execution_engine as engine
    from great_expectations.expectations.metrics.map_metric_provider import map_condition_auxilliary_methods

    class DuckDb(str):
        value = "duckdb"

    engine._PERSISTED_CONNECTION_DIALECTS = (*engine._PERSISTED_CONNECTION_DIALECTS, DuckDb("duckdb"))  # type: ignore[assignment]
    import tasks.validation.checks.metrics  # noqa: F401 - registers itself

    map_condition_auxilliary_methods.sqlalchemy_select_to_sql_string = compile_query  # type: ignore[attr-defined]


def compile_query(engine: Any, select_statement: Any) -> str:
    """A query as DuckDB reads it.

    Great Expectations' own puts values in as Python writes them: backslashes doubled, texts with an
    apostrophe in the quotation marks of names. Patterns and sets would then set aside other rows than were
    counted.
    """
    dialect = copy(engine.engine.dialect)
    dialect._backslash_escapes = False
    # Every % is doubled for the driver's placeholders, of which there are none.
    return str(select_statement.compile(dialect=dialect, compile_kwargs={"literal_binds": True})).replace(
        "%%", "%"
    )
