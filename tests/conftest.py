"""What every test may use.

Free ports, a home of its own, and a look for processes that a module left behind.
"""

import atexit
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest.mock import patch

import psutil
import pytest
from xdist.scheduler import LoadScopeScheduling

from infra.services.mlflow_store import make_store
from infra.services.processes import mark
from infra.settings import Settings

GRACE_S = 10
ROOT = Path(__file__).parents[1]
INTEGRATION = "tests/integration/"
# pytest's closing line stays the last: DuckDB's binding counts its references on stderr when Python ends.
atexit.register(lambda: os.dup2(os.open(os.devnull, os.O_WRONLY), 2))
# A shell's background jobs ignore Ctrl-C, under nohup a closed terminal too, and what they start would do the
# same: tests mean it.
for ignored, usual in ((signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, signal.SIG_DFL)):
    if signal.getsignal(ignored) is signal.SIG_IGN:
        signal.signal(ignored, usual)
# These live as long as the Python process that uses multiprocessing, and end with it.
LIFELONG = ("multiprocessing.resource_tracker", "multiprocessing.forkserver", "loky.backend.resource_tracker")


@pytest.fixture
def free_port() -> Callable[[], int]:
    """Gives ports of the loopback that nobody uses; each call another one."""
    given: set[int] = set()

    def find() -> int:
        while True:
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", 0))
                port = probe.getsockname()[1]
            if port not in given:
                given.add(port)
                return port

    return find


@pytest.fixture(autouse=True)
def same_environment() -> Iterator[None]:
    """What a test calls may put an installation's environment in force, as the `gyre` command does.

    The next test is not in it.
    """
    with patch.dict(os.environ):
        yield


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free_port: Callable[[], int]) -> Settings:
    """An installation in the test's own folder, on free ports; the environment says so too."""
    monkeypatch.setenv("GYRE_HOME", str(tmp_path / "home"))
    for service in ("PREFECT", "MLFLOW", "SERVER", "GRPC", "REPORTS"):
        monkeypatch.setenv(f"GYRE_{service}_PORT", str(free_port()))
    return Settings()


@pytest.fixture(scope="session")
def empty_mlflow(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """MLflow's tables without a row: making them takes seconds."""
    home = tmp_path_factory.mktemp("mlflow")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GYRE_HOME", str(home))
        settings = Settings()
    make_store(settings)
    return settings.home.mlflow_database


@pytest.fixture
def with_mlflow(settings: Settings, empty_mlflow: Path) -> Settings:
    """An installation whose MLflow store is there."""
    settings.home.mlflow_database.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(empty_mlflow, settings.home.mlflow_database)
    return settings


@pytest.fixture(scope="module", autouse=True)
def no_child_is_left(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fails the module that leaves a child process behind, naming it."""
    before = set(children())
    yield
    _, alive = psutil.wait_procs(set(children()) - before, timeout=GRACE_S)
    if left := told(alive):
        pytest.fail(f"{request.node.name} left behind: {left}")


@pytest.fixture(scope="session", autouse=True)
def no_service_is_left(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Fails the session where services of a test's home live on in the background.

    A guardian ends them, also where pytest is killed.
    """
    base = str(tmp_path_factory.getbasetemp())
    command = [sys.executable, "-m", "tests.guardian", base]
    # A session of its own, so that Ctrl-C ends pytest and not the guardian.
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, start_new_session=True):
        yield
        left = told(process for process in psutil.process_iter() if (mark(process) or "").startswith(base))
    if left:
        pytest.fail(f"services left behind: {left}")


def children() -> list[psutil.Process]:
    """Every process that this one started, directly or not, and that should end with its test."""
    found = []
    for process in psutil.Process(os.getpid()).children(recursive=True):
        try:
            line = " ".join(process.cmdline())
            lives = process.status() != psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            continue
        if lives and not any(name in line for name in LIFELONG):
            found.append(process)
    return found


def told(processes: Iterator[psutil.Process] | list[psutil.Process]) -> list[str]:
    """Processes by pid and command, for a message."""
    lines = []
    for process in processes:
        try:
            lines.append(f"{process.pid} {' '.join(process.cmdline())[:160]}")
        except psutil.NoSuchProcess:
            continue
    return lines


def pytest_configure(config: pytest.Config) -> None:
    """Gives Prefect a home of this session's own.

    A stage's result of another session is none of this one, and the user's home stays as it is.
    """
    home = tempfile.mkdtemp(prefix="gyre-tests-prefect-")
    os.environ["PREFECT_HOME"] = home
    config.add_cleanup(lambda: shutil.rmtree(home, ignore_errors=True))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """One of the processes that share the tests (make test) begins with tests/integration, whose one installation runs to the end.

    A single process runs them last, so that the others do not share the machine with it.
    """
    items.sort(key=lambda item: "integration" in item.path.parts, reverse=hasattr(config, "workerinput"))


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadScopeScheduling:
    """Processes share the tests by file; those of tests/integration stay together."""
    return ByFile(config, log)


class ByFile(LoadScopeScheduling):
    """See above."""

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        return INTEGRATION if file.startswith(INTEGRATION) else file
