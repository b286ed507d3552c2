"""Memory in which the processes of one model server tell each other their counts.

It is mapped before they are forked, and outlives each of them: who is killed has told what it counted until a
moment ago, and who takes its place goes on from there, so no total ever falls.
"""

import mmap
import struct
import zlib
from functools import cache
from typing import TYPE_CHECKING

import orjson

from tasks.serving.processes.counts import Counts, Post, merge

if TYPE_CHECKING:
    from pydantic import TypeAdapter

HALF = 16 * 2**20
"""Bytes that one process may tell; pages that are never written take no memory."""
HEAD = struct.Struct("<QQ")
"""Which half is told, and how often the process was started again."""
CONTENT = struct.Struct("<II")
"""Length and checksum of a half."""
READS = 100
"""A reader that meets a half while it is written anew reads again: writers come five times a second."""


class Board:
    """A place for each process, in two halves: one is told while the other is written."""

    def __init__(self, processes: int) -> None:
        self._places = [mmap.mmap(-1, HEAD.size + 2 * HALF) for _ in range(processes)]

    def __len__(self) -> int:
        """Processes."""
        return len(self._places)

    def post(self, number: int, post: Post) -> None:
        """Tells what a process counts. Raises BufferError for more than there is room for."""
        place = self._places[number]
        content = orjson.dumps(post, option=orjson.OPT_NON_STR_KEYS)
        if len(content) > HALF - CONTENT.size:
            raise BufferError(f"process {number} counts {len(content)} bytes; there is room for {HALF}")
        told, restarts = HEAD.unpack_from(place)
        begin = HEAD.size + (1 - told) * HALF
        CONTENT.pack_into(place, begin, len(content), zlib.crc32(content))
        place[begin + CONTENT.size : begin + CONTENT.size + len(content)] = content
        # Last: a process that is killed before leaves the other half as it was.
        HEAD.pack_into(place, 0, 1 - told, restarts)

    def read(self, number: int) -> Post | None:
        """What a process told last, or the one before it in its place; None before the first word."""
        place = self._places[number]
        for _ in range(READS):
            told, _ = HEAD.unpack_from(place)
            begin = HEAD.size + told * HALF
            length, checksum = CONTENT.unpack_from(place, begin)
            content = place[begin + CONTENT.size : begin + CONTENT.size + length]
            if not length:
                return None
            if zlib.crc32(content) == checksum:
                return reader().validate_json(content)
        raise BufferError(f"what process {number} counts could not be read")

    def all(self) -> dict[int, Post]:
        """What each process told last, by its number."""
        found = {number: self.read(number) for number in range(len(self))}
        return {number: post for number, post in found.items() if post}

    def count_restart(self, number: int) -> None:
        """Notes that a process was started again; its parent does so, while it does not live."""
        told, restarts = HEAD.unpack_from(self._places[number])
        HEAD.pack_into(self._places[number], 0, told, restarts + 1)

    def restarts(self, number: int) -> int:
        """How often a process was started again."""
        return int(HEAD.unpack_from(self._places[number])[1])


def total(posts: dict[int, Post]) -> Counts:
    """The counts of all processes together."""
    found = Counts()
    for post in posts.values():
        merge(found, post.counts)
    return found


@cache
def reader() -> "TypeAdapter[Post]":
    """Makes a Post of JSON."""
    from pydantic import TypeAdapter

    return TypeAdapter(Post)
