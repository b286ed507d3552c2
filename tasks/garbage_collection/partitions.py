"""Partitions of sources that no run asked for in a while; a run that wants one again reads it again."""

import shutil
import time
from pathlib import Path

from tasks.ingestion.partitions.store import NOTE


def unused_partitions(folder: Path, days: float) -> list[Path]:
    """Partitions that no run asked for within the last days, and what runs that died left beside them.

    Read again where a run wants them.
    """
    oldest = time.time() - days * 86_400
    found = []
    for each in sorted(folder.iterdir()) if folder.is_dir() else ():
        note = each / NOTE
        if each.is_dir() and (note if note.exists() else each).stat().st_mtime < oldest:
            found.append(each)
    return found


def remove_partitions(folders: list[Path]) -> None:
    """Removes partitions; the note goes first, without which a partition is none."""
    for folder in folders:
        (folder / NOTE).unlink(missing_ok=True)
        shutil.rmtree(folder, ignore_errors=True)
