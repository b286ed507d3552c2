"""Which Python set-up goes on in, each decision with real processes."""

import os
import sys
from pathlib import Path

import pytest

from infra import interpreter
from infra.installer import SetupError

UV = Path(sys.executable).with_name("uv")


def tool(folder, name, text):
    """An executable shell script."""
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(f"#!/bin/sh\n{text}\n")
    (folder / name).chmod(0o755)


@pytest.fixture
def old_python(monkeypatch):
    """This Python is not a supported one."""
    monkeypatch.delenv("GYRE_PYTHON", raising=False)
    monkeypatch.setattr(interpreter, "SUPPORTED", ((3, 96), (3, 97), (3, 98)))


def test_the_running_python_is_taken_where_it_is_supported(monkeypatch):
    monkeypatch.delenv("GYRE_PYTHON", raising=False)
    assert interpreter.supported_python() == sys.executable


def test_a_python_on_path_is_taken_where_it_runs(old_python, tmp_path, monkeypatch):
    tool(tmp_path / "bin", "python3.96", "echo 'python3.96: command not found' >&2; exit 127")
    tool(tmp_path / "bin", "python3.97", "echo 3 97")
    tool(tmp_path / "bin", "python3.98", "echo 3 98")
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    assert interpreter.supported_python() == str(tmp_path / "bin" / "python3.97")


def test_a_named_python_that_is_not_supported_is_told_with_what_to_do(old_python, monkeypatch):
    monkeypatch.setenv("GYRE_PYTHON", sys.executable)
    with pytest.raises(SetupError) as caught:
        interpreter.supported_python()
    assert f"Gyre needs Python 3.96, 3.97 or 3.98; GYRE_PYTHON={sys.executable} is not one" in str(
        caught.value
    )


def test_where_no_python_fits_and_none_can_be_fetched_every_way_out_is_told(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", f"{UV.parent}:/usr/bin:/bin")
    monkeypatch.setenv("UV_PYTHON_INSTALL_DIR", str(tmp_path / "pythons"))
    monkeypatch.setenv("UV_PYTHON_INSTALL_MIRROR", "http://127.0.0.1:9/pythons")
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "cache"))
    with pytest.raises(SetupError) as caught:
        interpreter.python_from_uv()
    said = str(caught.value)
    assert "Gyre needs Python 3.11, 3.12 or 3.13" in said
    assert "sudo apt-get install python3 python3-venv python3-dev" in said
    assert "GYRE_PYTHON=/path/to/python make setup" in said
    assert "UV_PYTHON_INSTALL_MIRROR=" in said
    assert not list(Path(os.environ["UV_PYTHON_INSTALL_DIR"]).glob("cpython*"))
