"""Set-up's decisions and messages, each in a process of its own as `make` runs it; a set-up from nothing is too long for a test."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from infra import setup

ROOT = Path(__file__).parents[2]


def tool(folder, name, text):
    """An executable shell script."""
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(f"#!/bin/sh\n{text}\n")
    (folder / name).chmod(0o755)


@pytest.fixture
def checkout(tmp_path):
    """A copy of what set-up reads, without an environment."""
    root = tmp_path / "checkout"
    (root / "infra").mkdir(parents=True)
    for name in ("pyproject.toml", "constraints.txt", "infra/__init__.py", "infra/setup.py"):
        shutil.copy(ROOT / name, root / name)
    shutil.copytree(ROOT / "infra" / "horovod", root / "infra" / "horovod", ignore=shutil.ignore_patterns("__pycache__"))
    return root


def set_up(checkout, **environment):
    command = [sys.executable, "-m", "infra.setup"]
    environment = {"PATH": os.environ["PATH"], "HOME": str(checkout.parent), **environment}
    return subprocess.run(command, cwd=checkout, env=environment, capture_output=True, text=True, timeout=60, check=False)


def test_a_missing_compiler_is_told_before_anything_is_installed(checkout, tmp_path):
    done = set_up(checkout, PATH=str(tmp_path / "nothing"), GYRE_ACCELERATOR="cpu")
    assert done.returncode == 1
    assert "Horovod's build needs g++, make, git. On Debian or Ubuntu: sudo apt-get install g++ make git" in done.stderr
    assert not (checkout / ".venv").exists()


def test_a_python_that_is_none_is_told(checkout):
    done = set_up(checkout, GYRE_PYTHON="/nowhere/python3.11")
    assert done.returncode == 1
    assert "Gyre needs python3.11; GYRE_PYTHON=/nowhere/python3.11 is not one" in done.stderr
    assert "sudo apt-get install python3.11 python3.11-venv python3.11-dev" in done.stderr


def test_an_accelerator_that_is_none_is_told(checkout):
    done = set_up(checkout, GYRE_ACCELERATOR="tpu")
    assert done.returncode == 1
    assert "GYRE_ACCELERATOR='tpu': allowed are cpu and cuda" in done.stderr


def test_a_finished_set_up_is_left_alone(checkout, monkeypatch):
    (checkout / ".venv").mkdir()
    for name, path in {"ROOT": checkout, "CONSTRAINTS": checkout / "constraints.txt", "HOROVOD": checkout / "infra" / "horovod"}.items():
        monkeypatch.setattr(setup, name, path)
    (checkout / ".venv" / ".ready").write_text(setup.ingredients("cpu"))
    done = set_up(checkout, GYRE_ACCELERATOR="cpu")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert [path.name for path in (checkout / ".venv").iterdir()] == [".ready"]


def test_any_changed_ingredient_asks_for_another_set_up(checkout, monkeypatch):
    for name, path in {"ROOT": checkout, "CONSTRAINTS": checkout / "constraints.txt", "HOROVOD": checkout / "infra" / "horovod"}.items():
        monkeypatch.setattr(setup, name, path)
    seen = {setup.ingredients("cpu"), setup.ingredients("cuda")}
    horovod = ("infra/horovod/build.py", "infra/horovod/horovod.patch", "infra/horovod/shared_memory.h")
    for name in ("pyproject.toml", "constraints.txt", *horovod):
        with (checkout / name).open("a") as file:
            file.write("\n")
        seen.add(setup.ingredients("cpu"))
    assert len(seen) == 7


def test_an_nvidia_card_is_found_where_its_tool_lists_one(tmp_path, monkeypatch):
    monkeypatch.delenv("GYRE_ACCELERATOR", raising=False)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    tool(tmp_path / "bin", "nvidia-smi", "echo 'GPU 0: NVIDIA H200 (UUID: GPU-1)'")
    assert setup.accelerator() == "cuda"
    tool(tmp_path / "bin", "nvidia-smi", "echo 'No devices were found'; exit 6")
    assert setup.accelerator() == "cpu"
    tool(tmp_path / "bin", "nvidia-smi", "echo 'GPU 0: NVIDIA H200 (UUID: GPU-1)'")
    monkeypatch.setenv("GYRE_ACCELERATOR", "cpu")
    assert setup.accelerator() == "cpu"


def test_uv_is_told_what_pip_was_told(monkeypatch):
    monkeypatch.setenv("PIP_FIND_LINKS", "/one /two")
    monkeypatch.setenv("PIP_INDEX_URL", "https://index.example/simple")
    monkeypatch.delenv("UV_FIND_LINKS", raising=False)
    monkeypatch.delenv("UV_DEFAULT_INDEX", raising=False)
    environment = setup.uv_environment()
    assert environment["UV_FIND_LINKS"] == "/one,/two"
    assert environment["UV_DEFAULT_INDEX"] == "https://index.example/simple"


def test_constraints_pin_every_dependency_and_name_no_address():
    text = (ROOT / "constraints.txt").read_text()
    pins = {line.partition("==")[0] for line in text.splitlines() if "==" in line}
    assert {"torch", "prefect", "onnxruntime", "onnxruntime-gpu", "pytest", "cmake"} <= pins
    assert not any(sign in text for sign in ("://", "+cpu", " @ "))


def test_the_stages_of_ci_are_one_command():
    assert (ROOT / ".ci" / "run").read_text() == "#!/bin/sh\nexec make test\n"
    listed = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for target in ("setup", "lint", "test", "demo", "clean"):
        assert f"make {target} " in listed
