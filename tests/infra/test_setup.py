"""Set-up's decisions and messages, each in a process of its own as `make` runs it.

A set-up from nothing is too long for a test.
"""

import os
import shutil
import subprocess
import sys
import sysconfig
import tomllib
from pathlib import Path

import pytest
from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from infra import setup
from infra.horovod import build
from infra.interpreter import SUPPORTED

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
    modules = ("infra/__init__.py", "infra/setup.py", "infra/installer.py", "infra/interpreter.py")
    for name in ("pyproject.toml", "constraints.txt", *modules):
        shutil.copy(ROOT / name, root / name)
    shutil.copytree(
        ROOT / "infra" / "horovod", root / "infra" / "horovod", ignore=shutil.ignore_patterns("__pycache__")
    )
    return root


def set_up(checkout, **environment):
    command = [sys.executable, "-m", "infra.setup"]
    # The user's own pip settings must not decide what a test sees.
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(checkout.parent),
        "PIP_CONFIG_FILE": os.devnull,
        **environment,
    }
    return subprocess.run(
        command, cwd=checkout, env=environment, capture_output=True, text=True, timeout=60, check=False
    )


def test_a_missing_compiler_is_told_before_anything_is_installed(checkout, tmp_path):
    done = set_up(checkout, PATH=str(tmp_path / "nothing"), GYRE_ACCELERATOR="cpu")
    assert done.returncode == 1
    assert (
        "Horovod's build needs g++, make, git. On Debian or Ubuntu: sudo apt-get install g++ make git"
        in done.stderr
    )
    assert not (checkout / ".venv").exists()


def test_missing_headers_are_told_with_the_package_that_has_them(tmp_path, monkeypatch):
    monkeypatch.setattr(sysconfig, "get_path", lambda name: str(tmp_path))
    with pytest.raises(build.BuildError) as caught:
        build.require_tools("cpu")
    assert f"needs the headers of Python ({tmp_path}/Python.h)" in str(caught.value)
    assert "sudo apt-get install python{}.{}-dev".format(*sys.version_info) in str(caught.value)


def test_an_index_that_does_not_answer_is_told_by_name(checkout):
    address = "http://user:secret@127.0.0.1:9/simple"
    done = set_up(checkout, PIP_INDEX_URL=address, PIP_RETRIES="0", GYRE_ACCELERATOR="cpu")
    assert done.returncode == 1
    assert "The package index could not be reached. Asked were: http://***@127.0.0.1:9/simple" in done.stderr
    assert "Behind a proxy set HTTPS_PROXY" in done.stderr
    assert "secret" not in done.stdout + done.stderr


def make_environment(folder, monkeypatch):
    """A virtual environment with pip in `folder`, which set-up takes for its own."""
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    for name, path in {
        "VENV": folder,
        "PYTHON": folder / "bin" / "python",
        "STAMP": folder / ".ready",
    }.items():
        monkeypatch.setattr(setup, name, path)
    monkeypatch.setattr(setup, "INSTALLING", folder / ".installing")


def test_an_environment_is_built_on_where_it_is_whole_and_only_there(tmp_path, monkeypatch):
    make_environment(tmp_path / ".venv", monkeypatch)
    assert setup.is_whole()
    (tmp_path / ".venv" / ".installing").touch()
    assert not setup.is_whole()  # an installation into it was interrupted
    (tmp_path / ".venv" / ".installing").unlink()
    (tmp_path / ".venv" / ".ready").write_text('{"root": "/elsewhere"}')
    assert not setup.is_whole()  # it was made for another checkout
    (tmp_path / ".venv" / ".ready").unlink()
    assert setup.is_whole()
    shutil.rmtree(next((tmp_path / ".venv" / "lib").glob("python*/site-packages/pip")))
    assert not setup.is_whole()  # its pip is half there


def test_an_environment_whose_python_vanished_is_not_ready_and_not_built_on(tmp_path, monkeypatch):
    make_environment(tmp_path / ".venv", monkeypatch)
    setup.STAMP.write_text(setup.ingredients("cpu"))
    assert setup.ready("cpu")
    setup.PYTHON.unlink()
    setup.PYTHON.symlink_to("/usr/bin/python3.0")
    assert not setup.ready("cpu")
    assert not setup.is_whole()


def test_an_accelerator_that_is_none_is_told(checkout):
    done = set_up(checkout, GYRE_ACCELERATOR="tpu")
    assert done.returncode == 1
    assert "GYRE_ACCELERATOR='tpu': allowed are cpu and cuda" in done.stderr


