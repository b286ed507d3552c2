"""The model server beside others and beside a bare loop of ONNX Runtime, with one graph, in turns.

.venv/bin/python tests/benchmarks/serve.py [processes]

Rows of 784 bytes, one a request, over 1, 16, 64 and 256 connections, as JSON, with binary tensors and over
gRPC, with credential, prediction log and metrics; MLServer, LitServe and BentoML (peers.py) as JSON. The load
comes from the same machine, so what counts is CPU microseconds a request, of all of a server's processes. The
last line is a JSON object: gyre and peers (by protocol or server and connections: rps, p99_ms, cpu_us), ratio
and ratio_cpu (requests, and CPU a request, against the best peer at 64), loop_share (CPU of a bare loop with
32 rows a call, of that of requests with 32 rows), p99_ms and cpu_us at 64, start_s, rss_mb after the load,
and without_peer, why a peer is missing.
"""

import asyncio
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path

import grpc
import httpx
import numpy as np
import onnx
import psutil
import uvloop
from onnx import TensorProto, helper, numpy_helper
from peers import PACKAGES, question
from peers import start as start_peer

from infra.files import digest, write_json
from infra.settings import Settings
from tasks.production.releases import Releases, Served, promote, stage_canary
from tasks.records import DatasetVersion
from tasks.serving.rpc import open_inference_pb2 as pb

PROJECT = "bench"
SECONDS = 2.0
WARM_UP_S = 0.5
CONNECTIONS = (1, 16, 64, 256)
ROUNDS = 2
PEER_S = 90
"""For a peer to answer."""


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


def image(rows=1):
    """Random rows."""
    return np.random.default_rng(7).integers(0, 256, (rows, 28, 28, 1), dtype=np.uint8)


