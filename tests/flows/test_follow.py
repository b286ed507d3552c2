"""A run can be followed for as long as it takes, left, found again and cancelled.

On a real Prefect server, in a real terminal.
"""

import os
import pty
import re
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlparse

import pytest
from prefect import flow, task
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import StateType
from prefect.settings import PREFECT_API_URL
from prefect.states import Cancelled, Completed, Running, Scheduled
from prefect.testing.utilities import prefect_test_harness
from rich.console import Console

from flows.attend import where_time_went
from flows.errors import RunError
from flows.follow import follow
from flows.runs import cancel, find, recent

GYRE = str(Path(sys.executable).with_name("gyre"))
DEADLINE_S = 120


@pytest.fixture(scope="module")
def port():
    with prefect_test_harness(server_startup_timeout=120):
        yield urlparse(PREFECT_API_URL.value()).port


@flow
def cycle(project: str):
    """Stands for a project's cycle."""


@pytest.fixture
def run(port):
    """Makes flow runs of a project whose states the test sets."""

    def make(project="bike_sharing", state=None):
        with get_client(sync_client=True) as client:
            return client.create_flow_run(cycle, parameters={"project": project}, state=state or Running())

    return make


def set_state(run_id, state):
    with get_client(sync_client=True) as client:
        client.set_flow_run_state(run_id, state, force=True)


def state_of(run_id):
    with get_client(sync_client=True) as client:
        return client.read_flow_run(run_id).state.type


