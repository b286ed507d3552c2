"""Compressed bodies, in and out."""

import gzip
import re
import tracemalloc
import zlib

import pyarrow as pa
import pytest

from tasks.serving.protocol.refusal import Refusal
from tasks.serving.rest.encodings import ENCODINGS, chosen_encoding, deflate, inflate

BODY = b'{"inputs": []}' * 1000
LIMIT = 2**20


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_what_is_compressed_comes_back_whole(encoding):
    assert inflate(deflate(BODY, encoding), encoding, LIMIT) == BODY


def test_what_others_call_deflate_and_several_gzip_members_are_read_too():
    raw = zlib.compressobj(wbits=-15)
    assert inflate(raw.compress(BODY) + raw.flush(), "deflate", LIMIT) == BODY
    assert inflate(gzip.compress(b"one ") + gzip.compress(b"two"), "gzip", LIMIT) == b"one two"


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_a_bomb_is_refused_before_it_is_in_memory(encoding):
    bomb = deflate(bytes(300 * LIMIT), encoding)
    tracemalloc.start()
    with pytest.raises(Refusal, match="the body inflates to more than 1048576 bytes") as refused:
        inflate(bomb, encoding, LIMIT)
    assert refused.value.status == 413
    assert tracemalloc.get_traced_memory()[1] < 10 * LIMIT
    tracemalloc.stop()


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize(
    "spoil", [lambda body: body[:-9], lambda body: b"\x78\x9c" + body, lambda body: b"?"]
)
def test_what_is_not_as_the_header_says_is_refused(encoding, spoil):
    with pytest.raises(Refusal, match=f"the body is (not )?{encoding}") as refused:
        inflate(spoil(deflate(BODY, encoding)), encoding, LIMIT)
    assert refused.value.status == 400


def test_an_encoding_that_there_is_not_is_refused_with_those_that_there_are():
    text = "Content-Encoding is 'br'; want one of gzip, deflate, zstd, or none"
    with pytest.raises(Refusal, match=re.escape(text)) as refused:
        inflate(BODY, "br", LIMIT)
    assert (refused.value.status, refused.value.headers) == (415, {"accept-encoding": "gzip, deflate, zstd"})


@pytest.mark.parametrize(
    ("accepted", "chosen"),
    [
        (b"", None),
        (b"identity", None),
        (b"gzip, deflate, br, zstd", "gzip"),
        (b"gzip;q=0, deflate", "deflate"),
        (b"gzip;q=0.5, zstd", "zstd"),
        (b"deflate, gzip", "gzip"),
        (b"GZIP; q=oops", None),
        (b"\xff;;;=,", None),
    ],
)
def test_the_encoding_that_a_client_likes_best_is_taken(accepted, chosen):
    assert chosen_encoding(accepted) == chosen


def test_zstd_is_any_client_s():
    assert inflate(pa.compress(BODY, codec="zstd", asbytes=True), "zstd", LIMIT) == BODY
