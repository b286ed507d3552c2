"""What removing files would free."""

from pathlib import Path


def bytes_of_these_alone(paths: list[Path]) -> int:
    """Bytes that would be free without these files and folders.

    Files that a run's rows share stay on the disk.
    """
    parts = [file.stat() for path in paths for file in (path, *path.rglob("*")) if file.is_file()]
    return sum(part.st_size for part in parts if part.st_nlink == 1)
