import json
import os
import re
import signal
import socket
import subprocess
import sys
import textwrap
import time
from dataclasses import replace
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import psutil
import pytest
from supervisor import events
from supervisor.loggers import getLogger
from supervisor.options import ServerOptions
from supervisor.states import ProcessStates
from supervisor.supervisord import Supervisor

from infra.home import Home
from infra.progress import wait_for, work
from infra.restart_history import LONGEST_PAUSE_S, Restarts
from infra.services import ServicesError, down, status, up
from infra.services.daemon import LONGEST_SOCKET, PROJECT, Daemon
from infra.services.http import answers, ask, insist, may_change
from infra.services.mlflow_store import make_store
from infra.services.processes import belonging, end, mark
from infra.services.table import Service, launch_command, services

PYTHON = sys.executable


def page(port, **changes):
    """A real little web server as a service."""
    url = f"http://127.0.0.1:{port}"
    command = (PYTHON, "-m", "http.server", str(port), "--bind", "127.0.0.1")
    service = Service(
        "page", "test page", command, partial(answers, url), url, port, "GYRE_TEST_PORT", stop_s=2
    )
    return replace(service, **changes)


def script(folder, name, text, ready):
    """A service that runs a few lines of Python."""
    file = folder / f"{name}.py"
    file.write_text(textwrap.dedent(text))
    return Service(name, f"test {name}", (PYTHON, str(file)), lambda _: ready(), stop_s=1)


@pytest.fixture
def stopped(settings):
    """The installation, whose services are stopped after the test whatever happened in it."""
    yield settings
    down(settings, [])
    end(belonging(settings.home), 1)


def until(condition, what):
    return wait_for(lambda: condition() or None, what, lambda: work([psutil.Process(), *services_alive()]))


def services_alive():
    """Services of any test's home; supervisord is nobody's child."""
    return [process for process in psutil.process_iter() if mark(process)]


def pid_file(settings):
    return settings.home / "services" / "supervisord.pid"


def test_up_returns_when_ready_and_down_leaves_no_process(stopped, free_port):
    table = [page(free_port())]
    said = []
    up(stopped, said.append, table)
    [found] = status(stopped, table)
    assert (found.state, found.healthy, found.url) == ("ready", True, table[0].url)
    assert psutil.pid_exists(found.pid)
    assert any(line.strip().startswith("test page is ready") for line in said)
    down(stopped, table)
    assert belonging(stopped.home) == []
    assert [(each.state, each.healthy, each.pid) for each in status(stopped, table)] == [
        ("stopped", False, None)
    ]


def test_up_twice_keeps_what_runs(stopped, free_port):
    table = [page(free_port())]
    up(stopped, table=table)
    before = status(stopped, table)
    said = []
    begun = time.monotonic()
    up(stopped, said.append, table)
    assert time.monotonic() - begun < 2
    assert said == ["Already up."]
    assert status(stopped, table) == before


def test_other_settings_are_refused_while_services_run(stopped, free_port):
    up(stopped, table=[page(free_port())])
    with pytest.raises(ServicesError, match="run with other settings than these; `gyre down` first"):
        up(stopped, table=[page(free_port())])


def test_down_without_services_does_nothing(settings):
    down(settings)


def test_a_taken_port_is_named_with_its_variable_and_holder(settings, free_port):
    port = free_port()
    with socket.create_server(("127.0.0.1", port)), pytest.raises(ServicesError) as caught:
        up(settings, table=[page(free_port(), name="other"), page(port)])
    assert (
        f"port {port} (test page, GYRE_TEST_PORT) is taken by {psutil.Process().name()} (pid {os.getpid()})"
        in str(caught.value)
    )
    assert "Free it, or set another port" in str(caught.value)
    assert belonging(settings.home) == []


