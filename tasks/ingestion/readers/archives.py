"""Members of tar and zip archives, one after the other, in bounded memory.

An archive that is made to harm is refused.
"""

import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import PurePosixPath

from configs.source import LimitsConfig
from tasks.ingestion.readers.location import File

MEMBERS = 10_000_000
BYTES_A_PIXEL = 8
"""An image file is never larger than this times limits.pixels; what says so is a bomb."""


def members(file: File, endings: tuple[str, ...], limits: LimitsConfig) -> Iterator[tuple[str, bytes]]:
    """Names and bytes of the members with these endings.

    Raises ValueError naming the archive and the member that is not safe.
    """
    found = zip_members if file.name.lower().endswith(".zip") else tar_members
    try:
        yield from found(file, tuple(ending.lower() for ending in endings), limits.pixels * BYTES_A_PIXEL)
    except (
        tarfile.TarError,
        zipfile.BadZipFile,
        EOFError,
        OSError,
        NotImplementedError,
        RuntimeError,
    ) as error:
        raise ValueError(
            f"{file.name}: cannot be read as an archive: {error}; it may be cut off or encrypted, pack it again"
        ) from None


def tar_members(file: File, endings: tuple[str, ...], most: int) -> Iterator[tuple[str, bytes]]:
    """Of a tar archive, packed or not, in one pass."""
    with file.open() as stream, tarfile.open(fileobj=stream, mode="r|*") as archive:
        for member in archive:
            check_member(
                file.name,
                member.name,
                member.issym() or member.islnk(),
                not (member.isfile() or member.isdir()),
                member.size,
                most,
            )
            if member.isfile() and member.name.lower().endswith(endings):
                opened = archive.extractfile(member)
                assert opened is not None  # noqa: S101 - it is a file
                yield member.name, opened.read()


def zip_members(file: File, endings: tuple[str, ...], most: int) -> Iterator[tuple[str, bytes]]:
    """Of a zip archive, in the order of its directory.

    A member is never read beyond the size that it says.
    """
    with file.open() as stream, zipfile.ZipFile(stream) as archive:
        for member in archive.infolist():
            kind = member.external_attr >> 28
            check_member(
                file.name,
                member.filename,
                kind == 0o12,
                kind not in (0, 0o4, 0o10, 0o12),
                member.file_size,
                most,
            )
            if not member.is_dir() and member.filename.lower().endswith(endings):
                with archive.open(member) as opened:
                    yield member.filename, opened.read(most + 1)


def check_member(archive: str, name: str, link: bool, special: bool, size: int, most: int) -> None:
    """Raises ValueError for a member that points out of the archive, is a link or device, or is too large to be an image."""
    path = PurePosixPath(name.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts or name[1:2] == ":":
        raise ValueError(
            f"{archive}: member {name!r} climbs out of the archive; it is refused whole, pack it again without such names"
        )
    if link or special:
        raise ValueError(
            f"{archive}: member {name!r} is a {'link' if link else 'device'}; it is refused whole, pack the files themselves"
        )
    if size > most:
        raise ValueError(
            f"{archive}: member {name!r} says {size:,} bytes; at most {most:,} are read (source.limits.pixels)"
        )
