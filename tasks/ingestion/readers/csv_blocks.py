"""Where a large CSV file may be cut: at line ends outside quotation marks, about every BLOCK_BYTES bytes."""

import codecs
import hashlib
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from typing import BinaryIO

import numpy as np

from configs.source import CsvConfig, LimitsConfig
from tasks.ingestion.readers.location import File

BLOCK_BYTES = 64 * 2**20
"""About a part of a million rows of ten columns."""
CHUNK_BYTES = 4 * 2**20
"""Bytes that are parsed at once."""
ONE_BYTE = ("utf-8", "ascii", "iso8859-", "cp125", "latin")
"""Encodings in which a line break is one byte that stands for nothing else."""


@dataclass(frozen=True)
class Block:
    """A range of whole lines."""

    start: int
    """Bytes."""
    stop: int
    line: int
    """Number of its first line."""
    digest: str
    """sha256 of its bytes."""


def cut_into_blocks(
    file: File, form: CsvConfig, limits: LimitsConfig, start: int, block_bytes: int | None = None
) -> list[Block] | None:
    """The file's blocks from byte `start` on; None where it must be streamed.

    A line break lies in a value, it is packed or elsewhere.

    An appended file keeps its first blocks, so only its new lines are read. Raises ValueError for a line over
    limits.line_bytes.
    """
    if file.local is None or file.compression() or not codecs.lookup(form.encoding).name.startswith(ONE_BYTE):
        return None
    return (
        known_blocks(file, form, limits, start, block_bytes, state)
        if (state := file.state())
        else read_blocks(file, form, limits, start, block_bytes)
    )


@lru_cache(maxsize=4096)
def known_blocks(
    file: File,
    form: CsvConfig,
    limits: LimitsConfig,
    start: int,
    block_bytes: int | None,
    state: tuple[int, int, int],
) -> list[Block] | None:
    """The blocks of a file in a state.

    Workers compare their digests, so a file that changed unseen is an error, not wrong rows.
    """
    return read_blocks(file, form, limits, start, block_bytes)


def read_blocks(
    file: File, form: CsvConfig, limits: LimitsConfig, start: int, block_bytes: int | None = None
) -> list[Block] | None:
    """The blocks as they are now."""
    blocks: list[Block] = []
    line, quote = 1 + form.skip + form.has_header, form.quote.encode()
    with file.open() as stream, ThreadPoolExecutor(1) as pool:
        stream.seek(start)
        digest, begin, first, end = hashlib.sha256(), start, line, start
        running: Future[None] | None = None
        for lines, breaks in whole_lines(stream, file, limits, line):
            if quote and breaks_inside(lines, quote):
                return None
            if running:
                running.result()
            running = pool.submit(digest.update, lines)  # beside the reading: half of the work is this
            line, end = line + breaks, end + len(lines)
            if end - begin >= (block_bytes or BLOCK_BYTES):
                running.result()
                blocks.append(Block(begin, end, first, digest.hexdigest()))
                digest, begin, first = hashlib.sha256(), end, line
        if running and end > begin:
            running.result()
            blocks.append(Block(begin, end, first, digest.hexdigest()))
    return blocks


def whole_lines(stream: BinaryIO, file: File, limits: LimitsConfig, line: int) -> Iterator[tuple[bytes, int]]:
    """Blocks of whole lines and how many.

    Raises ValueError as soon as a line is over the limit, before more of it is read.
    """
    rest = b""
    while block := stream.read(CHUNK_BYTES):
        end = block.rfind(b"\n") + 1
        if not end:
            rest += block
            if len(rest) > limits.line_bytes:
                raise ValueError(too_long(file, line, limits))
            continue
        breaks = block.count(b"\n")
        yield rest + block[:end], breaks
        line += breaks
        rest = block[end:]
    if rest:
        yield rest, 0


def breaks_inside(lines: bytes, quote: bytes) -> bool:
    """Whether a line break lies between an odd quotation mark and the next, as it does in a quoted value with line breaks."""
    if quote not in lines:
        return False
    data = np.frombuffer(lines, np.uint8)
    marks = np.flatnonzero(data == quote[0])
    before = np.searchsorted(marks, np.flatnonzero(data == ord("\n")))
    return bool((before % 2).any()) or bool(len(marks) % 2)


def texts(file: File, encoding: str) -> Iterator[bytes]:
    """A file's text as UTF-8 without a byte order mark, unpacked, block for block.

    Raises UnicodeDecodeError.
    """
    decoder = codecs.getincrementaldecoder(encoding)()
    with file.open(file.compression()) as stream:
        first = True
        while block := stream.read(CHUNK_BYTES):
            text = decoder.decode(block)
            yield (text.removeprefix("\ufeff") if first else text).encode()
            first = False
        yield decoder.decode(b"", final=True).encode()


def whole_rows(blocks: Iterator[bytes], file: File, form: CsvConfig, limits: LimitsConfig) -> Iterator[bytes]:
    """Blocks of whole rows, whose quoted values may hold line breaks.

    Raises ValueError for one that does not end.
    """
    rest, line = b"", 1
    for block in blocks:
        rest += block
        end = row_end(rest, form.quote.encode())
        if not end and len(rest) > limits.line_bytes:
            raise ValueError(too_long(file, line, limits))
        if end:
            yield rest[:end]
            line += rest.count(b"\n", 0, end)
            rest = rest[end:]
    if rest:
        yield rest


def row_end(data: bytes, quote: bytes) -> int:
    """Where the last whole row ends.

    Behind the last line break with an even number of quotation marks before it; 0 for none.
    """
    if not quote or quote not in data:
        return data.rfind(b"\n") + 1
    values = np.frombuffer(data, np.uint8)
    breaks = np.flatnonzero(values == ord("\n"))
    outside = breaks[np.searchsorted(np.flatnonzero(values == quote[0]), breaks) % 2 == 0]
    return int(outside[-1]) + 1 if len(outside) else 0


def too_long(file: File, line: int, limits: LimitsConfig) -> str:
    """What is wrong with a line that does not end."""
    return (
        f"{file.name}: line {line} is longer than {limits.line_bytes:,} bytes (source.limits.line_bytes); "
        "is it a CSV file, and is source.csv.quote right?"
    )