def test_one_port_for_two_services_is_refused(settings, free_port):
    port = free_port()
    with pytest.raises(
        ServicesError, match=rf"port {port} is set for both test page \(GYRE_TEST_PORT\) and second page"
    ):
        up(settings, table=[page(port), page(port, name="second", title="second page")])


def test_a_host_that_is_not_this_machines_is_named(settings, free_port):
    with pytest.raises(ServicesError, match=r"192\.0\.2\.1:\d+.*GYRE_HOST"):
        up(settings.model_copy(update={"host": "192.0.2.1"}), table=[page(free_port())])


def test_a_service_that_fails_is_named_with_the_end_of_its_log_and_the_rest_is_stopped(
    settings, free_port, tmp_path
):
    broken = script(tmp_path, "broken", "raise RuntimeError('no such model')", ready=lambda: False)
    with pytest.raises(ServicesError) as caught:
        up(settings, table=[page(free_port()), broken])
    assert "test broken does not start" in str(caught.value)
    assert "RuntimeError: no such model" in str(caught.value)
    assert str(settings.home / "logs" / "broken.log") in str(caught.value)
    assert belonging(settings.home) == []


def test_a_killed_service_comes_back(stopped, free_port):
    table = [page(free_port())]
    up(stopped, table=table)
    [before] = status(stopped, table)
    os.kill(before.pid, signal.SIGKILL)
    [after] = until(
        lambda: [each for each in status(stopped, table) if each.healthy and each.pid != before.pid],
        "another page",
    )
    assert after.since >= before.since


def test_a_service_that_ends_again_and_again_comes_back_and_its_restarts_are_told(
    stopped, free_port, tmp_path
):
    lacking, port = tmp_path / "lacking", free_port()
    text = f"""
    import http.server, pathlib, sys
    if pathlib.Path({str(lacking)!r}).exists():
        sys.exit("\\x1b[31mthe disk is full\\x00")
    http.server.HTTPServer(("127.0.0.1", {port}), http.server.SimpleHTTPRequestHandler).serve_forever()
    """
    table = [script(tmp_path, "fragile", text, ready=lambda: answers(f"http://127.0.0.1:{port}"))]
    up(stopped, table=table)
    lacking.touch()
    [before] = status(stopped, table)
    assert (before.restarts, before.last_reason) == (0, None)
    os.kill(before.pid, signal.SIGKILL)
    killed = until(lambda: [each for each in status(stopped, table) if each.restarts == 1], "the first end")[
        0
    ]
    assert killed.last_reason == "terminated by SIGKILL"
    down_again = until(
        lambda: [each for each in status(stopped, table) if each.restarts >= 5], "four more ends"
    )[0]
    assert down_again.state in ("restarting", "starting")
    assert down_again.last_reason == "exit status 1"
    assert "the disk is full" in down_again.last_words
    lacking.unlink()
    back = until(lambda: [each for each in status(stopped, table) if each.healthy], "the service")[0]
    assert back.restarts >= 5
    assert before.since <= back.restarting_since < back.last_end <= back.since
    told = (stopped.home / "logs" / "supervisord.log").read_text()
    assert re.search(
        r"fragile ended 5 times since [\d-]+ [\d:]+, now by exit status 1; it starts again in 5 s; its log ends:",
        told,
    )
    assert "the disk is full" in told


def test_up_starts_at_once_what_waits_after_repeated_ends_and_says_when_it_ends_again(
    stopped, free_port, tmp_path
):
    lacking = tmp_path / "lacking"
    text = f"""
    import pathlib, sys, time
    if pathlib.Path({str(lacking)!r}).exists():
        sys.exit("no model")
    time.sleep(600)
    """
    table = [page(free_port()), script(tmp_path, "fragile", text, ready=lambda: not lacking.exists())]
    up(stopped, table=table)
    lacking.touch()
    os.kill(status(stopped, table)[1].pid, signal.SIGKILL)
    until(lambda: status(stopped, table)[1].restarts >= 3, "three ends")
    with pytest.raises(
        ServicesError,
        match=r"test fragile does not start \(it ended 3 times, now by exit status 1\)[^$]*no model",
    ):
        up(stopped, table=table)
    assert status(stopped, table)[0].healthy
    lacking.unlink()
    up(stopped, table=table)
    assert status(stopped, table)[1].healthy


