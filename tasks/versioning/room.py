"""What happens when a disk is full: a message that names the folder and what is missing there."""

import errno
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tasks.records import Stored

SPARE = 16 * 2**20
"""Bytes for git, DVC and lists of parts."""


@contextmanager
def room(rows: Stored, *folders: Path | str) -> Iterator[None]:
    """Turns the many ways in which libraries say that a disk is full into one OSError; what was there before is untouched.

    rows: what is written, about once in each of the folders; URLs among these are not of this machine
    """
    try:
        yield
    except Exception as error:
        if not any(full(each) for each in chain(error)):
            raise
        needed = sum(path.stat().st_size for path in Path(rows.uri).rglob("*") if path.is_file()) + SPARE
        tight = min(
            (present(Path(folder)) for folder in folders if "://" not in str(folder)), key=lambda path: shutil.disk_usage(path).free
        )
        free = shutil.disk_usage(tight).free / 1e6
        raise OSError(
            errno.ENOSPC,
            f"no space left in {tight}: this version takes up to {needed / 1e6:.0f} MB, {free:.0f} MB are free. Make room there, such as "
            "with `gyre data gc`, and run again; the versions before are untouched",
        ) from error


def chain(error: BaseException | None) -> Iterator[BaseException]:
    """An error and what it comes from."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def full(error: BaseException) -> bool:
    """Whether an error says that the disk is full: pyarrow and DuckDB say so in words alone."""
    return getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT) or "No space left on device" in str(error)


def present(path: Path) -> Path:
    """The path or the nearest folder above it that exists."""
    return next(each for each in (path, *path.parents) if each.exists())
