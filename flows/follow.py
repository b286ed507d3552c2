"""Shows a flow run in the terminal until it ends.

A live table, or a line as each stage begins and ends where nobody watches.
"""

import time
from contextlib import AbstractContextManager, nullcontext
from datetime import datetime
from typing import Protocol
from uuid import UUID

import httpx
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import FlowRun, TaskRun
from prefect.exceptions import ObjectNotFound, PrefectHTTPStatusError
from prefect.settings import PREFECT_CLIENT_MAX_RETRIES, temporary_settings
from rich.console import Console, Group
from rich.live import Live
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from flows.errors import RunError
from flows.runs import POLL_S, SHORT, progress, seconds, stage_name, state_of, task_runs, was_reused

MARKS = {
    "COMPLETED": "[green]✔[/]",
    "FAILED": "[red]✘[/]",
    "CRASHED": "[red]✘[/]",
    "CANCELLED": "[yellow]■[/]",
    "RUNNING": "[cyan]▶[/]",
}
SLOWEST_POLL_S = 3.0
"""Between two looks at a run that has been followed for some minutes."""
PROGRESSING = ("train", "score")
"""Stages that say how far they are."""
PROGRESS_S = 60.0
PROGRESS_PERCENT, QUIET_S = 10.0, 5.0
"""A training's progress is a line of its own after so long, or so much of it, but no sooner than so long
after another line."""


class View(Protocol):
    """How a run is shown."""

    def show(self, run: FlowRun, stages: list[TaskRun], training: tuple[float, str]) -> None:
        """As it is now; `training` is how far that is, in percent and in words."""

    def miss(self, seconds: float, why: str) -> None:
        """The server has not answered for so long."""


def follow(flow_run_id: UUID, console: Console, title: str, timeout_s: float | None = None) -> FlowRun:
    """Shows a flow run's stages until it ends, and returns it as it ended.

    A server that does not answer is waited for.

    Raises RunError where the server does not know the run, TimeoutError where it did not end within
    `timeout_s`; KeyboardInterrupt leaves the run as it is.
    """
    live = Live(console=console, refresh_per_second=4) if console.is_terminal else None
    view: View = Lines(console, title) if live is None else LiveTable(live, title)
    began = answered = time.monotonic()
    shown: AbstractContextManager[object] = live or nullcontext()
    # The client's own retries would keep quiet about a server that is away for a minute.
    asks_once = temporary_settings({PREFECT_CLIENT_MAX_RETRIES: 0})
    with asks_once, get_client(sync_client=True) as client, shown:
        while True:
            try:
                run = client.read_flow_run(flow_run_id)
                view.show(run, task_runs(client, flow_run_id), progress(client, flow_run_id))
                answered = time.monotonic()
                if run.state is not None and run.state.is_final():
                    return run
            except ObjectNotFound:
                raise RunError(
                    f"flow run {flow_run_id}: the Prefect server knows no such run; was it deleted?"
                ) from None
            except (httpx.TransportError, PrefectHTTPStatusError) as error:
                if (
                    isinstance(error, PrefectHTTPStatusError)
                    and error.response.status_code < httpx.codes.INTERNAL_SERVER_ERROR
                ):
                    raise
                view.miss(time.monotonic() - answered, type(error).__name__)
            waited = time.monotonic() - began
            if timeout_s is not None and waited > timeout_s:
                raise TimeoutError(f"the end of flow run {flow_run_id}: not seen within {timeout_s:.0f} s")
            time.sleep(min(SLOWEST_POLL_S, POLL_S + waited / 120))


class LiveTable:
    """One line a stage, redrawn in place."""

    def __init__(self, live: Live, title: str) -> None:
        self.live = live
        self.title = title
        self.table = Table()

    def show(self, run: FlowRun, stages: list[TaskRun], training: tuple[float, str]) -> None:
        """See View."""
        self.table = stages_table(self.title, run, stages, training)
        self.live.update(self.table)

    def miss(self, seconds: float, why: str) -> None:
        """See View."""
        self.live.update(Group(self.table, Text(lost(seconds, why), style="yellow")))


