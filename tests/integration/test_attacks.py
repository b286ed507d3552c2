"""What web pages of elsewhere, other users of the machine and made-up events get from a running installation.

Nothing.

Nothing read, nothing started, nothing labelled; also where the browser knows the password.
"""

import encodings.idna  # noqa: F401, a process that has become nobody cannot read the interpreter's folder
import http.client
import json
import multiprocessing
import os
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from uuid import uuid4

import pyarrow.parquet as pq
import pytest

from infra.settings import Settings
from tasks.records.events import labels
from tests.integration.chromium import PROGRAM, browser
from tests.integration.conftest import run_gyre

needs_chromium = pytest.mark.skipif(PROGRAM is None, reason="no chromium on PATH; apt-get install chromium")
needs_root = pytest.mark.skipif(os.getuid() != 0, reason="only root can act as another user")
NOBODY = 65534
EVIL = "evil.test"
CODE = {"source.reader": "subprocess:check_call"}
INFER = {
    "id": "evil",
    "inputs": [{"name": "image", "shape": [1, 8, 8, 1], "datatype": "UINT8", "data": [9] * 64}],
}
LABEL = {"request_id": "drifted-digits-1200", "label": "3"}

# Each request as a page can send it without asking first (no preflight): what it got, or that it was refused.
SCRIPT = """
(async () => {
  const outcomes = {};
  for (const [name, url, options] of REQUESTS) {
    try {
      const answer = await fetch(url, options);
      outcomes[name] = `${answer.status} ${await answer.text()}`;
    } catch (error) { outcomes[name] = 'refused'; }
    try { await fetch(url, {...options, mode: 'no-cors', credentials: 'include'}); } catch (error) {}
  }
  for (const [name, url] of PICTURES) {
    outcomes[name] = await new Promise(told => {
      const picture = new Image();
      picture.onload = () => told('200 seen'); picture.onerror = () => told('refused'); picture.src = url;
    });
  }
  for (const [name, url, event] of SOCKETS) {
    outcomes[name] = await new Promise(told => {
      const socket = new WebSocket(url, ['prefect']);
      socket.onopen = () => { socket.send('{"type": "auth", "token": null}'); socket.send(event); };
      socket.onmessage = message => told(`200 ${message.data}`);
      socket.onerror = socket.onclose = () => told('refused');
    });
  }
  return outcomes;
})()
"""


@pytest.fixture
def settings(installation):
    ports = {
        f"{name}_port": int(installation.environment[f"GYRE_{name.upper()}_PORT"])
        for name in ("prefect", "mlflow", "server", "reports")
    }
    return Settings(home=installation.home, **ports)


class Witness:
    """What an installation holds that an attack might have changed."""

    def __init__(self, installation):
        self.installation = installation
        self.before = self.look()

    def look(self):
        log = self.installation.home / "predictions" / "digits"
        predictions = [
            pq.read_table(path, columns=["request_id"]) for path in log.rglob("predictions-*.parquet")
        ]
        return {
            "flow runs": sorted(run["id"] for run in self.runs()),
            "events": len(drift_events(self.installation)),
            "labels": sorted(path.name for path in log.rglob("labels-*.parquet")),
            "logged": sum(table["request_id"].to_pylist().count(INFER["id"]) for table in predictions),
        }

    def runs(self):
        asked = {
            "flow_runs": {
                "state": {"type": {"not_any_": ["SCHEDULED"]}},
                "deployment_id": {"is_null_": False},
            },
            "limit": 200,
        }
        return [
            run for run in self.installation.prefect("/flow_runs/filter", asked) if not run["auto_scheduled"]
        ]

    def assert_nothing_happened(self, outcomes):
        assert {
            name: outcome
            for name, outcome in outcomes.items()
            if outcome[:3] not in ("ref", "401", "403", "421")
        } == {}
        assert self.look() == self.before


def drift_events(installation):
    return installation.prefect("/events/filter", {"filter": {"event": {"name": ["gyre.drift.detected"]}}})[
        "events"
    ]


def on_demand(installation):
    return installation.prefect("/deployments/name/cycle/on-demand")["id"]


def forged(episode="digits-99", **more):
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    resource = {"prefect.resource.id": "gyre.model.digits"} | more
    payload = {"project": "digits", "episode": episode}
    return {
        "id": str(uuid4()),
        "event": "gyre.drift.detected",
        "occurred": now,
        "resource": resource,
        "related": [],
        "payload": payload,
    }


