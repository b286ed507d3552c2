"""DuckDB, opened in one way: bounded memory and threads, and no file left behind.

What does not fit into memory goes to a folder that is removed at the end; without one DuckDB would make
`.tmp` in whatever folder the process happens to be in.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import duckdb

MEMORY = "1GB"
THREADS = 2


@contextmanager
def open_database(
    threads: int = THREADS,
    memory: str = MEMORY,
    scratch: Path | None = None,
    file: bool = False,
    **options: Any,
) -> Iterator["duckdb.DuckDBPyConnection"]:
    """A new database, gone when the block ends.

    threads: 1 where the order of rows matters and the query does not say it
    scratch: the folder for what does not fit into memory; none: the system's temporary folder
    file: whether tables go to a file below `scratch` as well, so that they may be larger than memory
    options: further settings of DuckDB
    """
    import duckdb

    with TemporaryDirectory(dir=scratch, prefix=".duckdb-") as folder:
        settings = {"threads": threads, "memory_limit": memory, "temp_directory": folder, **options}
        place = str(Path(folder) / "work.duckdb") if file else ":memory:"
        with duckdb.connect(place, config=settings) as connection:
            yield connection


@contextmanager
def open_rows(parts: Sequence[Path]) -> Iterator["duckdb.DuckDBPyConnection"]:
    """A database with the view `rows`, of Parquet parts whose columns may differ. Times are UTC."""
    with open_database() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        connection.read_parquet([str(part) for part in parts], union_by_name=True).create_view("rows")
        yield connection


def identifier(name: object) -> str:
    """A column's or table's name in SQL."""
    return '"' + str(name).replace('"', '""') + '"'


def literal(text: object) -> str:
    """A text in SQL."""
    return "'" + str(text).replace("'", "''") + "'"
