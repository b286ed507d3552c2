"""Folders for other model servers and for MLflow, with the graph as it is.

All of them run ONNX Runtime's own C library.
"""

import shutil
import socket
import subprocess
import sys
import tempfile
import time
import warnings
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import httpx
import yaml

from infra.files import write_json
from tasks.export.model_facts import Facts, model_facts
from tasks.export.targets import TEMPLATES, Exported, copy_templates, export_folder
from tasks.export.trial import Trial, TrialError, compare_answers
from tasks.export.trial_rows import Row, known_words, probe_rows, trial_rows
from tasks.export.triton_config import LABELS, config_text, labels_text, server_name
from tasks.production import probe
from tasks.production.protocol_dtypes import DATATYPES

READY_S = 120
"""Until a server's first answer."""
NO_TRITON = "Triton is not run here; its configuration names what the graph takes and gives"


def export_onnx(bundle: Path, title: str, number: int | None, output: Path) -> Exported:
    """The graph and its facts, with the rows and answers that it was judged by.

    `number`: the released version's.
    """

    def fill(partial: Path, facts: Facts) -> Trial | str:
        copy_graph(bundle, partial)
        return ask_graph(partial)

    return export_folder(model_facts(bundle, title, number), output, fill)


def export_docker(bundle: Path, title: str, number: int | None, output: Path) -> Exported:
    """A Dockerfile and a server of a hundred lines, which is run here and asked. Raises TrialError."""

    def fill(partial: Path, facts: Facts) -> Trial | str:
        copy_graph(bundle, partial)
        copy_templates("docker", partial)
        copy_templates("python", partial)
        (partial / "requirements.txt").write_text(requirements("onnxruntime", "numpy", "uvicorn"))
        return try_server(partial, facts, rows_to_try(bundle, facts), bundle / probe.GRAPH)

    return export_folder(model_facts(bundle, title, number), output, fill)


def export_mlflow(bundle: Path, title: str, number: int | None, output: Path) -> Exported:
    """An MLflow model that `mlflow models serve` answers with; it is loaded here and asked.

    Raises TrialError.
    """

    def fill(partial: Path, facts: Facts) -> Trial | str:
        save_mlflow_model(bundle, facts, partial)
        return try_mlflow(partial, facts, rows_to_try(bundle, facts), bundle / probe.GRAPH)

    return export_folder(model_facts(bundle, title, number), output, fill)


def export_triton(bundle: Path, title: str, number: int | None, output: Path) -> Exported:
    """A model repository of Triton: the graph, its config.pbtxt, and its classes."""

    def fill(partial: Path, facts: Facts) -> Trial | str:
        write_repository(bundle, facts, partial)
        return NO_TRITON

    return export_folder(model_facts(bundle, title, number), output, fill)


def export_kserve(
    bundle: Path, title: str, number: int | None, output: Path, storage: str | None
) -> Exported:
    """An InferenceService of KServe, and the repository that its Triton runtime reads.

    storage: where the cluster will find the folder `repository`; None: a claim that is named after the
    project
    """

    def fill(partial: Path, facts: Facts) -> Trial | str:
        write_repository(bundle, facts, partial / "repository")
        place = storage or f"pvc://{server_name(facts['project']).replace('_', '-')}/repository"
        (partial / "inference-service.yaml").write_text(service_yaml(facts, place), encoding="utf-8")
        return NO_TRITON

    return export_folder(model_facts(bundle, title, number), output, fill)


def copy_graph(bundle: Path, folder: Path) -> None:
    """The bundle's graph, its float form where it has one, and its probe."""
    for name in (probe.GRAPH, probe.PORTABLE):
        if (bundle / name).is_file():
            shutil.copyfile(bundle / name, folder / name)
    if (bundle / probe.FOLDER).is_dir():
        shutil.copytree(bundle / probe.FOLDER, folder / probe.FOLDER)


def rows_to_try(bundle: Path, facts: Facts) -> list[Row]:
    """Real rows and made-up ones; what the programs refuse, as the model server does, is not among them."""
    import onnx

    rows = [*probe_rows(bundle, facts), *trial_rows(facts, known_words(onnx.load(bundle / probe.GRAPH)))]
    return [row for row in rows if all(len(value) <= facts["longest_text"] for value in texts(row))]


def texts(row: Row) -> list[str]:
    """The texts of a row."""
    return [value for value in row.values() if isinstance(value, str)]