def requests(settings, installation, service):
    """(name, path, method, body) of everything worth trying at a service."""
    run = {"parameters": {"project": "digits", "overrides": CODE}, "state": {"type": "SCHEDULED"}}
    return {
        "prefect": [
            ("read deployments", "/api/deployments/filter", "POST", {}),
            ("read runs", "/api/flow_runs/filter", "POST", {}),
            ("start a run", f"/api/deployments/{on_demand(installation)}/create_flow_run", "POST", run),
            ("send an event", "/api/events", "POST", [forged()]),
        ],
        "server": [
            ("label", "/v2/models/digits/labels", "POST", LABEL),
            ("read counts", "/v2/models/digits/stats", "GET", None),
        ],
        "reports": [
            ("read reports", "/digits/", "GET", None),
            ("read a report", "/digits/card.html", "GET", None),
        ],
        "mlflow": [
            ("read experiments", "/ajax-api/2.0/mlflow/experiments/search?max_results=9", "GET", None),
            ("read models", "/api/2.0/mlflow/registered-models/search", "GET", None),
            (
                "write an experiment",
                "/api/2.0/mlflow/experiments/create",
                "POST",
                {"name": f"evil {uuid4()}"},
            ),
        ],
    }[service]


def script(settings, installation, host, services):
    """The page's script: everything that it tries at the services under a host name."""
    asked, pictures, sockets = [], [], []
    for service in services:
        base = f"{host}:{getattr(settings, f'{service}_port')}"
        for name, path, method, body in requests(settings, installation, service):
            options = {"method": method} | ({"body": json.dumps(body)} if body is not None else {})
            asked.append((name, f"http://{base}{path}", options))
        if service == "server":
            asked.append(
                (
                    "ask the model",
                    f"http://{base}/v2/models/digits/infer",
                    {"method": "POST", "body": json.dumps(INFER)},
                )
            )
        if service == "reports":
            picture = next(settings.home.make(settings.home.reports).rglob("*.png")).relative_to(
                settings.home.make(settings.home.reports)
            )
            pictures.append(("show a picture", f"http://{base}/{picture}"))
        if service == "prefect":
            sockets.append(("send an event by socket", f"ws://{base}/api/events/in", json.dumps(forged())))
    named = {"REQUESTS": asked, "PICTURES": pictures, "SOCKETS": sockets}
    text = SCRIPT
    for name, value in named.items():
        text = text.replace(name, json.dumps(value))
    return text


@pytest.fixture
def foreign_page():
    """The address of a page that an attacker serves."""

    class Empty(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Empty) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://{EVIL}:{server.server_port}/"
        server.shutdown()
        thread.join()


SERVICES = ("prefect", "server", "reports", "mlflow")


@needs_chromium
def test_a_page_of_elsewhere_gets_nothing_from_a_browser_that_knows_the_password(
    installation, settings, foreign_page, tmp_path
):
    witness = Witness(installation)
    with browser(tmp_path, f"--host-resolver-rules=MAP {EVIL} 127.0.0.1") as page:
        for port in (settings.mlflow_port, settings.reports_port):
            page.open(f"http://{settings.credential.pair}@127.0.0.1:{port}/")
        assert "digits/" in page.run("document.body.innerText")
        page.open(foreign_page)
        outcomes = page.run(script(settings, installation, "127.0.0.1", SERVICES))
    assert len(outcomes) == 14
    witness.assert_nothing_happened(outcomes)


@needs_chromium
def test_a_name_that_was_made_to_point_here_gets_nothing(installation, settings, tmp_path):
    """A page of evil.test, whose name now means this machine, is of one origin with what it asks."""
    witness, outcomes = Witness(installation), {}
    with browser(tmp_path, f"--host-resolver-rules=MAP {EVIL} 127.0.0.1") as page:
        for service in SERVICES:
            page.open(f"http://{EVIL}:{getattr(settings, f'{service}_port')}/")
            assert "is no name of this server" in page.run("document.body.innerText")
            outcomes |= page.run(script(settings, installation, EVIL, [service]))
    assert len(outcomes) == 14
    witness.assert_nothing_happened(outcomes)


