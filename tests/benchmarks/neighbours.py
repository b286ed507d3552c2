"""What a client with single rows notices of neighbours who send large bodies, too many labels, or a header without end.

.venv/bin/python tests/benchmarks/neighbours.py

The load comes from the same machine. The last line is a JSON object: by neighbour (`none`, `rows`: eight
clients with 1,024 rows a request; `bodies`: eight with bodies of 18 MB, over the limit; `labels`: four with
170,000 labels; `headers`: eight with headers without end) the small client's p50_ms, p99_ms, most_ms, and how
many of its requests were answered and refused in 5 seconds.
"""

import json
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import numpy as np
from serve import PROJECT, SECONDS, release, request, start

from infra.settings import Settings

SECONDS_OF_LOAD = str(SECONDS + 1)


def post(settings, path, value):
    """A POST of a JSON value, as bytes."""
    body = json.dumps(value).encode()
    fields = {"host": "127.0.0.1", "content-length": len(body)} | settings.credential.headers
    head = [f"POST {path} HTTP/1.1", *(f"{name}: {each}" for name, each in fields.items()), "", ""]
    return "\r\n".join(head).encode() + body


def tensor(values, rows=1024):
    """An inference of so many rows, with so many values."""
    data = np.random.default_rng(7).integers(0, 256, values).tolist()
    return {"inputs": [{"name": "image", "shape": [rows, 28, 28, 1], "datatype": "UINT8", "data": data}]}


def neighbours(settings):
    """By name: how many send what."""
    infer, labels = f"/v2/models/{PROJECT}/infer", f"/v2/models/{PROJECT}/labels"
    many = [{"request_id": f"stranger-{number:032}", "label": "1"} for number in range(170_000)]
    return {
        "none": (0, b""),
        "rows": (8, post(settings, infer, tensor(1024 * 784))),
        "bodies": (8, post(settings, infer, tensor(5_200 * 784))),
        "labels": (4, post(settings, labels, {"labels": many})),
        "headers": (8, b"GET / HTTP/1.1\r\nx: " + b"y" * 50_000_000),
    }


def ask(connection, asked):
    """Status and seconds of one request."""
    began = time.perf_counter()
    connection.sendall(asked)
    answer = b""
    while b"\r\n\r\n" not in answer:
        part = connection.recv(65536)
        if not part:
            raise ConnectionError
        answer += part
    head, _, body = answer.partition(b"\r\n\r\n")
    left = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0]) - len(body)
    while left > 0:
        left -= len(connection.recv(65536))
    return int(head.split()[1]), time.perf_counter() - began


def send_without_end(port, path, seconds):
    """What a neighbour does.

    The same request again and again, over a new connection where the old one is gone.
    """
    asked, until = path.read_bytes(), time.monotonic() + seconds
    while time.monotonic() < until:
        try:
            with socket.create_connection(("127.0.0.1", port), 30) as connection:
                while time.monotonic() < until:
                    ask(connection, asked)
        except OSError:
            continue


def beside(settings, count, asked, folder):
    """The figures of the small client."""
    path = folder / "asked"
    path.write_bytes(asked)
    command = [sys.executable, __file__, str(settings.server_port), str(path), SECONDS_OF_LOAD]
    others = [subprocess.Popen(command) for _ in range(count)]
    small, times, statuses = request(settings.credential), [], Counter()
    time.sleep(1)
    until = time.monotonic() + SECONDS
    with socket.create_connection(("127.0.0.1", settings.server_port)) as connection:
        while time.monotonic() < until:
            status, seconds = ask(connection, small)
            times.append(seconds * 1e3)
            statuses["answered" if status == 200 else "refused"] += 1
    for other in others:
        other.wait()
    p50, p99, most = np.quantile(times, [0.5, 0.99, 1])
    return {
        "p50_ms": round(float(p50), 2),
        "p99_ms": round(float(p99), 1),
        "most_ms": round(most),
        **statuses,
    }


def main():
    """Prints progress to standard error and the figures to standard output."""
    with tempfile.TemporaryDirectory() as folder, socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
        probe.close()
        settings = Settings(home=Path(folder) / "home", server_port=port)
        release(settings.home)
        process, _ = start(settings)
        figures = {}
        try:
            for name, (count, asked) in neighbours(settings).items():
                figures[name] = beside(settings, count, asked, Path(folder))
                sys.stderr.write(f"{name}: {figures[name]}\n")
        finally:
            process.terminate()
            process.wait(30)
    sys.stdout.write(json.dumps(figures) + "\n")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        send_without_end(int(sys.argv[1]), Path(sys.argv[2]), float(sys.argv[3]))
    else:
        main()
