"""How fast all rows of a CSV file are scored, beside a loop that does nothing but ask ONNX Runtime.

What `make bench-score` runs.

python tests/benchmarks/score.py [rows]      1,000,000 by default

The default network of a table with eight numbers, two categories and a date. The loop has the rows in memory
as the graph takes them and asks on one thread, as many a call as a worker; Gyre begins with the file and ends
with Parquet parts, on two workers of one thread each. The last line is a JSON object: gyre, bare (rows a
second), ratio, rows, workers, peak_mib (the largest memory of a worker), and cpu_ratio: rows a second of CPU
time, Gyre's workers' to the loop's, which a busy machine moves less. The time of workers has their imports in
it.
"""

import json
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd

from configs.cluster import ClusterConfig
from configs.intake import TabularIntakeConfig
from configs.result import ClassificationResultConfig
from configs.source import SourceConfig
from configs.training import TrainingConfig
from infra.cluster import open_cluster
from infra.files import digest, write_json
from tasks.compilation.signature import signature
from tasks.intake import build_intake
from tasks.model.model import Model
from tasks.model.onnx_export import graph_bytes
from tasks.model.onnx_session import session
from tasks.production import probe
from tasks.records import Stored
from tasks.result import build_result
from tasks.rows.parts import record_of
from tasks.rows.raw import feed
from tasks.scoring.answers import ROWS_A_CALL
from tasks.scoring.run import Question, score
from tasks.scoring.source import source_at
from tasks.scoring.targets import target_at

ROWS = 1_000_000
WORKERS = 2
LOOKED_AT = 200_000
"""Rows that the loop is timed on."""
NUMBERS = tuple(f"number {place}" for place in range(8))
SECTION = TabularIntakeConfig(
    kind="tabular",
    numeric=NUMBERS,
    categorical=("work", "place"),
    dates=("born",),
    date_formats={"born": "%d/%m/%Y"},
)
RESULT = ClassificationResultConfig(kind="classification", classes=["low", "high"])


def made_up(rows):
    """Rows as a source has them."""
    draw = np.random.default_rng(3)
    columns = {"id": [f"r{number}" for number in range(rows)]}
    columns |= {name: draw.normal(50, 20, rows).round(3) for name in NUMBERS}
    columns |= {
        name: draw.choice([f"{name} {each}" for each in range(12)], rows) for name in ("work", "place")
    }
    days = pd.to_datetime("1960-01-01") + pd.to_timedelta(draw.integers(0, 20_000, rows), "D")
    return pd.DataFrame(columns | {"born": days.strftime("%d/%m/%Y")})


def make_bundle(frame, folder):
    """A bundle of the default network, untrained: its arithmetic takes as long."""
    folder.mkdir()
    intake, result = build_intake(SECTION), build_result(RESULT)
    rows = intake.rows(frame)
    encoder = intake.encoder()
    encoder.fit(rows)
    model = Model(encoder, intake, result, TrainingConfig()).eval()
    model.preprocessing.fit(encoder.encode(rows))
    (folder / "model.onnx").write_bytes(graph_bytes(model, result.names))
    probe.write(folder, rows, {probe.GRAPH: session(folder / "model.onnx")})
    facts = {"project": "bench", **signature(intake, result), "graph_digest": digest(folder / "model.onnx")}
    write_json(folder / "signature.json", facts | {"training_values": model.preprocessing.training_values()})
    write_json(folder / "lineage.json", {"config": {"intake": SECTION.model_dump(mode="json")}})
    return Stored(**record_of(folder).model_dump())


def bare(bundle, frame):
    """Rows a second of a loop over rows in memory, of the clock and of CPU time."""
    asked = session(Path(bundle.uri) / "model.onnx")
    inputs = feed(build_intake(SECTION).rows(frame))
    asked.run(None, {name: values[:ROWS_A_CALL] for name, values in inputs.items()})
    began, used = time.perf_counter(), time.process_time()
    for start in range(0, len(frame), ROWS_A_CALL):
        asked.run(None, {name: values[start : start + ROWS_A_CALL] for name, values in inputs.items()})
    return len(frame) / (time.perf_counter() - began), len(frame) / (time.process_time() - used)


def peak_mib():
    """The largest memory of this process so far."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) / 1024


def main():
    """Measures and prints."""
    rows = int(sys.argv[1]) if len(sys.argv) > 1 else ROWS
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        frame = made_up(rows)
        frame.to_csv(folder / "rows.csv", index=False)
        bundle = make_bundle(frame[:5000], folder / "bundle")
        few = frame[:LOOKED_AT]
        loops = [bare(bundle, few)]
        source = source_at(str(folder / "rows.csv"), SourceConfig(reader="csv", path="/nowhere"), SECTION)
        question = Question("bench", 1, bundle, source, SECTION)
        with open_cluster(ClusterConfig(workers=WORKERS)) as client:
            target = target_at(str(folder / "scores"), None)
            before = sum(client.run(time.process_time).values())
            scored = score(question, target, "refuse", folder / "staging" / "one", folder / "kept", client)
            used = sum(client.run(time.process_time).values()) - before
            peak = max(client.run(peak_mib).values())
        loops.append(bare(bundle, few))
        gyre = scored.now / scored.seconds
        times = [each for each, _ in loops]
        print(f"loop before and after: {times[0]:,.0f} and {times[1]:,.0f} rows/s; Gyre: {gyre:,.0f} rows/s")
        loop, a_second = max(times), max(each for _, each in loops)
        found = {"gyre": round(gyre), "bare": round(loop), "ratio": round(gyre / loop, 3)}
        found |= {"rows": rows, "workers": WORKERS, "peak_mib": round(peak)}
        print(json.dumps(found | {"cpu_ratio": round(scored.now / used / a_second, 3)}))


if __name__ == "__main__":
    main()