def as_nobody(home, asked):
    """Runs in a process of its own.

    What another user of the machine can open below the home, and what the services answer him.
    """
    os.setgroups([])
    os.setgid(NOBODY)
    os.setuid(NOBODY)
    seen = [
        str(path) for path in (home, home / "credentials", home / "predictions") if os.access(path, os.R_OK)
    ]
    outcomes = {}
    for port, name, path, method, body in asked:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        text = None if body is None else json.dumps(body)
        connection.request(method, path, text, {"content-type": "application/json"})
        answer = connection.getresponse()
        outcomes[name] = f"{answer.status} {answer.read().decode()[:200]}"
    return seen, outcomes


@needs_root
def test_another_user_of_the_machine_gets_nothing(installation, settings):
    witness = Witness(installation)
    asked = [
        (getattr(settings, f"{s}_port"), *each)
        for s in SERVICES
        for each in requests(settings, installation, s)
    ]
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        seen, outcomes = pool.apply(as_nobody, (installation.home, asked))
    assert seen == []
    witness.assert_nothing_happened(outcomes)
    assert installation.home.stat().st_mode & 0o077 == 0, (
        "below a closed folder nothing can be reached, whatever its mode"
    )


def test_no_log_process_or_run_tells_the_password(installation, settings):
    password = settings.credential.password.encode()
    logs = [path for path in (installation.home / "logs").iterdir() if password in path.read_bytes()]
    lines = [
        process.cmdline()
        for process in installation.processes()
        if settings.credential.password in " ".join(process.cmdline())
    ]
    assert (logs, lines) == ([], [])
    assert password not in json.dumps(installation.prefect("/flow_runs/filter", {"limit": 200})).encode()
    assert password not in json.dumps(installation.prefect("/deployments/filter", {})).encode()
    assert password not in (installation.home / "services" / "supervisord.conf").read_bytes()


def test_an_installation_with_another_credential_is_told_so(installation, tmp_path):
    done = run_gyre(installation.environment | {"GYRE_HOME": str(tmp_path)}, "drift", "digits", check=False)
    assert done.returncode == 1
    assert f"does not take the credential of {tmp_path}: it is another installation's" in done.stderr.replace(
        "\n", " "
    )
    assert "Traceback" not in done.stderr


def test_a_run_that_the_command_did_not_sign_names_no_code(installation, tmp_path):
    evil = tmp_path / "evil.yaml"
    evil.write_text("name: evil\n")
    wanted = [{"project": "digits", "overrides": CODE}, {"project": str(evil)}]
    run = f"/deployments/{on_demand(installation)}/create_flow_run"
    started = [
        installation.prefect(run, {"parameters": each, "state": {"type": "SCHEDULED"}})["id"]
        for each in wanted
    ]
    messages = [ended(installation, each)["state"]["message"] for each in started]
    assert "overrides: 'source.reader' can name code or files" in messages[0]
    assert "takes a project of" in messages[1]
    assert all("start it with `gyre run PROJECT --set KEY=VALUE`" in message for message in messages)


def ended(installation, run):
    deadline = time.monotonic() + 240
    while (found := installation.prefect(f"/flow_runs/{run}"))["state_type"] not in (
        "COMPLETED",
        "FAILED",
        "CRASHED",
        "CANCELLED",
    ):
        assert time.monotonic() < deadline, found["state"]
        time.sleep(1)
    return found


def test_a_drift_event_that_was_made_up_starts_no_run(installation, settings):
    """Also of somebody who may send events.

    One with the signature follows, whose run tells that the others were looked at.
    """
    before = {run["id"] for run in answering(installation)}
    signed = labels("digits", settings.credential)
    wrong = [
        {},
        {"gyre.signature": "0" * 64},
        {"gyre.signature": labels("mnist", settings.credential)["gyre.signature"]},
    ]
    installation.prefect(
        "/events", [*(forged(**label) for label in wrong), forged("digits-signed", **signed)]
    )
    deadline = time.monotonic() + 240
    while not (new := [run for run in answering(installation) if run["id"] not in before]):
        assert time.monotonic() < deadline, "the signed event started no run"
        time.sleep(0.5)
    assert [run["parameters"]["episode"] for run in new] == ["digits-signed"]
    assert ended(installation, new[0]["id"])["state"]["message"] == "digits-signed is answered by another run"


def answering(installation):
    return installation.prefect(
        "/flow_runs/filter", {"deployments": {"name": {"any_": ["digits-on-drift"]}}, "limit": 200}
    )
