"""What an installation takes before anybody uses it: its start, and what it costs while idle.

.venv/bin/python tests/benchmarks/start.py

A new home on free ports, with the bundled projects. The last line is a JSON object: first_s and next_s
(seconds of `gyre up --detach`, in a new home and again after `gyre down`), down_s, then of the idle
installation: processes, pss_mb (memory; what is shared is divided among those that share it), cores (busy on
average), and services (the same by service).
"""

import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from infra.home import Home
from infra.services.processes import belonging

GYRE = str(Path(sys.executable).with_name("gyre"))
PORTS = ("GYRE_PREFECT_PORT", "GYRE_MLFLOW_PORT", "GYRE_SERVER_PORT", "GYRE_GRPC_PORT", "GYRE_REPORTS_PORT")
SETTLE_S = 60.0
"""MLflow's pages come last, and the first look at production is taken."""
IDLE_S = 120.0
"""Six looks of the digits project."""


def main() -> None:
    """Starts twice, and watches."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder, "home")
        environment = os.environ | ports() | {"GYRE_HOME": str(home)}
        try:
            first = seconds(environment, "up", "--detach")
            down = seconds(environment, "down")
            again = seconds(environment, "up", "--detach")
            wait_for_all(environment)
            time.sleep(SETTLE_S)
            before = cpu_seconds(home)
            time.sleep(IDLE_S)
            after = cpu_seconds(home)
            told = {"first_s": first, "next_s": again, "down_s": down} | idle(
                environment, home, before, after
            )
        finally:
            seconds(environment, "down")
    print(json.dumps(told))


def ports() -> dict[str, str]:
    """A free port for each service."""
    probes = [socket.create_server(("127.0.0.1", 0)) for _ in PORTS]
    found = {name: str(probe.getsockname()[1]) for name, probe in zip(PORTS, probes, strict=True)}
    for probe in probes:
        probe.close()
    return found


def seconds(environment: dict[str, str], *arguments: str) -> float:
    """How long a `gyre` command takes; what it says goes to standard error."""
    begun = time.monotonic()
    subprocess.run([GYRE, *arguments], env=environment, stdout=sys.stderr, check=True)
    return round(time.monotonic() - begun, 1)


def wait_for_all(environment: dict[str, str]) -> None:
    """Until every service is healthy, those too that `up` does not wait for."""
    while subprocess.run(
        [GYRE, "status"], env=environment, stdout=subprocess.DEVNULL, check=False
    ).returncode:
        time.sleep(1)


def cpu_seconds(home: Path) -> dict[int, float]:
    """CPU seconds of every process of the services so far, by pid, with those of its children that have ended."""
    return {process.pid: sum(process.cpu_times()[:4]) for process in belonging(Home(home))}


def idle(
    environment: dict[str, str], home: Path, before: dict[int, float], after: dict[int, float]
) -> dict[str, object]:
    """Processes, memory and busy cores, in all and by service."""
    told = subprocess.run([GYRE, "status", "--json"], env=environment, capture_output=True, check=True).stdout
    names = {service["pid"]: service["name"] for service in json.loads(told)}
    services: dict[str, dict[str, float]] = {}
    processes = belonging(Home(home))
    for process in processes:
        family = [process.pid, *(parent.pid for parent in process.parents())]
        name = next((names[pid] for pid in family if pid in names), "supervisord")
        sums = services.setdefault(name, {"processes": 0, "pss_mb": 0.0, "cores": 0.0})
        sums["processes"] += 1
        sums["pss_mb"] += process.memory_full_info().pss / 1e6
        sums["cores"] += (after.get(process.pid, 0.0) - before.get(process.pid, 0.0)) / IDLE_S
    rounded = {
        name: {"processes": s["processes"], "pss_mb": round(s["pss_mb"]), "cores": round(s["cores"], 4)}
        for name, s in services.items()
    }
    totals = {
        key: round(sum(s[key] for s in services.values()), 3) for key in ("processes", "pss_mb", "cores")
    }
    return totals | {"services": rounded}


if __name__ == "__main__":
    main()