def test_a_finished_set_up_is_left_alone(checkout, monkeypatch):
    (checkout / ".venv" / "bin").mkdir(parents=True)
    (checkout / ".venv" / "bin" / "python").symlink_to(sys.executable)
    for name, path in {
        "ROOT": checkout,
        "CONSTRAINTS": checkout / "constraints.txt",
        "HOROVOD": checkout / "infra" / "horovod",
    }.items():
        monkeypatch.setattr(setup, name, path)
    (checkout / ".venv" / ".ready").write_text(setup.ingredients("cpu"))
    done = set_up(checkout, GYRE_ACCELERATOR="cpu")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert sorted(path.name for path in (checkout / ".venv").iterdir()) == [".ready", "bin"]


def test_any_changed_ingredient_asks_for_another_set_up(checkout, monkeypatch):
    for name, path in {
        "ROOT": checkout,
        "CONSTRAINTS": checkout / "constraints.txt",
        "HOROVOD": checkout / "infra" / "horovod",
    }.items():
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


def test_constraints_pin_every_dependency_and_name_no_address():
    text = (ROOT / "constraints.txt").read_text()
    pins = {line.partition("==")[0] for line in text.splitlines() if "==" in line}
    assert {"torch", "prefect", "onnxruntime", "onnxruntime-gpu", "pytest", "cmake"} <= pins
    assert not any(sign in text for sign in ("://", "+cpu", " @ "))


@pytest.mark.parametrize("torch", ["", "index"])
def test_where_torchs_own_index_does_not_answer_the_other_ways_are_told(torch, tmp_path, monkeypatch):
    make_environment(tmp_path / ".venv", monkeypatch)
    (tmp_path / ".venv" / "bin" / "uv").symlink_to(Path(sys.executable).with_name("uv"))
    for name in ("PIP_FIND_LINKS", "UV_FIND_LINKS"):
        monkeypatch.delenv(name, raising=False)
    settings = {
        "PIP_CONFIG_FILE": os.devnull,
        "UV_OFFLINE": "1",
        "UV_CACHE_DIR": str(tmp_path / "cache"),
        "GYRE_TORCH": torch,
    }
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(setup.SetupError) as caught:
        setup.install_dependencies("cpu")
    assert ("--torch-backend cpu" in str(caught.value)) == (torch == "")
    assert ("GYRE_TORCH=index make setup" in str(caught.value)) == (torch == "")
    assert str(caught.value).endswith("The same command tries again")
    assert not setup.is_whole()  # what was begun is not built on


@pytest.mark.parametrize("version", SUPPORTED)
def test_constraints_pin_every_direct_dependency_once_for_each_supported_python(version):
    python = "{}.{}".format(*version)
    environment = {**default_environment(), "python_version": python, "python_full_version": f"{python}.9"}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert version in {
        (3, minor) for minor in range(20) if f"3.{minor}.9" in SpecifierSet(project["requires-python"])
    }
    pinned = [Requirement(line) for line in (ROOT / "constraints.txt").read_text().splitlines()]
    names = [
        canonicalize_name(pin.name) for pin in pinned if not pin.marker or pin.marker.evaluate(environment)
    ]
    wanted = [
        *project["dependencies"],
        *(line for extra in ("cpu", "dev", "build") for line in project["optional-dependencies"][extra]),
    ]
    for name in {canonicalize_name(Requirement(line).name) for line in wanted} - {"gyre"}:
        assert names.count(name) == 1, name


def test_the_stages_of_ci_are_one_command():
    assert (ROOT / ".ci" / "run").read_text() == "#!/bin/sh\nexec make test\n"
    listed = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for target in ("setup", "lint", "test", "demo", "clean"):
        assert f"make {target} " in listed


def test_the_builds_log_tells_how_far_it_is():
    log = "-- Configuring\n[  5%] Building CXX object third_party/gloo/CMakeFiles/gloo.dir/pair.cc.o\n[  7%] Linking CXX static library x.a\n"
    assert build.progress("-- Configuring\n") == "configuring"
    assert build.progress(log) == "5 %, pair.cc"


@pytest.mark.skipif(os.geteuid() != 0, reason="a host name of its own needs root")
def test_the_trial_of_horovod_runs_where_the_machines_name_does_not_resolve():
    named = ["unshare", "--uts", "sh", "-c", 'hostname nowhere.invalid && exec "$@"', "sh"]
    done = subprocess.run(
        [*named, sys.executable, "-c", setup.TRIAL], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
