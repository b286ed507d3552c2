"""Content encodings of HTTP bodies: gzip, deflate and zstd, in and out."""

import zlib
from collections.abc import Callable

from tasks.serving.protocol.refusal import Refusal, shorten

ENCODINGS = ("gzip", "deflate", "zstd")
"""Those that are understood; of those that a client likes equally the first is taken."""
LEVEL = 1
"""Of compression: higher ones cost an answer more time than they save."""
GZIP_OR_ZLIB = zlib.MAX_WBITS | 32
RAW = -zlib.MAX_WBITS
"""A deflate stream without zlib's header, which some clients send by that name."""
MOST_MEMBERS = 64
"""Of a gzip body: what follows a member is copied for the next, so a million empty ones would take hours."""


def inflate(body: bytes, encoding: str, limit: int) -> bytes:
    """A body as it was before its client compressed it.

    Refuses (415) an encoding that there is not, (400) what is not of it, and (413) more than `limit` bytes,
    before they are in memory.
    """
    if encoding not in ENCODINGS:
        wanted = ", ".join(ENCODINGS)
        raise Refusal(
            415,
            f"Content-Encoding is {shorten(encoding)}; want one of {wanted}, or none",
            {"accept-encoding": wanted},
        )
    inflated = inflate_zstd(body, limit) if encoding == "zstd" else inflate_deflate(body, encoding, limit)
    if len(inflated) > limit:
        raise Refusal(413, f"the body inflates to more than {limit} bytes; send fewer rows a request")
    return inflated


def inflate_deflate(body: bytes, encoding: str, limit: int) -> bytes:
    """At most `limit` + 1 bytes of what a gzip or deflate body holds. Raises Refusal."""
    # A zlib header is a multiple of 31 whose low four bits are 8; a raw stream has none.
    is_raw = encoding == "deflate" and (body[:1] == b"" or body[0] & 15 != 8 or int.from_bytes(body[:2]) % 31)
    parts: list[bytes] = []
    size = 0
    while body and size <= limit:
        if len(parts) == MOST_MEMBERS:
            raise Refusal(400, f"the body is {encoding} of more than {MOST_MEMBERS} members; want one")
        reader = zlib.decompressobj(RAW if is_raw else GZIP_OR_ZLIB)
        try:
            part = reader.decompress(body, limit + 1 - size)
        except zlib.error as error:
            raise Refusal(400, f"the body is not {encoding}, as Content-Encoding says: {error}") from None
        parts.append(part)
        size += len(part)
        if size <= limit and not reader.eof:
            raise Refusal(400, f"the body is {encoding} that ends too early; send it whole")
        # A gzip body may have several members, one after another.
        body = reader.unused_data
    return b"".join(parts)


def inflate_zstd(body: bytes, limit: int) -> bytes:
    """At most `limit` + 1 bytes of what a zstd body holds. Raises Refusal."""
    import pyarrow as pa

    try:
        with pa.CompressedInputStream(pa.BufferReader(body), "zstd") as stream:
            found: bytes = stream.read(limit + 1)
    except (OSError, ValueError, MemoryError) as error:
        raise Refusal(400, f"the body is not zstd, as Content-Encoding says: {error}") from None
    return found


def chosen_encoding(accepted: bytes) -> str | None:
    """The encoding that an Accept-Encoding header likes best; None where that is no encoding at all."""
    best, most = None, 0.0
    for part in accepted.decode("latin-1").lower().split(","):
        name, _, weight = part.strip().partition(";")
        name = name.strip()
        quality = quality_of(weight)
        if name in ENCODINGS and (
            quality > most or (quality == most > 0 and ENCODINGS.index(name) < ENCODINGS.index(best or name))
        ):
            best, most = name, quality
    return best


def quality_of(weight: str) -> float:
    """The q of an encoding, 1 where there is none; 0, that is never, where it is no number."""
    name, _, value = weight.strip().partition("=")
    if not name:
        return 1.0
    try:
        return float(value) if name.strip() == "q" else 0.0
    except ValueError:
        return 0.0


def deflate(body: bytes, encoding: str) -> bytes:
    """A body in one of ENCODINGS."""
    return DEFLATERS[encoding](body)


def deflate_gzip(body: bytes) -> bytes:
    """As gzip without a time in it, so that the same answer has the same bytes."""
    writer = zlib.compressobj(LEVEL, wbits=zlib.MAX_WBITS | 16)
    return writer.compress(body) + writer.flush()


def deflate_zlib(body: bytes) -> bytes:
    """As what HTTP calls deflate: a zlib stream."""
    return zlib.compress(body, LEVEL)


def deflate_zstd(body: bytes) -> bytes:
    """As zstd."""
    import pyarrow as pa

    made: bytes = pa.compress(body, codec="zstd", asbytes=True)
    return made


DEFLATERS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": deflate_gzip,
    "deflate": deflate_zlib,
    "zstd": deflate_zstd,
}