def test_a_pause_between_ends_is_at_most_a_minute(stopped, free_port, monkeypatch):
    daemon = Daemon(stopped, [page(free_port())])
    stopped.home.make(stopped.home.logs)
    daemon.file.write_text(daemon.configuration())
    options = ServerOptions()
    options.realize(["-c", str(daemon.file)])
    supervisord = Supervisor(options)
    options.logger = getLogger()
    process = options.process_group_configs[0].make_group().processes["page"]
    monkeypatch.setattr(events, "callbacks", [])
    Restarts(supervisord)
    process.state, process.backoff = ProcessStates.STARTING, 299
    process.change_state(ProcessStates.BACKOFF)
    assert process.backoff == 300
    assert process.delay - time.time() == pytest.approx(LONGEST_PAUSE_S, abs=5)


def test_what_ignores_sigterm_or_left_its_group_is_ended_too(stopped, tmp_path):
    stubborn = script(
        tmp_path,
        "stubborn",
        f"""
        import pathlib, signal, subprocess, sys, time
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        sleeper = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)"
        subprocess.Popen([sys.executable, "-c", sleeper], start_new_session=True)
        pathlib.Path({str(tmp_path / "started")!r}).touch()
        time.sleep(600)
        """,
        ready=(tmp_path / "started").exists,
    )
    up(stopped, table=[stubborn])
    assert len(belonging(stopped.home)) == 3
    down(stopped, [stubborn])
    assert belonging(stopped.home) == []


def test_after_supervisord_is_killed_status_tells_and_up_clears_away(stopped, free_port):
    table = [page(free_port())]
    up(stopped, table=table)
    [before] = status(stopped, table)
    os.kill(int(pid_file(stopped).read_text()), signal.SIGKILL)
    until(lambda: len(belonging(stopped.home)) == 1, "supervisord's end")
    assert [(each.state, each.healthy) for each in status(stopped, table)] == [("orphaned", False)]
    up(stopped, table=table)
    [after] = status(stopped, table)
    assert after.healthy
    assert before.pid not in [process.pid for process in belonging(stopped.home)]


def test_after_supervisord_is_killed_down_clears_away(stopped, free_port):
    up(stopped, table=[page(free_port())])
    os.kill(int(pid_file(stopped).read_text()), signal.SIGKILL)
    down(stopped)
    assert belonging(stopped.home) == []


