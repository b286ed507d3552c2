"""One real installation for the whole folder: the demo is played in it and leaves its services running."""

import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest
from prefect.client.orchestration import SyncPrefectClient

from infra.progress import Patience, work
from infra.settings import Settings

GYRE = str(Path(sys.executable).with_name("gyre"))
POLL_S = 0.1
DATA = Path(os.environ.get("GYRE_DATA", Path(__file__).parents[3] / "shared" / "data"))
"""Real data sets; what needs them is skipped where they are not."""


@dataclass(frozen=True)
class Installation:
    home: Path
    environment: dict[str, str]
    report: dict[str, Any]

    def gyre(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        return run_gyre(self.environment, *arguments, check=check)

    def prefect(self, path: str, body: dict[str, Any] | None = None) -> Any:
        """What Prefect answers to a GET, or to a POST of a body.

        Its own client asks again while the server is busy.
        """
        settings = Settings(home=self.home, prefect_port=int(self.environment["GYRE_PREFECT_PORT"]))
        with SyncPrefectClient(f"{settings.prefect_url}/api", auth_string=settings.credential.pair) as client:
            response = client.request("GET" if body is None else "POST", path, json=body)
        return response.json() if response.content else None

    def start_gyre(self, *arguments: str) -> subprocess.Popen[str]:
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        return subprocess.Popen([GYRE, *arguments], env=os.environ | self.environment, **pipes)

    def processes(self) -> list[psutil.Process]:
        return processes_of(self.home)

    def patience(self) -> Patience:
        """For a wait that lasts as long as anything of the installation is at work."""
        return Patience(lambda: work(self.processes()))


def run_gyre(
    environment: dict[str, str], *arguments: str, check: bool = True, cwd: Path | None = None
) -> subprocess.CompletedProcess[str]:
    done = run_while_it_moves([GYRE, *arguments], environment, cwd)
    if check and done.returncode:
        pytest.fail(
            f"gyre {' '.join(arguments)} ended with {done.returncode}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
        )
    return done


def run_while_it_moves(
    command: list[str], environment: dict[str, str], cwd: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """Runs a command to its end.

    It is killed, and the test fails, once neither it nor the installation's services move any more.
    """
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as error:
        process = subprocess.Popen(command, env=os.environ | environment, stdout=out, stderr=error, cwd=cwd)
        with process:
            own = psutil.Process(process.pid)
            patience = Patience(lambda: work([own, *processes_of(Path(environment["GYRE_HOME"]))]))
            while process.poll() is None:
                if patience.has_run_out():
                    process.kill()
                time.sleep(POLL_S)
        texts = []
        for file in (out, error):
            file.seek(0)
            texts.append(file.read())
    if patience.has_run_out():
        pytest.fail(f"{' '.join(command)} does not move any more\n{texts[0][-3000:]}\n{texts[1][-3000:]}")
    return subprocess.CompletedProcess(command, process.returncode, *texts)


def processes_of(home: Path) -> list[psutil.Process]:
    """Every live process whose environment names the home."""
    found = []
    for process in psutil.process_iter():
        try:
            if (
                process.environ().get("GYRE_HOME", "").startswith(str(home))
                and process.status() != psutil.STATUS_ZOMBIE
            ):
                found.append(process)
        except (psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess):
            continue
    return found


def free_ports(count: int) -> list[int]:
    probes = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [probe.getsockname()[1] for probe in probes]
    for probe in probes:
        probe.close()
    return ports


@pytest.fixture(scope="session")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    base = tmp_path_factory.mktemp("gyre")
    names = (
        "GYRE_PREFECT_PORT",
        "GYRE_MLFLOW_PORT",
        "GYRE_SERVER_PORT",
        "GYRE_GRPC_PORT",
        "GYRE_REPORTS_PORT",
    )
    environment = {name: str(port) for name, port in zip(names, free_ports(len(names)), strict=True)} | {
        "GYRE_HOME": str(base),
        "GYRE_DATA": str(DATA),
    }
    try:
        report = json.loads(run_gyre(environment, "demo", "--keep", "--json").stdout)
        home = base / "demo"
        installed = Installation(home, environment | {"GYRE_HOME": str(home)}, report)
        # The demo's drift flow, each 20 s, has shown what it can: from here on it would only slow the tests
        # down.
        drift = installed.prefect("/deployments/name/drift/digits")["id"]
        installed.prefect(f"/deployments/{drift}/pause_deployment", {})
        yield installed
    finally:
        run_gyre(environment | {"GYRE_HOME": str(base / "demo")}, "down", check=False)
        left = processes_of(base)
        for process in left:
            process.kill()
        assert not left, f"left behind by `gyre down`: {left}"
