"""How many requests the model server answers: rows of 784 bytes as JSON, one a request, over 1, 16 and 64 connections.

.venv/bin/python tests/benchmarks/serve.py

The load comes from the same machine. The last line is a JSON object: rps_1, rps_16, rps_64 (requests a
second), p99_ms_64 (milliseconds), start_s (until ready, with one model), rss_mb (after the load).
"""

import asyncio
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import httpx
import numpy as np
import onnx
import psutil
import uvloop
from onnx import TensorProto, helper, numpy_helper

from infra.files import digest, write_json
from infra.settings import Settings
from tasks.production.releases import Releases, Served, promote, stage_canary
from tasks.records import DatasetVersion

PROJECT = "bench"
SECONDS = 5.0
WARM_UP_S = 1.0


def network():
    """[rows, 28, 28, 1] uint8 -> class and probability: one convolution of 16 filters, one linear layer."""
    draw = np.random.default_rng(7)
    sizes = {"filters": (16, 1, 3, 3), "weights": (16 * 14 * 14, 10)}
    constants = [
        numpy_helper.from_array(draw.normal(0, 0.05, size).astype(np.float32), name)
        for name, size in sizes.items()
    ]
    constants.append(numpy_helper.from_array(np.array([0, 1, 28, 28]), "shape"))
    nodes = [
        helper.make_node("Cast", ["image"], ["floats"], to=TensorProto.FLOAT),
        helper.make_node("Reshape", ["floats", "shape"], ["planes"]),
        helper.make_node("Conv", ["planes", "filters"], ["found"], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["found"], ["bright"]),
        helper.make_node("MaxPool", ["bright"], ["pooled"], kernel_shape=[2, 2], strides=[2, 2]),
        helper.make_node("Flatten", ["pooled"], ["flat"]),
        helper.make_node("MatMul", ["flat", "weights"], ["scores"]),
        helper.make_node("ArgMax", ["scores"], ["class"], axis=1, keepdims=0),
        helper.make_node("Softmax", ["scores"], ["probability"]),
    ]
    taken = [helper.make_tensor_value_info("image", TensorProto.UINT8, ["batch", 28, 28, 1])]
    given = [
        helper.make_tensor_value_info("class", TensorProto.INT64, ["batch"]),
        helper.make_tensor_value_info("probability", TensorProto.FLOAT, ["batch", 10]),
    ]
    graph = helper.make_graph(nodes, PROJECT, taken, given, constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


def release(home):
    """Version 1 of the network as champion."""
    folder = home / "bundles" / PROJECT / "1"
    folder.mkdir(parents=True)
    onnx.save(network(), folder / "model.onnx")
    facts = {
        "project": PROJECT,
        "inputs": [{"name": "image", "dtype": "uint8", "shape": [28, 28, 1]}],
        "outputs": ["class", "probability"],
        "classes": [str(number) for number in range(10)],
        "graph_digest": digest(folder / "model.onnx"),
    }
    write_json(folder / "signature.json", facts)
    dataset = DatasetVersion(
        uri="", digest="", project=PROJECT, version=1, tag="", commit="", rows=0, splits={}
    )
    served = Served(
        uri=str(folder), digest=digest(folder), version=1, graph_digest=facts["graph_digest"], dataset=dataset
    )
    releases = Releases(home / "releases")
    releases.change(PROJECT, lambda manifest: stage_canary(manifest, served, 0.0))
    releases.change(PROJECT, lambda manifest: promote(manifest, 1))


def request(credential):
    """One HTTP request as bytes, that of a known client."""
    data = np.random.default_rng(7).integers(0, 256, 784).tolist()
    body = json.dumps(
        {"inputs": [{"name": "image", "shape": [1, 28, 28, 1], "datatype": "UINT8", "data": data}]}
    ).encode()
    fields = {
        "host": "127.0.0.1",
        "content-type": "application/json",
        "content-length": len(body),
    } | credential.headers
    lines = [
        f"POST /v2/models/{PROJECT}/infer HTTP/1.1",
        *(f"{name}: {value}" for name, value in fields.items()),
        "",
        "",
    ]
    return "\r\n".join(lines).encode() + body


async def ask_on(port, until, asked):
    """Seconds of each request that began before `until`, over one connection; the first second does not count."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    times, counted_from = [], until - SECONDS
    while (began := time.perf_counter()) < until:
        writer.write(asked)
        head = await reader.readuntil(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 200"):
            raise RuntimeError(head.decode())
        await reader.readexactly(int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0]))
        if began > counted_from:
            times.append(time.perf_counter() - began)
    writer.close()
    return times


async def load(settings, connections):
    """Seconds of each request over so many connections."""
    until, asked = time.perf_counter() + WARM_UP_S + SECONDS, request(settings.credential)
    return [
        each
        for times in await asyncio.gather(
            *(ask_on(settings.server_port, until, asked) for _ in range(connections))
        )
        for each in times
    ]


def start(settings):
    """The server's process, and the seconds until it is ready."""
    began = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "tasks.serving"],
        env=os.environ | settings.environment(),
        stderr=subprocess.DEVNULL,
    )
    while True:
        try:
            if httpx.get(f"{settings.server_url}/v2/models/{PROJECT}/ready").is_success:
                return process, time.perf_counter() - began
        except httpx.TransportError:
            if process.poll() is not None:
                raise RuntimeError(f"the model server ended with {process.returncode}") from None
        time.sleep(0.02)


def main():
    """Prints progress to standard error and the figures to standard output."""
    with tempfile.TemporaryDirectory() as home, socket.socket() as probe, socket.socket() as other:
        ports = []
        for each in (probe, other):
            each.bind(("127.0.0.1", 0))
            ports.append(each.getsockname()[1])
        probe.close()
        other.close()
        settings = Settings(home=Path(home), server_port=ports[0], grpc_port=ports[1])
        release(settings.home)
        process, seconds = start(settings)
        try:
            figures = {"start_s": round(seconds, 2)}
            for connections in (1, 16, 64):
                times = uvloop.run(load(settings, connections))
                figures[f"rps_{connections}"] = round(len(times) / SECONDS)
                sys.stderr.write(f"{connections} connections: {figures[f'rps_{connections}']} requests/s\n")
            figures["p99_ms_64"] = round(float(np.percentile(times, 99)) * 1e3, 1)
            figures["rss_mb"] = round(psutil.Process(process.pid).memory_info().rss / 2**20)
        finally:
            process.terminate()
            process.wait(30)
    sys.stdout.write(json.dumps(figures) + "\n")


if __name__ == "__main__":
    main()
