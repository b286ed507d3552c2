"""A thousand models in a server that may take 2 GiB: how soon a cold one answers, and what is left of others.

.venv/bin/python tests/benchmarks/models.py [models]

Each is a small convolutional network of its own; together they take twice the memory. All are asked in turn,
twice. The last line is a JSON object: start_s, cold_p50_ms, cold_max_ms (from request to answer), reads (of
graphs that had left), rss_mb (the most), and what grew from the first round's end to the second's: grown_mb,
grown_files, grown_threads.
"""

import json
import shutil
import sys
import tempfile
import time
from pathlib import Path

import httpx
import numpy as np
import onnx
import psutil
from onnx import numpy_helper
from serve import PROJECT, free_ports, network, release, start

from infra.files import digest, read_json, write_json
from infra.settings import Settings
from tasks.production.releases import Releases, promote, stage_canary

MODELS = 1000
MEGABYTES = 2048


def release_many(home, count):
    """Versions 1 of projects `bench`, and of `m1` and so on, each with weights of its own."""
    release(home)
    releases = Releases(home / "releases")
    first = releases.read(PROJECT).champion
    model = network()
    (filters,) = [each for each in model.graph.initializer if each.name == "filters"]
    values = numpy_helper.to_array(filters)
    for number in range(1, count):
        project = f"m{number}"
        folder = home / "bundles" / project / "1"
        shutil.copytree(first.uri, folder)
        filters.CopyFrom(numpy_helper.from_array(values * (1 + number / count), "filters"))
        onnx.save(model, folder / "model.onnx")
        facts = {"project": project, "graph_digest": digest(folder / "model.onnx")}
        write_json(folder / "signature.json", read_json(folder / "signature.json") | facts)
        of_project = {"uri": str(folder), "digest": digest(folder), "graph_digest": facts["graph_digest"]}
        served = first.model_copy(update=of_project)
        releases.change(project, lambda manifest, served=served: stage_canary(manifest, served, 0.0))
        releases.change(project, lambda manifest: promote(manifest, 1))
    return [PROJECT, *(f"m{number}" for number in range(1, count))]


def ask_all(client, names, process):
    """Seconds of a request to each model, and the most memory in bytes that the server took meanwhile."""
    data = np.random.default_rng(7).integers(0, 256, 784).tolist()
    tensor = {"name": "image", "shape": [1, 28, 28, 1], "datatype": "UINT8", "data": data}
    times, most = [], 0
    for name in names:
        began = time.perf_counter()
        answer = client.post(f"/v2/models/{name}/infer", json={"inputs": [tensor]})
        times.append(time.perf_counter() - began)
        assert answer.is_success, answer.text
        most = max(most, process.memory_info().rss)
    return times, most


def held(process):
    """Bytes, open files and threads of the server."""
    return process.memory_info().rss, process.num_fds(), process.num_threads()


def main():
    """Prints progress to standard error and the figures to standard output."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else MODELS
    with tempfile.TemporaryDirectory() as folder:
        first = free_ports(2)
        ports = {"server_port": first, "grpc_port": first + 1}
        settings = Settings(home=Path(folder), server_memory_mb=MEGABYTES, **ports)
        names = release_many(settings.home, count)
        sys.stderr.write(f"{count} models are released\n")
        started, seconds = start(settings)
        process = psutil.Process(started.pid)
        try:
            with httpx.Client(
                base_url=settings.server_url, headers=settings.credential.headers, timeout=60
            ) as client:
                first, most = ask_all(client, names, process)
                before = held(process)
                second, more = ask_all(client, names, process)
                after = held(process)
                told = client.get("/metrics").text
        finally:
            started.terminate()
            started.wait(60)
    reads = sum(
        float(line.split()[-1]) for line in told.splitlines() if line.startswith("gyre_graph_reads_total")
    )
    times = np.array([*first, *second]) * 1e3
    figures = {
        "models": count,
        "start_s": round(seconds, 1),
        "cold_p50_ms": round(float(np.median(times)), 1),
        "cold_max_ms": round(float(times.max()), 1),
        "reads": round(reads),
        "rss_mb": round(max(most, more) / 2**20),
        "grown_mb": round((after[0] - before[0]) / 2**20),
        "grown_files": after[1] - before[1],
        "grown_threads": after[2] - before[2],
    }
    sys.stdout.write(json.dumps(figures) + "\n")


if __name__ == "__main__":
    main()