def post(path, body, headers):
    """One HTTP request as bytes."""
    fields = {"host": "127.0.0.1", "content-length": len(body)} | headers
    lines = [f"POST {path} HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items()), "", ""]
    return "\r\n".join(lines).encode() + body


def request(credential, rows=1):
    """A JSON inference, that of a known client."""
    data = image(rows).ravel().tolist()
    tensor = {"name": "image", "shape": [rows, 28, 28, 1], "datatype": "UINT8", "data": data}
    headers = {"content-type": "application/json"} | credential.headers
    return post(f"/v2/models/{PROJECT}/infer", json.dumps({"inputs": [tensor]}).encode(), headers)


def binary_request(credential, rows=1):
    """The same with binary tensors, in and out."""
    data = image(rows).tobytes()
    size = {"binary_data_size": len(data)}
    tensor = {"name": "image", "shape": [rows, 28, 28, 1], "datatype": "UINT8", "parameters": size}
    head = json.dumps({"inputs": [tensor], "parameters": {"binary_data_output": True}}).encode()
    headers = {"inference-header-content-length": str(len(head))} | credential.headers
    return post(f"/v2/models/{PROJECT}/infer", head + data, headers)


async def ask_on(port, until, asked):
    """When each request began and the seconds it took, None where it was refused (503), over a connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    found = []
    while (began := time.perf_counter()) < until:
        writer.write(asked)
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        status = head.split(maxsplit=2)[1]
        if status not in (b"200", b"503"):
            raise RuntimeError(head.decode())
        await reader.readexactly(int(head.split(b"\r\ncontent-length: ")[1].split(b"\r\n")[0]))
        found.append((began, time.perf_counter() - began if status == b"200" else None))
    writer.close()
    return found


async def ask_over_grpc(port, until, credential):
    """The same over gRPC, on a channel of its own."""
    message = pb.ModelInferRequest(model_name=PROJECT, raw_input_contents=[image().tobytes()])
    message.inputs.add(name="image", datatype="UINT8", shape=[1, 28, 28, 1])
    asked = message.SerializeToString()
    metadata = tuple((name.lower(), value) for name, value in credential.headers.items())
    options = (("grpc.use_local_subchannel_pool", 1),)
    found = []
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}", options=options) as channel:
        infer = channel.unary_unary("/inference.GRPCInferenceService/ModelInfer")
        while (began := time.perf_counter()) < until:
            await infer(asked, metadata=metadata)
            found.append((began, time.perf_counter() - began))
    return found


async def load(ask, connections, until):
    """What each of so many connections was answered."""
    found = await asyncio.gather(*(ask(until) for _ in range(connections)))
    return [each for answers in found for each in answers]


def cpu_s(process):
    """Of a process and all that it started."""
    family = [process, *process.children(recursive=True)]
    return sum(sum(each.cpu_times()[:2]) for each in family)


def measure(process, ask, connections, run=asyncio.run):
    """Requests a second, 99th percentile, and the server's CPU a request; those that it refused, if any."""
    until, before = time.perf_counter() + WARM_UP_S + SECONDS, cpu_s(process)
    answers = run(load(ask, connections, until))
    spent = cpu_s(process) - before
    times = [seconds for began, seconds in answers if seconds is not None and began > until - SECONDS]
    refused = sum(seconds is None for _, seconds in answers)
    found = {
        "rps": round(len(times) / SECONDS),
        "p99_ms": round(float(np.percentile(times, 99)) * 1e3, 1) if times else None,
        "cpu_us": round(spent / max(1, len(answers) - refused) * 1e6),
    }
    return found | ({"refused": refused} if refused else {})


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


BARE_LOOP = """
import sys, time
import numpy as np, onnxruntime
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = options.inter_op_num_threads = 1
session = onnxruntime.InferenceSession(sys.argv[1], options, providers=["CPUExecutionProvider"])
rows = np.random.default_rng(7).integers(0, 256, (32, 28, 28, 1), dtype=np.uint8)
for _ in range(20):
    session.run(None, {"image": rows})
began = time.process_time()
for _ in range(500):
    session.run(None, {"image": rows})
print((time.process_time() - began) / 500 * 1e6)
"""


def bare_loop(model):
    """CPU microseconds of a call with 32 rows."""
    command = [sys.executable, "-c", BARE_LOOP, str(model)]
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def free_ports(count):
    """The first of so many ports in a row that nobody uses."""
    while True:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            first = probe.getsockname()[1]
        with ExitStack() as stack, suppress(OSError):
            for port in range(first, first + count):
                stack.enter_context(socket.socket()).bind(("127.0.0.1", port))
            return first


def wait_for(process, port, path, body, log):
    """Returns once a peer answers. Raises RuntimeError where it does not."""
    deadline = time.monotonic() + PEER_S
    while time.monotonic() < deadline and process.poll() is None:
        with suppress(httpx.TransportError):
            if httpx.post(f"http://127.0.0.1:{port}{path}", json=body, timeout=10).is_success:
                return
        time.sleep(0.2)
    raise RuntimeError(log.read_text()[-2000:])


class Peers:
    """The other servers that could be started."""

    def __init__(self):
        self.running, self.missing = {}, {}

    def start(self, model, processes, folder):
        """Starts each with a graph's file, and its own files below a folder."""
        for name in PACKAGES:
            port = free_ports(3)
            path, body = question(name, image())
            try:
                process = start_peer(name, model, port, processes, folder / name)
                self.running[name] = psutil.Process(process.pid), port, path, body
                wait_for(process, port, path, body, folder / name / "log")
            except (RuntimeError, OSError, subprocess.CalledProcessError) as error:
                self.missing[name] = str(error)
                sys.stderr.write(f"without {name}: {error}\n")

    def ways(self):
        """By name: its process and how it is asked."""
        for name, (process, port, path, body) in self.running.items():
            if name not in self.missing:
                asked = post(path, json.dumps(body).encode(), {"content-type": "application/json"})
                yield name, process, partial(ask_on, port, asked=asked)

    def stop(self):
        """Ends each with all that it started."""
        for process, *_ in self.running.values():
            with suppress(psutil.NoSuchProcess):
                family = [*process.children(recursive=True), process]
                for each in family:
                    each.kill()
                psutil.wait_procs(family)


def measure_all(settings, server, peers):
    """Figures by way and connections, the better of the rounds by CPU."""
    port, credential = settings.server_port, settings.credential
    ways = [
        ("json", server, partial(ask_on, port, asked=request(credential))),
        ("binary", server, partial(ask_on, port, asked=binary_request(credential))),
        ("grpc", server, partial(ask_over_grpc, settings.grpc_port, credential=credential)),
        ("32 rows", server, partial(ask_on, port, asked=binary_request(credential, 32))),
        *peers.ways(),
    ]
    figures = {}
    for _ in range(ROUNDS):
        for connections in CONNECTIONS:
            for name, process, ask in ways:
                if name == "32 rows" and connections != 16:
                    continue
                found = measure(process, ask, connections, asyncio.run if name == "grpc" else uvloop.run)
                known = figures.setdefault(name, {}).get(connections)
                if known is None or found["cpu_us"] < known["cpu_us"]:
                    figures[name][connections] = found
                sys.stderr.write(f"{name}, {connections} connections: {found}\n")
    return figures


def summary(figures, loop_us, peers):
    """The last line's object, but for what is measured apart."""
    gyre = {name: figures[name] for name in ("json", "binary", "grpc", "32 rows")}
    others = {name: found for name, found in figures.items() if name not in gyre}
    at_64 = gyre["json"][64]
    found = {"gyre": gyre, "peers": others, "loop_share": round(loop_us / gyre["32 rows"][16]["cpu_us"], 2)}
    if others:
        most = max(each[64]["rps"] for each in others.values())
        least = min(each[64]["cpu_us"] for each in others.values())
        found |= {"ratio": round(at_64["rps"] / most, 1), "ratio_cpu": round(least / at_64["cpu_us"], 1)}
    return found | {"p99_ms": at_64["p99_ms"], "cpu_us": at_64["cpu_us"], "without_peer": peers.missing}


def main():
    """Prints progress to standard error and the figures to standard output."""
    processes = int(sys.argv[1]) if len(sys.argv) > 1 else 1
    with tempfile.TemporaryDirectory() as folder:
        first = free_ports(2)
        settings = Settings(
            home=Path(folder) / "home", server_port=first, grpc_port=first + 1, server_processes=processes
        )
        release(settings.home)
        model = settings.home / "bundles" / PROJECT / "1" / "model.onnx"
        peers, process = Peers(), None
        try:
            peers.start(model, processes, Path(folder))
            process, seconds = start(settings)
            server = psutil.Process(process.pid)
            figures = measure_all(settings, server, peers)
            loop_us = min(bare_loop(model) for _ in range(ROUNDS))
            family = [server, *server.children(recursive=True)]
            megabytes = sum(each.memory_info().rss for each in family) / 2**20
        finally:
            peers.stop()
            if process:
                process.terminate()
                process.wait(30)
    found = summary(figures, loop_us, peers) | {"start_s": round(seconds, 2), "rss_mb": round(megabytes)}
    sys.stdout.write(json.dumps(found | {"processes": processes}) + "\n")


if __name__ == "__main__":
    main()
