"""Raw rows: from the source that a project's YAML names, and from production once its truth is known.

In: the YAML's source, intake and result. Out: RawRows, a folder of Parquet parts and what was found on the
way. `take_snapshot` says what the source holds now, `ingest` reads it, on a cluster or in this process. Open
raw_rows.py first, then readers/ (kinds of sources), parsing/ (values) and partitions/ (what is read once).
"""

from typing import TYPE_CHECKING

from infra.imports import lazy

if TYPE_CHECKING:
    from tasks.ingestion.raw_rows import ingest, take_snapshot
else:
    __getattr__ = lazy("tasks.ingestion.raw_rows:ingest", "tasks.ingestion.raw_rows:take_snapshot")
__all__ = ["ingest", "take_snapshot"]
