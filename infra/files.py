"""Files are written whole or not at all, are their owner's alone, and known by their digests."""

import hashlib
import json
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

OTHERS = 0o077
"""Rights of group and others."""


class DigestError(RuntimeError):
    """A file is not what its digest says; it was changed or damaged after it was written."""


def digest(path: Path) -> str:
    """sha256 of a file; of a folder, of the names and digests of all files in it."""
    if path.is_file():
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    lines = [
        f"{file.relative_to(path).as_posix()} {digest(file)}\n"
        for file in sorted(path.rglob("*"))
        if file.is_file()
    ]
    if not lines:
        raise FileNotFoundError(f"{path}: no such file, or an empty folder")
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def verify(path: str | Path, expected: str) -> Path:
    """`path`, if its content has the digest `expected`. Raises DigestError."""
    if (found := digest(Path(path))) != expected:
        raise DigestError(
            f"{path}: digest {found[:12]} instead of {expected[:12]}; restore it, or remove it to have it made again"
        )
    return Path(path)


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """A temporary path that takes the place of `path` when the block ends well.

    After an error `path` is as it was.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    os.close(descriptor)
    temporary = Path(name)
    try:
        yield temporary
        sync_to_disk(temporary)
        temporary.replace(path)
        sync_to_disk(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """A temporary folder that takes the place of `path` when the block ends well.

    After an error `path` is as it was.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}."))
    try:
        yield temporary
        for file in temporary.rglob("*"):
            sync_to_disk(file)
        if path.exists():
            shutil.rmtree(path)
        temporary.rename(path)
        sync_to_disk(path.parent)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def sync_to_disk(path: Path) -> None:
    """Waits until the content of a file or folder is on the disk.

    A rename without it may survive a power cut that the content does not.
    """
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def close_to_others(folder: Path) -> int:
    """Takes every right to a folder, and to all that is in it, from group and others.

    How many paths they had a right to.

    The folder comes last: as long as it is open an interrupted call is made again, and once it is shut
    nothing below it can be reached.
    """
    if folder.stat().st_mode & OTHERS == 0:
        return 0
    opened = 0
    for path in (*folder.rglob("*"), folder):
        mode = path.lstat().st_mode
        if mode & OTHERS and not stat.S_ISLNK(mode):
            path.chmod(stat.S_IMODE(mode) & ~OTHERS)
            opened += 1
    return opened


def link_or_copy(source: Path, target: Path) -> None:
    """`source` under another name as well: one file where both lie in one file system, else a copy.

    Never change either in place.
    """
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def write_json(path: Path, value: Any) -> None:
    """`value` as sorted, indented JSON, whole or not at all."""
    with whole_file(path) as temporary:
        temporary.write_text(json.dumps(value, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def read_json(path: Path) -> Any:
    """The JSON value in a file."""
    return json.loads(path.read_text(encoding="utf-8"))