def environment(tmp_path, port):
    own = {
        "GYRE_HOME": str(tmp_path / "home"),
        "GYRE_PREFECT_PORT": str(port),
        "TERM": "xterm",
        "COLUMNS": "200",
    }
    return {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")} | own


class Followed:
    """`gyre follow` as a process, at a terminal of its own or writing to a pipe."""

    def __init__(self, environment, *arguments, terminal):
        self.output = b""
        if terminal:
            self.reading, inner = pty.openpty()
            kinds = {"stdin": inner, "stdout": inner, "stderr": inner}
        else:
            self.reading, inner = os.pipe()
            kinds = {"stdin": subprocess.DEVNULL, "stdout": inner, "stderr": inner}
        self.process = subprocess.Popen(
            [GYRE, "follow", *arguments], env=environment, start_new_session=True, **kinds
        )
        os.close(inner)

    def until(self, text):
        """Waits for a text; gives what was written so far."""
        deadline = time.monotonic() + DEADLINE_S
        while text not in self.text():
            assert time.monotonic() < deadline, self.text()[-2000:]
            if select.select([self.reading], [], [], 1)[0]:
                try:
                    read = os.read(self.reading, 65536)
                except OSError:  # a terminal whose process has ended
                    read = b""
                assert read or text in self.text(), self.text()[-2000:]
                self.output += read
        return self.text()

    def text(self):
        return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", self.output.decode(errors="replace"))

    def wait_for_reading(self):
        """Waits until the process sleeps in a read of its terminal, or for a while where the kernel does not tell."""
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            time.sleep(0.1)
            with suppress(OSError):
                number, *arguments = Path(f"/proc/{self.process.pid}/syscall").read_text().split()
                # read() has the number 0 on x86-64 and 63 on ARM.
                if number in ("0", "63") and arguments[:1] == ["0x0"]:
                    return

    def type(self, text):
        os.write(self.reading, text.encode())

    def interrupt(self):
        self.process.send_signal(signal.SIGINT)


@pytest.fixture
def followed(port, tmp_path):
    started = []

    def start(*arguments, terminal, through=None):
        started.append(Followed(environment(tmp_path, through or port), *arguments, terminal=terminal))
        return started[-1]

    yield start
    for each in started:
        each.process.kill()
        each.process.wait()
        os.close(each.reading)


def test_in_a_file_each_stage_has_a_line_as_it_begins_and_one_as_it_ends(port, tmp_path):
    @task(name="ingest")
    def ingest():
        return 1

    @task(name="train")
    def train():
        raise ValueError("no rows\nat all")

    @flow
    def stages(project: str):
        ingest()
        train()

    state = stages("wine", return_state=True)
    with (tmp_path / "log").open("w") as file:
        ended = follow(state.state_details.flow_run_id, Console(file=file, width=80), "cycle wine")
    assert ended.state.is_failed()
    lines = [re.sub(r"[0-9.]+ s", "N s", line[9:]) for line in (tmp_path / "log").read_text().splitlines()]
    short = str(ended.id)[:8]
    assert lines == [
        "ingest: started",
        "ingest: done in N s",
        "train: started",
        "train: failed after N s: Task run encountered an exception ValueError: no rows",
        f"cycle wine, run {short}: failed",
    ]


def test_an_interrupt_without_a_terminal_leaves_the_run_and_says_how_to_go_on(run, followed):
    made = run()
    view = followed("bike_sharing", terminal=False)
    view.until("running")
    view.interrupt()
    short = str(made.id)[:8]
    view.until(f"Left: the run goes on. `gyre follow {short}` picks it up, `gyre cancel {short}` ends it.")
    assert view.process.wait(DEADLINE_S) == 130
    assert state_of(made.id) == StateType.RUNNING
    assert "Traceback" not in view.text()


def test_ctrl_c_at_a_terminal_asks_and_cancels_when_told_to(run, followed):
    made = run()
    view = followed(str(made.id)[:10], terminal=True)
    view.until("Running")
    view.interrupt()
    view.until("[l]eave the run going, [c]ancel it, or Enter to go on watching:")
    assert state_of(made.id) == StateType.RUNNING
    view.type("c\n")
    view.until("Asked to cancel: the runner ends it within seconds.")
    assert state_of(made.id) == StateType.CANCELLING
    set_state(made.id, Cancelled())
    view.until("ended as cancelled")
    assert view.process.wait(DEADLINE_S) == 1


def test_a_second_ctrl_c_leaves_the_run_and_says_so(run, followed):
    made = run()
    view = followed(str(made.id), terminal=True)
    view.until("Running")
    view.interrupt()
    view.until("Enter to go on watching:")
    # An interrupt between the question and the wait for its answer is heard with the next key only.
    view.wait_for_reading()
    view.interrupt()
    view.until("Left: the run goes on.")
    assert view.process.wait(DEADLINE_S) == 130
    assert state_of(made.id) == StateType.RUNNING


def test_enter_goes_on_watching_to_the_end(run, followed):
    made = run()
    view = followed(str(made.id), terminal=True)
    view.until("Running")
    view.interrupt()
    view.until("Enter to go on watching:")
    view.type("\n")
    set_state(made.id, Completed(message="accuracy 0.9512 (0.9000 to 0.9700) by int8"))
    view.until("accuracy 0.9512 (0.9000 to 0.9700) by int8")
    assert view.process.wait(DEADLINE_S) == 0


def test_a_refused_run_has_an_exit_code_of_its_own_and_is_told_calmly(run, followed):
    made = run()
    set_state(
        made.id,
        Cancelled(
            name="Refused",
            message="the gate refuses the model:\n- fp32: score 0.8 is under gate.min_score 0.9",
        ),
    )
    view = followed(str(made.id), terminal=False)
    assert view.process.wait(DEADLINE_S) == 3
    text = view.until("- fp32: score 0.8 is under gate.min_score 0.9")
    assert "is refused, which is a result: the gate refuses the model:" in text


class Line:
    """A connection to a server that can be cut: forwards a port of its own while it is open."""

    def __init__(self, port, own):
        self.port, self.own = port, own
        self.sockets = []

    def open(self):
        self.listening = socket.create_server(("127.0.0.1", self.own))
        threading.Thread(target=self.accept, args=(self.listening,), daemon=True).start()

    def accept(self, listening):
        while True:
            try:
                near, _ = listening.accept()
                far = socket.create_connection(("127.0.0.1", self.port))
            except OSError:
                return
            self.sockets += [near, far]
            for one, other in ((near, far), (far, near)):
                threading.Thread(target=self.forward, args=(one, other), daemon=True).start()

    def forward(self, one, other):
        with suppress(OSError):
            while data := one.recv(65536):
                other.sendall(data)
        for each in (one, other):
            each.close()

    def cut(self):
        # A thread that waits in accept() or recv() keeps a closed socket alive; only a shutdown wakes it.
        for each in (self.listening, *self.sockets):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()
        self.sockets.clear()


@pytest.mark.parametrize("terminal", [False, True])
def test_a_server_that_is_away_is_waited_for_with_a_word(run, followed, port, free_port, terminal):
    line = Line(port, free_port())
    line.open()
    made = run()
    view = followed(str(made.id), terminal=terminal, through=line.own)
    view.until("Running" if terminal else "running")
    line.cut()
    view.until("the Prefect server has not answered for")
    assert view.process.poll() is None
    line.open()
    set_state(made.id, Completed(message="it is done"))
    view.until("it is done")
    line.cut()
    assert view.process.wait(DEADLINE_S) == 0
    assert "Traceback" not in view.text()
    assert terminal or "the Prefect server answers again" in view.text()


def test_runs_are_found_by_the_beginning_of_their_id_and_by_their_project(run):
    first, second = run("/a/folder/sms_spam.yaml"), run("sms_spam")
    assert find(str(first.id)[:13]).id == first.id
    assert find(str(first.id)).id == first.id
    assert find("sms_spam").id == second.id
    with pytest.raises(
        RunError,
        match="'adult': no such run among the newest 200, and no project that has one; `gyre runs` lists them",
    ):
        find("adult")


def test_the_newest_runs_are_listed_without_those_that_a_schedule_will_start(run):
    kept, later = run("mnist"), run("mnist", Scheduled(scheduled_time=datetime.now(UTC) + timedelta(hours=3)))
    listed = recent(20, "mnist")
    assert [each["id"] for each in listed] == [str(kept.id)]
    assert (listed[0]["flow"], listed[0]["project"], listed[0]["state"]) == ("cycle", "mnist", "Running")
    assert str(later.id) not in [each["id"] for each in recent(200)]


def test_cancelling_what_is_over_leaves_it_as_it_ended(run):
    made = run()
    assert cancel(made.id).state.name == "Cancelling"
    set_state(made.id, Completed())
    assert cancel(made.id).state.name == "Completed"


def test_where_the_time_went_is_told_longest_first():
    stages = [
        {"stage": name, "seconds": seconds, "reused": False}
        for name, seconds in (("ingest", 2.0), ("train", 61.2), ("compile", 14))
    ]
    stages += [{"stage": "version", "seconds": 0.0, "reused": True}]
    assert (
        where_time_went(stages) == "77.2 s in stages: train 61.2, compile 14.0, ingest 2.0; 1 stages reused"
    )
    assert where_time_went(stages[-1:]) == "No stage ran; 1 stages reused"