class Lines:
    """A line as each stage begins and ends, and now and then how far the training is.

    For a file or a pipe.
    """

    def __init__(self, console: Console, title: str) -> None:
        self.console = console
        self.title = title
        self.state = ""
        self.begun: set[UUID] = set()
        self.ended: set[UUID] = set()
        self.percent = 0.0
        self.said_at = time.monotonic()
        self.is_lost = False

    def show(self, run: FlowRun, stages: list[TaskRun], training: tuple[float, str]) -> None:
        """See View."""
        if self.is_lost:
            self.say("the Prefect server answers again")
            self.is_lost = False
        state = state_of(run)
        if state != self.state and not (run.state and run.state.is_final()):
            self.say(f"{self.title}, run {str(run.id)[:SHORT]}: {state.lower()}")
        self.state = state
        for stage in stages:
            self.show_stage(stage)
            if stage_name(stage) in PROGRESSING and stage.id not in self.ended:
                self.show_training(training)
        if run.state and run.state.is_final():
            self.say(f"{self.title}, run {str(run.id)[:SHORT]}: {state.lower()}")

    def show_stage(self, stage: TaskRun) -> None:
        """Says that it began, and how it ended, each once."""
        name, is_over = stage_name(stage), stage.state is not None and stage.state.is_final()
        if stage.id not in self.begun:
            self.begun.add(stage.id)
            if not was_reused(stage):
                self.say(f"{name}: started", stage.start_time)
        if is_over and stage.id not in self.ended:
            self.ended.add(stage.id)
            self.say(f"{name}: {outcome_text(stage)}", stage.end_time)

    def show_training(self, training: tuple[float, str]) -> None:
        """Says how far it is, where that is news."""
        percent, words = training
        quiet = time.monotonic() - self.said_at
        is_due = quiet > PROGRESS_S or (percent - self.percent >= PROGRESS_PERCENT and quiet > QUIET_S)
        if words and percent > self.percent and is_due:
            self.percent = percent
            self.say(f"train: {percent:.0f} %, {words}")

    def miss(self, seconds: float, why: str) -> None:
        """See View."""
        if not self.is_lost:
            self.say(lost(seconds, why))
            self.is_lost = True

    def say(self, text: str, when: datetime | None = None) -> None:
        """A line with its time of day."""
        clock = (when or datetime.now()).astimezone().strftime("%H:%M:%S")
        self.console.print(f"{clock} {text}", markup=False, highlight=False, soft_wrap=True)
        self.said_at = time.monotonic()


def lost(seconds: float, why: str) -> str:
    """What is said while the server does not answer."""
    return f"the Prefect server has not answered for {seconds:.0f} s ({why}); waiting for it, the run does not depend on this view"


def outcome_text(stage: TaskRun) -> str:
    """How a stage ended, in words."""
    if was_reused(stage):
        return "reused"
    if stage.state is None or stage.state.is_completed():
        return f"done in {seconds(stage):.1f} s"
    return f"{state_of(stage).lower()} after {seconds(stage):.1f} s: {first_line(stage)}"


def first_line(stage: TaskRun) -> str:
    """Of a stage's message; the run's own message has it whole."""
    return ((stage.state.message if stage.state else "") or "").partition("\n")[0]


def stages_table(title: str, run: FlowRun, stages: list[TaskRun], training: tuple[float, str]) -> Table:
    """One line a stage: how it stands and its seconds, and how far the training is."""
    head = escape(f"{title} · {str(run.id)[:SHORT]} · {state_of(run)}")
    table = Table("", "stage", "seconds", "", title=head, title_justify="left", box=None, header_style="dim")
    for stage in stages:
        kind = stage.state.type.name if stage.state else "PENDING"
        if was_reused(stage):
            note = "[dim]reused[/]"
        elif kind == "RUNNING" and stage_name(stage) in PROGRESSING:
            percent, words = training
            note = f"{'━' * int(percent / 5)}[dim]{'━' * (20 - int(percent / 5))}[/] {percent:.0f} %\n[dim]{escape(words)}[/]"
        else:
            colour = "red" if kind in ("FAILED", "CRASHED") else "yellow"
            note = (
                f"[{colour}]{escape(first_line(stage))}[/]"
                if kind in ("FAILED", "CRASHED", "CANCELLED")
                else ""
            )
        table.add_row(MARKS.get(kind, "·"), stage_name(stage), f"{seconds(stage):5.1f}", note)
    return table
