"""Clients that send slowly, without end, or nothing at all, over real sockets."""

import asyncio
import json
import socket
import threading
import time
from contextlib import contextmanager, suppress

import pytest
import uvicorn

from tasks.serving import connections
from tasks.serving.connections import HEAD_BYTES, LimitedConnection

PATIENCE_S = 30
HEAD = b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\n"
LONG_HEAD = HEAD.replace(b" / ", b" /early ").replace(b"10", b"1000")


class Quick(LimitedConnection):
    """The same in less time."""

    head_s = 0.5
    body_s = 1.0


async def application(scope, receive, send):
    """Answers with the body's length once it is there; /early without having read it."""
    size, more = 0, scope["path"] != "/early"
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        size, more = size + len(message.get("body", b"")), message.get("more_body", False)
    body = str(size).encode()
    headers = [(b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


@pytest.fixture(scope="module")
def port():
    """Of a server in a thread."""
    config = uvicorn.Config(
        application,
        port=0,
        http=Quick,
        ws="none",
        lifespan="off",
        log_config=None,
        timeout_keep_alive=PATIENCE_S,
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=lambda: asyncio.run(server.serve()))
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield server.servers[0].sockets[0].getsockname()[1]
    server.should_exit = True
    thread.join()


@contextmanager
def connected(port):
    with socket.create_connection(("127.0.0.1", port), PATIENCE_S) as connection:
        yield connection


def everything(connection):
    """All that comes until the server closes."""
    parts = []
    with suppress(ConnectionError):
        while part := connection.recv(65536):
            parts.append(part)
    return b"".join(parts)


def answered(connection):
    """Whether the next answer is that all ten bytes came."""
    answer = b""
    while b"\r\n\r\n10" not in answer:
        if not (part := connection.recv(1000)):
            return False
        answer += part
    return True


def refusal(answer):
    """Status and reason."""
    head, _, body = answer.partition(b"\r\n\r\n")
    return int(head.split()[1]), json.loads(body)["error"]


def test_a_header_without_end_is_cut_off_and_others_are_answered_meanwhile(port):
    with connected(port) as endless, connected(port) as other:
        endless.sendall(b"GET / HTTP/1.1\r\nx: ")
        with suppress(ConnectionError):
            for _ in range(64):
                endless.sendall(b"y" * 16_384)
        other.sendall(HEAD + b"0123456789")
        assert answered(other)
        assert everything(endless)[:12] in (b"", b"HTTP/1.1 431")


def test_a_head_that_is_too_long_is_told_its_limit(port):
    with connected(port) as long:
        long.sendall(b"GET / HTTP/1.1\r\nx: " + b"y" * HEAD_BYTES)
        assert refusal(everything(long)) == (431, "the request's line and headers have more than 65536 bytes")


def test_a_head_or_body_that_does_not_come_ends_the_connection(port):
    with connected(port) as silent, connected(port) as slow, connected(port) as unfinished:
        slow.sendall(b"GET / HTTP/1.1\r\n")
        unfinished.sendall(HEAD + b"012")
        assert everything(silent) == b""
        assert refusal(everything(slow)) == (408, "the request's headers were not complete within 0.5 s")
        assert refusal(everything(unfinished)) == (408, "the request's body was not complete within 1 s")


def test_a_body_that_trickles_behind_an_early_answer_holds_no_connection(port):
    with connected(port) as trickling:
        trickling.sendall(LONG_HEAD + b"0")
        answer = trickling.recv(1000)
        assert answer.startswith(b"HTTP/1.1 200")
        with pytest.raises(ConnectionError):
            for _ in range(100):
                trickling.sendall(b"1")
                time.sleep(0.1)


def test_nothing_is_written_behind_an_answer_whose_body_does_not_end(port):
    with connected(port) as unfinished:
        unfinished.sendall(LONG_HEAD[:20])
        time.sleep(0.2)
        unfinished.sendall(LONG_HEAD[20:] + b"0")
        assert everything(unfinished).count(b"HTTP/1.1 ") == 1


def test_requests_one_after_the_other_have_their_time_each(port):
    with connected(port) as steady:
        for _ in range(4):
            steady.sendall(HEAD + b"01234")
            time.sleep(0.4)
            steady.sendall(b"56789")
            assert answered(steady)


def test_one_connection_too_many_is_refused_and_those_before_it_go_on(port, monkeypatch):
    with connected(port) as first:
        first.sendall(HEAD + b"0123456789")
        assert answered(first)
        monkeypatch.setattr(connections, "most_connections", lambda: 1)
        with connected(port) as second:
            reason = "the server has 1 connections; try again in a second"
            assert refusal(everything(second)) == (503, reason)
        first.sendall(HEAD + b"0123456789")
        assert answered(first)
