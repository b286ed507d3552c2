"""What happens when a disk is full: a message that names the folder and what is missing there."""

import errno
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def guard_disk(takes: Callable[[], str], *folders: Path | str) -> Iterator[None]:
    """Turns the many ways in which libraries say that a disk is full into one OSError.

    The block leaves what was there before untouched.

    takes: what is being written, for the message, such as "this version takes up to 5 MB"
    folders: where it is written; URLs among these are not of this machine
    """
    try:
        yield
    except Exception as error:
        if not any(is_disk_full(each) for each in causes_of(error)):
            raise
        here = (nearest_existing(Path(folder)) for folder in folders if "://" not in str(folder))
        tight = min(here, key=lambda path: shutil.disk_usage(path).free)
        free = shutil.disk_usage(tight).free / 1e6
        raise OSError(
            errno.ENOSPC,
            f"no space left in {tight}: {takes()}, {free:.0f} MB are free. Make room there, such as with `gyre data gc`, and run again; "
            "what was there before is untouched",
        ) from error


def causes_of(error: BaseException | None) -> Iterator[BaseException]:
    """An error and what it comes from."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def is_disk_full(error: BaseException) -> bool:
    """Whether an error says that the disk is full: pyarrow and DuckDB say so in words alone."""
    return getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT) or "No space left on device" in str(
        error
    )


def nearest_existing(path: Path) -> Path:
    """The path or the nearest folder above it that exists."""
    return next(each for each in (path, *path.parents) if each.exists())
