"""Other model servers with the benchmark's graph, each in a virtual environment of its own, made at first use.

Each is written as its documentation shows it, with its own batching on, and answers the class and its
probability. None of them asks for a credential or keeps a log of predictions.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

ONNXRUNTIME = "onnxruntime==1.31.1"
PACKAGES = {"mlserver": "mlserver==1.7.1", "litserve": "litserve==0.2.19", "bentoml": "bentoml==1.4.40"}
ENVIRONMENTS = Path(tempfile.gettempdir()) / f"gyre-bench-peers-{os.getuid()}"
ROWS_A_BATCH, WAIT_S = 64, 0.002

OPEN = """
import numpy as np
import onnxruntime

def opened(path):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
"""

MLSERVER = (
    OPEN
    + """
from mlserver import MLModel
from mlserver.codecs import NumpyCodec
from mlserver.types import InferenceResponse

class Graph(MLModel):
    async def load(self):
        self.session = opened(self.settings.parameters.uri)
        return True

    async def predict(self, payload):
        rows = NumpyCodec.decode_input(payload.inputs[0]).astype(np.uint8)
        found = self.session.run(None, {"image": rows.reshape(-1, 28, 28, 1)})
        outputs = [NumpyCodec.encode_output(name, value) for name, value in zip(("class", "probability"), found)]
        return InferenceResponse(model_name=self.name, outputs=outputs)
"""
)

LITSERVE = (
    (
        OPEN
        + """
import sys
import litserve

class Graph(litserve.LitAPI):
    def setup(self, device):
        self.session = opened(sys.argv[1])

    def decode_request(self, request):
        return np.array(request["image"], np.uint8).reshape(28, 28, 1)

    def batch(self, inputs):
        return np.stack(inputs)

    def predict(self, rows):
        return self.session.run(None, {"image": rows})

    def unbatch(self, found):
        return list(zip(*found))

    def encode_response(self, found):
        return {"class": int(found[0]), "probability": found[1].tolist()}

if __name__ == "__main__":
    processes = int(sys.argv[3])
    api = Graph(max_batch_size=ROWS, batch_timeout=WAIT)
    server = litserve.LitServer(api, accelerator="cpu", workers_per_device=processes)
    server.run(host="127.0.0.1", port=int(sys.argv[2]), num_api_servers=processes, log_level="warning",
               generate_client_file=False)
"""
    )
    .replace("ROWS", str(ROWS_A_BATCH))
    .replace("WAIT", str(WAIT_S))
)

BENTOML = (
    OPEN
    + """
import os
import bentoml

@bentoml.service(workers=int(os.environ["PROCESSES"]), metrics={"enabled": True})
class Graph:
    def __init__(self):
        self.session = opened(os.environ["MODEL"])

    @bentoml.api(batchable=True, max_batch_size=ROWS, max_latency_ms=1000)
    def predict(self, image: np.ndarray) -> np.ndarray:
        found = self.session.run(None, {"image": image.astype(np.uint8).reshape(-1, 28, 28, 1)})
        return np.concatenate([found[0][:, None], found[1]], axis=1)
"""
).replace("ROWS", str(ROWS_A_BATCH))


def environment(name):
    """The folder of a peer's programs. Raises CalledProcessError where it cannot be made."""
    folder = ENVIRONMENTS / PACKAGES[name].replace("==", "-")
    if not (folder / "made").exists():
        uv = str(Path(sys.executable).with_name("uv"))
        subprocess.run([uv, "venv", "-q", "--clear", str(folder)], check=True)
        python = str(folder / "bin" / "python")
        subprocess.run([uv, "pip", "install", "-q", "-p", python, PACKAGES[name], ONNXRUNTIME], check=True)
        (folder / "made").touch()
    return folder / "bin"


def start(name, model, port, processes, folder):
    """A peer's process, serving a graph's file on a port, with its files in a folder."""
    programs = environment(name)
    folder.mkdir()
    more = {"PATH": f"{programs}:{os.environ['PATH']}", "MODEL": str(model), "PROCESSES": str(processes)}
    more |= {"BENTOML_DO_NOT_TRACK": "1", "BENTOML_HOME": str(folder / "home"), "DO_NOT_TRACK": "1"}
    command = {"mlserver": mlserver, "litserve": litserve, "bentoml": bento}[name](
        programs, model, port, processes, folder
    )
    with (folder / "log").open("w") as log:
        return subprocess.Popen(
            command, cwd=folder, env=os.environ | more, stdout=log, stderr=log, start_new_session=True
        )


def mlserver(programs, model, port, processes, folder):
    """Writes its files; the command."""
    (folder / "graph.py").write_text(MLSERVER)
    settings = {"http_port": port, "grpc_port": port + 1, "metrics_port": port + 2, "host": "127.0.0.1"}
    settings |= {"parallel_workers": processes if processes > 1 else 0, "debug": False}
    (folder / "settings.json").write_text(json.dumps(settings))
    facts = {"name": "bench", "implementation": "graph.Graph", "parameters": {"uri": str(model)}}
    facts |= {"max_batch_size": ROWS_A_BATCH, "max_batch_time": WAIT_S}
    (folder / "model-settings.json").write_text(json.dumps(facts))
    return [str(programs / "mlserver"), "start", str(folder)]


def litserve(programs, model, port, processes, folder):
    """Writes its file; the command."""
    (folder / "graph.py").write_text(LITSERVE)
    return [str(programs / "python"), "graph.py", str(model), str(port), str(processes)]


def bento(programs, model, port, processes, folder):
    """Writes its file; the command."""
    (folder / "graph.py").write_text(BENTOML)
    return [str(programs / "bentoml"), "serve", "graph:Graph", "--port", str(port), "--host", "127.0.0.1"]


def question(name, image):
    """Path and JSON body of one row."""
    if name == "mlserver":
        tensor = {
            "name": "image",
            "shape": [1, 28, 28, 1],
            "datatype": "UINT8",
            "data": image.ravel().tolist(),
        }
        return "/v2/models/bench/infer", {"inputs": [tensor]}
    if name == "litserve":
        return "/predict", {"image": image.ravel().tolist()}
    return "/predict", {"image": image.reshape(1, 28, 28, 1).tolist()}
