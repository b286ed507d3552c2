"""Scores in a table of a database.

Each partition's rows in one transaction with its line in a ledger, so that none is there twice.

Whatever ends a run, a partition is there whole or not at all; the same command goes on with the others.
"""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import sqlalchemy as sa

from tasks.ingestion.readers.location import expand_variables, hide_values
from tasks.scoring.partition import REFUSED, SCORES
from tasks.scoring.targets import Existing, Plan, flat_table, score_tables

LEDGER = "gyre_scored_partitions"
ROWS_AN_INSERT = 5_000
TYPES: list[tuple[Any, Any]] = [
    (pa.types.is_string, sa.Text),
    (pa.types.is_integer, sa.BigInteger),
    (pa.types.is_floating, sa.Double),
    (pa.types.is_boolean, sa.Boolean),
]
SHORT = 64


class DatabaseTarget:
    """A table, beside it <table>_refused and the ledger of all tables that scores went to."""

    keeps_partitions = False

    def __init__(self, url: str, table: str) -> None:
        """url: SQLAlchemy's, $NAME in it taken from the environment."""
        self.url, self.name = url, table
        self.path: Path | None = None
        self.refused = f"table {table}_refused"
        self.plan: Plan | None = None
        meta = sa.MetaData()
        self.ledger = sa.Table(
            LEDGER,
            meta,
            sa.Column("target", sa.String(255), primary_key=True),
            sa.Column("partition", sa.String(SHORT), primary_key=True),
            sa.Column("source", sa.Text),
            sa.Column("model", sa.String(SHORT)),
            sa.Column("version", sa.BigInteger),
            sa.Column("scored_at", sa.String(SHORT)),
            sa.Column("note", sa.Text),
        )
        self.side = sa.Table(
            f"{table}_refused",
            meta,
            sa.Column("model", sa.Text),
            sa.Column("version", sa.BigInteger),
            sa.Column("partition", sa.String(SHORT)),
            sa.Column("origin", sa.Text),
            sa.Column("origin_line", sa.BigInteger),
            sa.Column("id", sa.Text),
            sa.Column("reason", sa.Text),
            sa.Column("row", sa.Text),
        )
        self.meta = meta

    def check(self, plan: Plan, existing: Existing) -> None:
        """See Target. Scores of the same source by the same version that the source no longer gives are replaced or kept as asked."""
        self.plan = plan
        with self.begin() as connected:
            there = sa.inspect(connected)
            if there.has_table(self.name) and not there.has_table(LEDGER):
                raise ValueError(
                    f"{self.name}: is there already and holds no scores of Gyre; give another --table, or remove it"
                )
            self.meta.create_all(connected)
            ours = sa.and_(
                self.ledger.c.target == self.name,
                self.ledger.c.source == plan.source,
                self.ledger.c.model == plan.project,
                self.ledger.c.version == (plan.version or 0),
            )
            known = connected.execute(sa.select(self.ledger.c.partition).where(ours)).scalars()
            gone = sorted(set(known) - set(plan.keys))
            if gone and existing == "refuse":
                raise ValueError(
                    f"{self.name}: holds {len(gone)} partitions of {plan.source} by version {plan.version} as it was before; "
                    "--replace takes their rows out, --append keeps them beside the new ones"
                )
            if gone and existing == "replace":
                for key in gone:
                    self.take_out(connected, key)

    def take_out(self, connected: sa.Connection, key: str) -> None:
        """Removes a partition's rows, its refused rows and its line in the ledger."""
        scores = sa.table(self.name, sa.column("request_id"))
        if sa.inspect(connected).has_table(self.name):
            connected.execute(
                sa.delete(scores).where(scores.c.request_id.startswith(f"{key}#", autoescape=True))
            )
        connected.execute(sa.delete(self.side).where(self.side.c.partition == key))
        connected.execute(
            sa.delete(self.ledger).where(self.ledger.c.target == self.name, self.ledger.c.partition == key)
        )

    def done(self, plan: Plan) -> dict[str, dict[str, Any]]:
        """See Target."""
        asked = sa.select(self.ledger.c.partition, self.ledger.c.note).where(
            self.ledger.c.target == self.name
        )
        with self.begin() as connected:
            found = {key: json.loads(note) for key, note in connected.execute(asked)}
        return {key: found[key] for key in plan.keys if key in found}

    def add(self, folder: Path, note: dict[str, Any]) -> None:
        """See Target. The ledger's line comes first.

        Of two runs that bring one partition the second waits for it, and brings nothing.
        """
        assert self.plan is not None  # noqa: S101 - `check` comes first
        key, version = note["key"], self.plan.version or 0
        line = {
            "target": self.name,
            "partition": key,
            "source": self.plan.source,
            "model": self.plan.project,
            "version": version,
            "scored_at": datetime.now(UTC).isoformat(timespec="seconds"),
            "note": json.dumps(note),
        }
        table = self.scores_table(folder)
        try:
            with self.begin() as connected:
                connected.execute(sa.insert(self.ledger), line)
                if table is not None:
                    for rows in flat_rows(folder):
                        connected.execute(sa.insert(table), rows)
                for refused in refused_rows(folder, self.plan, key):
                    connected.execute(sa.insert(self.side), refused)
        except sa.exc.IntegrityError:
            if key not in self.done(self.plan):
                raise

    def scores_table(self, folder: Path) -> sa.Table | None:
        """The table, made where it is not there; None for a partition without scores.

        Raises ValueError where it has other columns.
        """
        if not (folder / SCORES).exists():
            return None
        schema = flat_table(pq.read_schema(folder / SCORES).empty_table()).schema
        columns = [sa.Column(field.name, column_type(field.type)) for field in schema]
        table = sa.Table(self.name, sa.MetaData(), *columns)
        with self.begin() as connected:
            table.create(connected, checkfirst=True)
            there = {column["name"] for column in sa.inspect(connected).get_columns(self.name)}
        if lacking := [field.name for field in schema if field.name not in there]:
            raise ValueError(
                f"{self.name}: has no column {', '.join(map(repr, lacking))}; its scores are those of another kind of model: "
                "give another --table, or add the columns"
            )
        return table

    def finish(self, plan: Plan, folders: Sequence[Path], notes: Sequence[dict[str, Any]]) -> None:
        """See Target: all is there already."""

    @contextmanager
    def begin(self) -> Iterator[sa.Connection]:
        """A transaction; what goes wrong is a ValueError that holds no password."""
        try:
            engine = sa.create_engine(expand_variables(self.url), poolclass=sa.NullPool)
            with engine.begin() as connected:
                yield connected
        except sa.exc.IntegrityError:
            raise
        except (sa.exc.SQLAlchemyError, ImportError) as error:
            reason = hide_values(str(getattr(error, "orig", None) or error), self.url).strip().splitlines()
            raise ValueError(
                f"{hide_values(self.url, '')}: {' '.join(reason)[:300]}; look at --to and --table"
            ) from None


def column_type(kind: pa.DataType) -> Any:
    """SQLAlchemy's type for Arrow's."""
    return next((made for fits, made in TYPES if fits(kind)), sa.Text)


def flat_rows(folder: Path) -> Iterator[list[dict[str, Any]]]:
    """The scores of a partition as rows of a database, a bounded number at a time."""
    for table in score_tables(folder):
        for start in range(0, len(table), ROWS_AN_INSERT):
            yield flat_table(table.slice(start, ROWS_AN_INSERT)).to_pylist()


def refused_rows(folder: Path, plan: Plan, key: str) -> Iterator[list[dict[str, Any]]]:
    """The refused rows of a partition, a bounded number at a time."""
    waiting: list[dict[str, Any]] = []
    with (folder / REFUSED).open(encoding="utf-8") as stream:
        for line in stream:
            told = json.loads(line)
            row = told["row"] if isinstance(told["row"], str) else json.dumps(told["row"], ensure_ascii=False)
            known = {"model": plan.project, "version": plan.version or 0, "partition": key, "row": row}
            waiting.append(told | known)
            if len(waiting) == ROWS_AN_INSERT:
                yield waiting
                waiting = []
    if waiting:
        yield waiting
