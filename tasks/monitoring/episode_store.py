"""Where drift episodes are kept: SQL through SQLAlchemy, SQLite or PostgreSQL.

A project's history is one row with a revision number. An event is applied by writing the next revision over
the one that was read, so of any number of processes that do it at once one wins and the others read again; a
kill leaves either revision, never a half.
"""

from contextlib import suppress

from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    create_engine,
    insert,
    select,
    update,
)
from sqlalchemy.exc import IntegrityError
from sqlalchemy.schema import CreateTable

from tasks.monitoring.episodes import Event, History, Step, step
from tasks.records import Episode

METADATA = MetaData()
HISTORIES = Table(
    "drift_histories",
    METADATA,
    Column("project", String(63), primary_key=True),  # one history a project, so one open episode
    Column("revision", Integer, nullable=False),
    Column("record", Text, nullable=False),
)
EPISODES = Table(
    "drift_episodes",
    METADATA,
    Column("id", String(80), primary_key=True),
    Column("project", String(63), nullable=False),
    Column("record", Text, nullable=False),
)
CLAIMS = Table(
    "drift_claims",
    METADATA,
    Column("episode", String(80), primary_key=True),
    Column("attempt", Integer, primary_key=True),  # one retraining an attempt
    Column("flow_run_id", String(80), nullable=False),
)
LOCK_TIMEOUT_S = 30
"""SQLite lets one process write at a time; the others wait this long."""


class EpisodeStore:
    """Episodes of all projects of an installation; any number of processes may use it at once."""

    def __init__(self, url: str) -> None:
        self._engine = create_engine(
            url, connect_args={"timeout": LOCK_TIMEOUT_S} if url.startswith("sqlite") else {}
        )
        for table in METADATA.tables.values():
            # PostgreSQL says so when another process makes the same table at this moment.
            with suppress(IntegrityError), self._engine.begin() as connection:
                connection.execute(CreateTable(table, if_not_exists=True))

    def history(self, project: str) -> History:
        """What is remembered of a project; a new history for one never seen."""
        return self._read(project)[1]

    def episode(self, identity: str) -> Episode | None:
        """An episode of any age."""
        with self._engine.connect() as connection:
            record = connection.execute(select(EPISODES.c.record).where(EPISODES.c.id == identity)).scalar()
        return Episode.model_validate_json(record) if record else None

    def episodes(self, project: str) -> list[Episode]:
        """All of a project's episodes, by their ids."""
        query = select(EPISODES.c.record).where(EPISODES.c.project == project).order_by(EPISODES.c.id)
        with self._engine.connect() as connection:
            return [Episode.model_validate_json(record) for record in connection.execute(query).scalars()]

    def claims(self, episode: str) -> list[str]:
        """The flow runs that held an episode, in order."""
        query = select(CLAIMS.c.flow_run_id).where(CLAIMS.c.episode == episode).order_by(CLAIMS.c.attempt)
        with self._engine.connect() as connection:
            return list(connection.execute(query).scalars())

    def apply(self, project: str, event: Event) -> Step:
        """The project's history after an event, durably, and what follows from it."""
        while True:
            revision, before = self._read(project)
            after, instructions = step(before, event)
            if after == before or self._write(project, revision, before, after):
                return after, instructions

    def _read(self, project: str) -> tuple[int, History]:
        query = select(HISTORIES.c.revision, HISTORIES.c.record).where(HISTORIES.c.project == project)
        with self._engine.connect() as connection:
            row = connection.execute(query).one_or_none()
        return (row.revision, History.model_validate_json(row.record)) if row else (0, History())

    def _write(self, project: str, revision: int, before: History, after: History) -> bool:
        """Whether `after` became the next revision; False when another process was faster."""
        try:
            with self._engine.begin() as connection:
                if not _swap(connection, project, revision, after.model_dump_json()):
                    return False
                if after.episode and after.episode != before.episode:
                    _keep(connection, after.episode)
                return True
        except IntegrityError:
            return False


def _swap(connection: Connection, project: str, revision: int, record: str) -> bool:
    values = {"revision": revision + 1, "record": record}
    if revision == 0:
        connection.execute(insert(HISTORIES).values(project=project, **values))
        return True
    mine = (HISTORIES.c.project == project) & (HISTORIES.c.revision == revision)
    return connection.execute(update(HISTORIES).where(mine).values(**values)).rowcount == 1


def _keep(connection: Connection, episode: Episode) -> None:
    """Writes the episode as it is now, and its claim where it has just got one."""
    record = episode.model_dump_json()
    if (
        connection.execute(update(EPISODES).where(EPISODES.c.id == episode.id).values(record=record)).rowcount
        == 0
    ):
        connection.execute(insert(EPISODES).values(id=episode.id, project=episode.project, record=record))
    if episode.state == "claimed" and not connection.execute(select(CLAIMS).where(_attempt(episode))).first():
        connection.execute(
            insert(CLAIMS).values(
                episode=episode.id, attempt=episode.attempts, flow_run_id=episode.flow_run_id
            )
        )


def _attempt(episode: Episode) -> ColumnElement[bool]:
    return (CLAIMS.c.episode == episode.id) & (CLAIMS.c.attempt == episode.attempts)