def ask_graph(folder: Path) -> Trial | str:
    """The copied graph against the answers that it was judged by. Raises TrialError."""
    import onnxruntime

    if not (folder / probe.FOLDER).is_dir():
        return "the bundle has no rows with answers to compare with"
    session = onnxruntime.InferenceSession(folder / probe.GRAPH, providers=["CPUExecutionProvider"])
    moved = probe.difference(folder, probe.GRAPH, session)
    if moved > probe.TOLERANCE:
        raise TrialError(
            f"model.onnx: on this machine its answers differ by {moved:.2g} from those that it was judged by; export it where it was "
            "compiled, or use portable.onnx of the bundle"
        )
    rows = probe.read_rows(folder / probe.FOLDER)
    return Trial(len(next(iter(rows.values()))), moved)


def requirements(*packages: str) -> str:
    """A pip file with the versions that answered here."""
    return "".join(f"{name}=={installed(name)}\n" for name in packages)


def installed(package: str) -> str:
    """The version of a package here; ONNX Runtime comes under one of two names."""
    try:
        return version(package)
    except PackageNotFoundError:
        return version(f"{package}-gpu")


def try_server(folder: Path, facts: Facts, rows: list[Row], graph: Path) -> Trial:
    """Runs the exported server in a process of its own and asks it row by row. Raises TrialError."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with tempfile.TemporaryFile("w+") as log:
        process = subprocess.Popen(
            [sys.executable, "-B", str(folder / "server.py"), str(port)],
            cwd=folder,
            stdout=log,
            stderr=log,
        )
        try:
            answered = ask_server(process, f"http://127.0.0.1:{port}", facts, rows)
        except httpx.TransportError:
            log.seek(0)
            raise TrialError(f"server.py did not start: {log.read().strip()[-500:]}") from None
        finally:
            process.kill()
            process.wait()
    return compare_answers(answered, rows, facts, graph, "server.py")


def ask_server(process: "subprocess.Popen[bytes]", url: str, facts: Facts, rows: list[Row]) -> list[Facts]:
    """The outputs of each row by name.

    Raises TransportError where the server does not answer, TrialError where it refuses a row.
    """
    with httpx.Client(base_url=url, timeout=READY_S, trust_env=False) as client:
        deadline = time.monotonic() + READY_S
        while True:
            try:
                client.get("/v2/health/ready").raise_for_status()
                break
            except httpx.TransportError:
                if process.poll() is not None or time.monotonic() > deadline:
                    raise
                time.sleep(0.05)
        answered = []
        for number, row in enumerate(rows):
            response = client.post(f"/v2/models/{facts['project']}/infer", json=request_of(row, facts))
            if not response.is_success:
                raise TrialError(f"server.py refuses row {number}: {response.text[:300]}")
            answered.append({each["name"]: each["data"] for each in response.json()["outputs"]})
    return answered


def request_of(row: Row, facts: Facts) -> dict[str, Any]:
    """One row as the Open Inference Protocol asks about it."""
    tensors = []
    for each in facts["inputs"]:
        value = row[each["name"]]
        tensors.append(
            {
                "name": each["name"],
                "shape": [1, *each["shape"]],
                "datatype": DATATYPES[each["dtype"]],
                "data": value if each["shape"] else [value],
            }
        )
    return {"inputs": tensors}


def save_mlflow_model(bundle: Path, facts: Facts, folder: Path) -> None:
    """The graph, and the code that opens it, as an MLflow model of its pyfunc flavour."""
    parts = folder / "parts"
    parts.mkdir()
    copy_graph(bundle, parts)
    copy_templates("python", parts)
    write_json(parts / "model.json", facts)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of MLflow's own types, as it is imported, and of what it infers
        import mlflow.pyfunc
        from mlflow.environment_variables import MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR

        MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR.set(False)
        mlflow.pyfunc.save_model(
            folder / "mlflow",
            python_model=str(TEMPLATES / "mlflow" / "model.py"),
            artifacts={"graph": str(parts)},
            signature=mlflow_signature(facts),
            pip_requirements=requirements("mlflow", "onnxruntime", "numpy", "pandas").split(),
        )
    for path in (folder / "mlflow").iterdir():
        path.rename(folder / path.name)
    (folder / "mlflow").rmdir()
    shutil.rmtree(parts)


def mlflow_signature(facts: Facts) -> Any:
    """Columns where all inputs are single values, else arrays by name.

    MLflow refuses float32 for what JSON gives: columns are double.
    """
    import numpy as np
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, Schema, TensorSpec

    if not any(each["shape"] for each in facts["inputs"]):
        return ModelSignature(
            inputs=Schema([ColSpec(column_type(each["dtype"]), each["name"]) for each in facts["inputs"]])
        )
    arrays = [
        TensorSpec(np.dtype(each["dtype"]), (-1, *each["shape"]), each["name"]) for each in facts["inputs"]
    ]
    return ModelSignature(inputs=Schema([*arrays]))


def column_type(dtype: str) -> str:
    """MLflow's type of a column."""
    if dtype in ("bool", "str"):
        return {"bool": "boolean", "str": "string"}[dtype]
    return "double" if dtype.startswith("float") else "long"


