"""What `make fresh` reads and how it ends; a whole run takes an hour and is `make fresh` itself."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from infra import fresh

ROOT = Path(__file__).parents[2]
COMMAND = [sys.executable, "-m", "infra.fresh"]
namespaces = pytest.mark.skipif(os.geteuid() != 0, reason="mounts in a namespace need root")


def tool(folder, name, text):
    """An executable shell script."""
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(f"#!/bin/sh\n{text}\n")
    (folder / name).chmod(0o755)


def test_the_readme_has_one_line_of_apt_and_two_commands():
    assert {"git", "g++", "make", "python3-venv", "python3-dev"} <= set(fresh.apt_line().split())
    assert fresh.readme_commands() == ["make demo", "make test"]


def test_a_command_that_the_readme_does_not_have_is_refused():
    with pytest.raises(fresh.FreshError, match="the README's commands are make demo, make test"):
        fresh.chosen_commands("make dmeo")


def test_where_a_root_cannot_be_made_it_is_skipped_with_the_reason(tmp_path):
    done = subprocess.run(
        COMMAND, cwd=ROOT, env={"PATH": str(tmp_path)}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0
    assert done.stdout.startswith("make fresh is skipped: it needs ")


def test_folders_that_pip_was_told_of_are_found_whatever_their_spelling(tmp_path):
    settings = {
        "find-links": f"{tmp_path} /nowhere",
        "extra-index-url": f"file://{tmp_path}/simple https://index.example/simple",
    }
    assert fresh.local_places(settings) == [tmp_path]


def processes_of(marker):
    """Ids of the processes whose command line holds a text."""
    listed = subprocess.run(["pgrep", "-f", marker], capture_output=True, text=True, check=False).stdout
    return listed.split()


def wait_until(condition):
    deadline = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.1)


@pytest.fixture
def run_that_hangs(tmp_path):
    """A run whose debootstrap mounts something, writes something and never ends."""
    marker = f"sleep {7_000_000 + os.getpid()}"
    tool(
        tmp_path / "bin",
        "debootstrap",
        f'for root; do test -d "$root" && break; done\nmkdir "$root/m"\nmount -t tmpfs m "$root/m"\n{marker}',
    )
    for name in set(fresh.TOOLS) - {"debootstrap"}:
        (tmp_path / "bin" / name).symlink_to(shutil.which(name))
    (tmp_path / "place").mkdir()
    environment = {
        **os.environ,
        "PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}",
        "TMPDIR": str(tmp_path / "place"),
    }
    with subprocess.Popen(COMMAND, cwd=ROOT, env=environment, stdout=subprocess.PIPE) as process:
        wait_until(lambda: processes_of(marker))
        yield process, tmp_path / "place", marker, environment
        process.kill()


@namespaces
@pytest.mark.parametrize("sign", [signal.SIGTERM, signal.SIGINT])
def test_a_run_that_is_ended_leaves_no_root_no_mount_and_no_process(sign, run_that_hangs):
    process, place, marker, _ = run_that_hangs
    assert len(list(place.iterdir())) == 1
    process.send_signal(sign)
    assert process.wait(timeout=120) != 0
    wait_until(lambda: not processes_of(marker))
    assert list(place.iterdir()) == []
    assert str(place) not in Path("/proc/mounts").read_text()


@namespaces
def test_a_run_that_is_killed_leaves_no_process_and_the_next_one_removes_its_root(run_that_hangs):
    process, place, marker, environment = run_that_hangs
    process.kill()
    wait_until(lambda: not processes_of(marker))
    left = next(place.iterdir())
    tool(Path(environment["PATH"].split(":")[0]), "debootstrap", "echo 'E: No such script'; exit 1")
    done = subprocess.run(COMMAND, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "debootstrap bookworm failed:\nE: No such script" in done.stderr
    assert f"Removing {left}, left by a run that was killed" in done.stdout
    assert list(place.iterdir()) == []