def test_an_interrupted_up_stops_what_it_started(settings, free_port, tmp_path):
    def interrupt(line):
        if "ready" in line:
            raise KeyboardInterrupt

    never = script(tmp_path, "never", "import time; time.sleep(600)", ready=lambda: False)
    with pytest.raises(KeyboardInterrupt):
        up(settings, interrupt, [page(free_port()), never])
    assert belonging(settings.home) == []


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_the_foreground_tells_changes_and_stops_everything_when_it_is_ended(
    stopped, free_port, tmp_path, ending
):
    port = free_port()
    foreground = tmp_path / "foreground.py"
    foreground.write_text(
        textwrap.dedent(f"""
        import sys
        sys.path.insert(0, {str(Path(__file__).parent)!r})
        from test_services import page
        from infra.services import follow, up
        from infra.settings import Settings
        table = [page({port})]
        up(Settings(), print, table)
        follow(Settings(), lambda line: print(line, flush=True), table)
        """)
    )
    process = subprocess.Popen(
        [PYTHON, str(foreground)], cwd=PROJECT, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    with process:
        table = [page(port)]
        [found] = until(lambda: [each for each in status(stopped, table) if each.healthy], "the page")
        for line in process.stdout:
            if b"Ctrl-C stops all services" in line:
                break
        os.kill(found.pid, signal.SIGKILL)
        assert b"page:" in process.stdout.readline()
        process.send_signal(ending)
        process.communicate(timeout=120)
    assert process.returncode != 0
    assert belonging(stopped.home) == []


def test_a_home_too_deep_for_a_socket_works(stopped, free_port, tmp_path):
    deep = stopped.model_copy(update={"home": Home(tmp_path / ("deep" * 30) / "home")})
    table = [page(free_port())]
    daemon = Daemon(deep, table)
    assert len(os.fsencode(daemon.socket)) <= LONGEST_SOCKET
    up(deep, table=table)
    try:
        assert status(deep, table)[0].healthy
        assert daemon.socket.parent.stat().st_mode & 0o077 == 0
    finally:
        down(deep, table)
    assert not daemon.socket.exists()
    assert belonging(deep.home) == []


def test_a_home_that_supervisord_cannot_read_is_refused(settings, free_port):
    for name in ("100%", "a ;b", "a #b"):
        with pytest.raises(ServicesError, match="supervisord cannot read a path with"):
            up(settings.model_copy(update={"home": Home(settings.home / name)}), table=[page(free_port())])


def test_services_find_the_users_code_and_the_installation(stopped, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("my_network.py").write_text("WIDTH = 3")
    seen = tmp_path / "seen"
    text = f"""
    import os, pathlib, time, my_network, flows, tasks
    seen = pathlib.Path({str(seen)!r})
    seen.with_name("partial").write_text(os.environ["GYRE_HOME"] + " " + os.environ["MLFLOW_TRACKING_URI"])
    seen.with_name("partial").rename(seen)
    time.sleep(600)
    """
    up(stopped, table=[script(tmp_path, "seer", text, ready=seen.exists)])
    assert seen.read_text() == f"{stopped.home} {stopped.tracking_uri}"


def test_a_launched_service_starts_once_what_it_needs_is_there(stopped, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("late.py").write_text(f"import pathlib\ndef main(): pathlib.Path({str(tmp_path / 'ran')!r}).touch()")
    process = subprocess.Popen(
        launch_command("--nice", "5", "--after", str(tmp_path / "needed"), "late:main"),
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(tmp_path), str(PROJECT)])},
    )
    with process:
        until(
            lambda: (
                process.poll() is not None
                or psutil.Process(process.pid).nice() == psutil.Process().nice() + 5
            ),
            "the launcher",
        )
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.5)
        assert not (tmp_path / "ran").exists()
        (tmp_path / "needed").touch()
        assert process.wait(120) == 0
    assert (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("options", "order"), [((), ["imported", "asked"]), (("--nice", "1"), ["asked", "imported"])]
)
def test_a_service_is_imported_before_it_waits_and_at_low_priority_afterwards(tmp_path, options, order):
    log = tmp_path / "log"
    (tmp_path / "noted.py").write_text(f"open({str(log)!r}, 'a').write('imported ')\ndef main(): pass")

    class Needed(BaseHTTPRequestHandler):
        def do_GET(self):
            with log.open("a") as file:
                file.write("asked ")
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Needed) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        command = launch_command(*options, "--after", f"http://127.0.0.1:{server.server_port}/", "noted:main")
        subprocess.run(
            command,
            env=os.environ | {"PYTHONPATH": os.pathsep.join([str(tmp_path), str(PROJECT)])},
            check=True,
        )
        server.shutdown()
    assert log.read_text().split()[:2] == order


def test_a_service_is_imported_without_collections_and_runs_with_them(tmp_path):
    text = "import gc\nimported = gc.isenabled()\ndef main(): print(imported, gc.isenabled(), gc.get_freeze_count() > 10_000)"
    (tmp_path / "collected.py").write_text(text)
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(tmp_path), str(PROJECT)])}
    told = subprocess.run(
        launch_command("collected:main"), env=environment, check=True, capture_output=True, text=True
    ).stdout
    assert told.split() == ["False", "True", "True"]