def try_mlflow(folder: Path, facts: Facts, rows: list[Row], graph: Path) -> Trial:
    """Loads the model as MLflow does and asks it row by row. Raises TrialError."""
    import pandas as pd

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import mlflow.pyfunc

        model = mlflow.pyfunc.load_model(str(folder))
        answered = []
        for row in rows:
            found = model.predict(mlflow_input(row, facts))
            line = found.iloc[0] if isinstance(found, pd.DataFrame) else found[0]
            answered.append({name: line[name] for name in facts["outputs"]})
    return compare_answers(answered, rows, facts, graph, "the MLflow model")


def mlflow_input(row: Row, facts: Facts) -> Any:
    """One row as an MLflow model takes it."""
    import numpy as np
    import pandas as pd

    if any(each["shape"] for each in facts["inputs"]):
        return {
            each["name"]: np.array(
                [row[each["name"]]], object if each["dtype"] == "str" else each["dtype"]
            ).reshape(1, *each["shape"])
            for each in facts["inputs"]
        }
    kinds = {"double": "float64", "long": "int64", "boolean": "bool", "string": "object"}
    columns = {
        each["name"]: pd.Series([row[each["name"]]], dtype=kinds[column_type(each["dtype"])])
        for each in facts["inputs"]
    }
    return pd.DataFrame(columns)


def write_repository(bundle: Path, facts: Facts, folder: Path) -> None:
    """<folder>/<model>/config.pbtxt, its labels, and <version>/model.onnx."""
    model = folder / server_name(facts["project"])
    numbered = model / str(facts["version"] or 1)
    numbered.mkdir(parents=True)
    shutil.copyfile(bundle / probe.GRAPH, numbered / probe.GRAPH)
    (model / "config.pbtxt").write_text(
        config_text(facts, outputs_of(bundle / probe.GRAPH)), encoding="utf-8"
    )
    if facts["classes"]:
        (model / LABELS).write_text(labels_text(facts["classes"]), encoding="utf-8")


def outputs_of(graph: Path) -> list[tuple[str, str, list[int]]]:
    """A graph's outputs.

    Name, numpy dtype (`str` for text), shape of one row with -1 where it is not fixed.
    """
    import onnx

    found = []
    for value in onnx.load(graph, load_external_data=False).graph.output:
        kind = value.type.tensor_type
        dtype = onnx.helper.tensor_dtype_to_np_dtype(kind.elem_type)
        shape = [size.dim_value if size.HasField("dim_value") else -1 for size in kind.shape.dim]
        found.append((value.name, "str" if dtype.hasobject else dtype.name, shape[1:]))
    return found


def service_yaml(facts: Facts, storage: str) -> str:
    """KServe's InferenceService, with what it needs to be looked up by."""
    service = {
        "apiVersion": "serving.kserve.io/v1beta1",
        "kind": "InferenceService",
        "metadata": {
            "name": server_name(facts["project"]).replace("_", "-"),
            "labels": {"app.kubernetes.io/managed-by": "gyre"},
            "annotations": {"gyre/model": facts["title"], "gyre/graph-digest": facts["graph_digest"]},
        },
        "spec": {
            "predictor": {
                "model": {
                    "modelFormat": {"name": "triton"},
                    "protocolVersion": "v2",
                    "runtime": "kserve-tritonserver",
                    "storageUri": storage,
                    "resources": {
                        "requests": {"cpu": "1", "memory": "1Gi"},
                        "limits": {"cpu": "2", "memory": "2Gi"},
                    },
                }
            }
        },
    }
    head = f"# Put the folder `repository` at {storage}, then: kubectl apply -f inference-service.yaml\n"
    return head + yaml.safe_dump(service, sort_keys=False)
