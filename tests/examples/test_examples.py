"""The examples do what they say, with what a notebook has: no server, no cluster."""

import os
import re
import subprocess
import sys
from pathlib import Path

import onnx
from sklearn.datasets import load_wine

HERE = Path(__file__).parent


def test_a_csv_becomes_a_trained_and_quantized_model_in_one_process(tmp_path):
    frame = load_wine(as_frame=True).frame.rename(columns={"target": "label"})
    frame.insert(0, "id", [f"wine-{number}" for number in range(len(frame))])
    frame.to_csv(tmp_path / "wine.csv", index=False)
    command = [sys.executable, str(HERE / "from_csv_to_int8.py"), "wine.csv", "made"]
    environment = os.environ | {"PYTHONPATH": str(HERE.parents[1]), "GYRE_HOME": str(tmp_path / "home")}
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    told = re.fullmatch(r"wine/v1: accuracy ([\d.]+), int8 in (\S+)\n", done.stdout)
    assert told, done.stdout
    assert float(told[1]) > 0.85
    operators = {node.op_type for node in onnx.load(tmp_path / told[2]).graph.node}
    assert "QuantizeLinear" in operators
    assert not (tmp_path / "home").exists()