def test_every_service_has_a_log_and_all_that_listen_bind_the_host(settings):
    table = services(settings)
    assert [service.name for service in table] == ["prefect", "server", "reports", "mlflow", "runner"]
    assert [service.name for service in table if not service.awaited] == ["mlflow"]
    assert {variable for service in table for _, variable in service.ports} == {
        f"GYRE_{name}_PORT" for name in ("PREFECT", "SERVER", "GRPC", "REPORTS", "MLFLOW")
    }
    for service in table:
        assert service.url is None or service.url.startswith("http://127.0.0.1:")


def test_the_report_pages_serve_the_reports_folder_and_nothing_beside_it(stopped):
    table = [service for service in services(stopped) if service.name == "reports"]
    (stopped.home.make(stopped.home.reports / "digits") / "drift.html").write_text("<h1>drift</h1>")
    (stopped.home / "secret.txt").write_text("secret")
    up(stopped, table=table)

    def asked(path):
        return ask(stopped.reports_url + path, headers=stopped.credential.headers)

    assert asked("/digits/drift.html") == b"<h1>drift</h1>"
    assert b'<a href="./drift.html">' in asked("/digits/")
    assert (
        asked("/../secret.txt")
        is asked("/%2e%2e/secret.txt")
        is asked("/digits/..%2f..%2fsecret.txt")
        is None
    )
    assert not answers(f"{stopped.reports_url}/digits/drift.html")


def test_mlflows_store_is_made_whole_once_and_keeps_artifacts_in_the_home(settings):
    make_store(settings)
    made = settings.home.mlflow_database.stat().st_mtime_ns
    make_store(settings)
    assert settings.home.mlflow_database.stat().st_mtime_ns == made
    code = "import mlflow; print([each.artifact_location for each in mlflow.MlflowClient().search_experiments()])"
    environment = os.environ | settings.environment()
    clients = [
        subprocess.Popen([PYTHON, "-c", code], env=environment, stdout=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    assert [client.communicate(timeout=120)[0].strip() for client in clients] == [
        f"['{settings.home}/mlflow/artifacts/0']"
    ] * 3


def test_a_flow_run_that_ended_with_the_services_does_not_run_for_ever(stopped):
    table = [service for service in services(stopped) if service.name == "prefect"]
    api = f"{stopped.prefect_url}/api"
    up(stopped, table=table)
    headers = may_change(stopped, 60)
    flow = json.loads(insist(f"{api}/flows/", {"name": "cycle"}, within_s=60, headers=headers))
    running = {"flow_id": flow["id"], "state": {"type": "RUNNING"}}
    run = json.loads(insist(f"{api}/flow_runs/", running, within_s=60, headers=headers))
    down(stopped, table)
    up(stopped, table=table)
    ended = json.loads(insist(f"{api}/flow_runs/{run['id']}", within_s=60, headers=headers))
    assert (run["state"]["type"], ended["state"]["type"]) == ("RUNNING", "CRASHED")
    assert "finished stages are reused" in ended["state"]["message"]


def test_a_busy_server_is_asked_again_and_a_silent_one_is_named(stopped):
    class Busy(BaseHTTPRequestHandler):
        answers = iter((503, 503, 200))

        def do_GET(self):
            self.send_response(next(self.answers, 503))
            self.end_headers()
            self.wfile.write(b'{"token": "t"}')

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Busy) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        busy = stopped.model_copy(update={"prefect_port": server.server_port})
        assert may_change(busy, 60)["prefect-csrf-token"] == "t"
        with pytest.raises(
            ServicesError, match=f"{server.server_port}/api/csrf-token has not answered for 1 s"
        ):
            may_change(busy, 1)
        server.shutdown()
