"""Where a source's files are.

`$NAME` in a path or option is taken from the environment only while a file is opened or listed.

What is kept, logged, raised or sent to a worker holds the name of a variable, never its value: a URL may
carry a password.
"""

import hashlib
import os
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from io import BufferedIOBase, BufferedReader
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, cast
from urllib.parse import urlsplit, urlunsplit

import fsspec

from configs.source import SourceConfig

VARIABLE = re.compile(r"\$(?:(\w+)|\{(\w+)\})")
CHECKSUMS = ("ETag", "etag", "md5Hash", "content_md5", "checksum")
"""What file systems call a checksum that changes with the content."""
SETTLED_NS = 2_000_000_000
"""A file that changed less than this ago may change again within the clock's grain; it is read every time."""
BUFFER = 4 * 2**20
GLOB = re.compile(r"[*?\[]")


def expand_variables(text: str) -> str:
    """`text` with its variables' values. Raises ValueError naming a variable that is not set."""

    def value(match: re.Match[str]) -> str:
        name = match[1] or match[2]
        if name not in os.environ:
            raise ValueError(
                f"{text}: the environment variable {name} is not set; set it, or change source.path"
            )
        return os.environ[name]

    return VARIABLE.sub(value, text)


def hide_values(text: str, template: str) -> str:
    """`text` with the values of the template's variables turned back into their names, and no password of a URL."""
    for match in VARIABLE.finditer(template):
        if value := os.environ.get(match[1] or match[2]):
            text = text.replace(value, match[0])
    return re.sub(r"(://[^:/@\s]*):[^@/\s]*@", r"\1:***@", text)


def location_of(source: SourceConfig) -> str:
    """The path or URL to read, variables as written: the mirror below $GYRE_DATA where that is set."""
    if source.mirror and os.environ.get("GYRE_DATA"):
        return f"$GYRE_DATA/{source.mirror}"
    return str(source.path)


def name_of(source: SourceConfig) -> str:
    """How messages call a source; without passwords, and without a URL's query, which may be a signature."""
    if not source.path:
        return f"source {source.reader}"
    parts = urlsplit(source.path)
    return f"source {hide_values(urlunsplit((*parts[:3], '', '')) if '://' in source.path and '?' in source.path else source.path, '')}"


@dataclass(frozen=True)
class File:
    """A file of any file system; it is sent to workers, so it holds no value of a variable."""

    template: str
    """The source's place, which says the file system."""
    path: str
    """On the file system, variables' values hidden."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """Of the file system, variables as written."""

    @property
    def name(self) -> str:
        """The file's own name, without folders and a URL's query."""
        return PurePosixPath(self.path.split("?")[0] if "://" in self.path else self.path).name

    @property
    def local(self) -> Path | None:
        """Its path where it lies on this machine's own file system."""
        return None if "://" in self.template else Path(expand_variables(self.path))

    def system(self) -> tuple[Any, str]:
        """The file system and the file's path there."""
        system, _ = filesystem(self.template, self.options)
        return system, expand_variables(self.path)

    def open(self, compression: str | None = None) -> BinaryIO:
        """The file's bytes, as they are stored or unpacked."""
        system, path = self.system()
        stream = system.open(path, "rb", compression=compression)
        return cast(
            "BinaryIO", stream if isinstance(stream, BufferedIOBase) else BufferedReader(stream, BUFFER)
        )

    def compression(self) -> str | None:
        """How the file is packed, by its name; None for plain files."""
        packed = {".gz": "gzip", ".bz2": "bz2", ".xz": "xz", ".zst": "zstd"}
        return packed.get(PurePosixPath(self.name).suffix)

    def state(self) -> tuple[int, int, int] | None:
        """Size, time of change and inode: a file of this machine is not read again while they last.

        None for a fresh or far one.
        """
        if self.local is None:
            return None
        facts = self.local.stat()
        settled = time.time_ns() - facts.st_mtime_ns > SETTLED_NS
        return (facts.st_size, facts.st_mtime_ns, facts.st_ino) if settled else None

    def __hash__(self) -> int:
        """Of the place."""
        return hash((self.template, self.path))

    def content(self) -> str:
        """Changes with the content: the file system's checksum where it has one, else sha256 of the bytes."""
        return known_content(self, state) if (state := self.state()) else self.read_content()

    def read_content(self) -> str:
        """The checksum or digest as it is now."""
        system, path = self.system()
        facts = {} if self.local else system.info(path)
        for name in CHECKSUMS:
            if facts.get(name):
                return f"{name} {facts[name]} {facts.get('size')}"
        with self.open() as stream:
            return hashlib.file_digest(cast("BufferedReader", stream), "sha256").hexdigest()


@lru_cache(maxsize=4096)
def known_content(file: File, state: tuple[int, int, int]) -> str:
    """The content of a file in a state."""
    return file.read_content()


def filesystem(template: str, options: Mapping[str, Any]) -> tuple[Any, str]:
    """The file system of a place, and the place's path there."""
    known = {key: expanded_value(value) for key, value in options.items()}
    try:
        system, path = fsspec.core.url_to_fs(expand_variables(template), **known)
    except ImportError as error:
        raise ValueError(
            f"{template}: {error}; install gyre with the extra of this kind of storage (s3, gs, azure)"
        ) from None
    return system, path


def expanded_value(value: Any) -> Any:
    """An option with the variables in its texts replaced."""
    if isinstance(value, str):
        return expand_variables(value)
    return {key: expanded_value(item) for key, item in value.items()} if isinstance(value, dict) else value


def matching_files(source: SourceConfig) -> list[File]:
    """The files of the source's path, glob or folder, by name. Raises ValueError when there is none."""
    template = location_of(source)
    system, path = filesystem(template, source.options)
    if GLOB.search(path.split("?")[0] if "://" in path else path):
        found = [file for file in system.glob(path) if system.isfile(file)]
    elif not template.startswith("http") and system.isdir(path):
        found = [file for file in system.find(path) if f".{source.reader}" in PurePosixPath(file).name]
    else:
        found = [path] if system.exists(path) else []
    if not found:
        raise ValueError(
            f"{name_of(source)}: matches no file; set source.path to a file or a glob such as data/*.{source.reader}"
        )
    files = [File(template, hide_values(file, template), source.options) for file in sorted(found)]
    if source.key == "origin_line":
        check_names(files, source)
    return files


def check_names(files: list[File], source: SourceConfig) -> None:
    """Raises ValueError where two files have one name: a row's line in it would name two rows."""
    known: dict[str, File] = {}
    for file in files:
        if (other := known.setdefault(file.name, file)) is not file:
            raise ValueError(
                f"{name_of(source)}: {other.path} and {file.path} have one name, so key: origin_line cannot tell their rows apart; "
                "rename one of them, or name other columns in source.key"
            )
