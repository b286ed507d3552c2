"""What a person does with the services: start, look, follow, stop."""

import fcntl
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from infra.files import close_to_others
from infra.home import Home
from infra.progress import QUIET_S, Patience, work
from infra.services.daemon import Daemon, Ends, State
from infra.services.errors import ServicesError
from infra.services.processes import belonging, check_ports, end
from infra.services.table import Service, services
from infra.settings import Settings
from infra.shutdown import ended_by_signals

Say = Callable[[str], None]
POLL_S = 0.2
PULSE_S = 10.0
"""A wait says at least this often what it waits for."""
GRACE_S = 3.0
"""Time that left-over processes have to end by themselves."""
HOPELESS = 3
"""A service that ends as often while `up` waits for it does not start: its port, its settings or its code are
wrong."""


class ServiceStatus(BaseModel):
    """How one service stands."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)

    name: str
    state: Literal["ready", "starting", "restarting", "stopped", "orphaned"]
    """`orphaned`: supervisord was killed and left processes behind.

    `gyre up` or `gyre down` clears them away.
    """
    healthy: bool
    """Whether it does its work right now."""
    pid: int | None
    since: datetime | None
    """When its process started (UTC)."""
    url: str | None
    log: str
    """Path of its log file."""
    restarts: int = 0
    """How often it ended unasked, and was started again, since the services were started."""
    restarting_since: datetime | None = None
    """When it first ended (UTC)."""
    last_end: datetime | None = None
    """When it last ended (UTC)."""
    last_reason: str | None = None
    """How it last ended: an exit status, a signal, or why it could not be started."""
    last_words: str | None = None
    """The end of its log when it last ended."""


def up(settings: Settings, say: Say = lambda _: None, table: Sequence[Service] | None = None) -> None:
    """Starts the services in the background and returns when all that are awaited are ready.

    Repeating it is cheap.

    Raises ServicesError naming a taken port and its holder, or the service that failed with the end of its
    log; then what was started here is stopped again, as it is when a signal ends the wait.
    """
    with ended_by_signals():
        begin_and_wait(Daemon(settings, services(settings) if table is None else table), say)


def begin_and_wait(daemon: Daemon, say: Say) -> None:
    """See `up`."""
    begun, at = time.monotonic(), datetime.now(UTC)
    with lock_services(daemon):
        home = daemon.settings.home
        if opened := close_to_others(home.root):
            say(
                f"{home} was open to other users of this machine; {opened} files and folders are yours alone now."
            )
        fresh = begin(daemon)
    try:
        with lock_services(daemon):
            for service in daemon.table:
                service.prepare()
        wait_until_ready(daemon, begun, say if fresh else lambda _: None)
        for service in daemon.table if fresh else ():
            service.settle(at)
    except BaseException:
        if fresh:
            say("Stopping what was started.")
            down(daemon.settings, daemon.table)
        raise
    if not fresh:
        say("Already up.")


def status(settings: Settings, table: Sequence[Service] | None = None) -> list[ServiceStatus]:
    """How each service stands, in the order of the table."""
    daemon = Daemon(settings, services(settings) if table is None else table)
    states = daemon.states()
    orphans = states is None and bool(belonging(settings.home))
    found, ends = states or {}, daemon.ends()

    def judge(service: Service) -> ServiceStatus:
        return judge_service(daemon, service, found.get(service.name), ends.get(service.name), orphans)

    with ThreadPoolExecutor(len(daemon.table)) as pool:
        return list(pool.map(judge, daemon.table))


def follow(settings: Settings, say: Say = lambda _: None, table: Sequence[Service] | None = None) -> None:
    """Tells every change of a service's state until somebody stops the services.

    Ctrl-C, SIGTERM or a closed terminal stops them all.
    """
    daemon = Daemon(settings, services(settings) if table is None else table)
    say("Ctrl-C stops all services.")
    try:
        with ended_by_signals():
            watch(daemon, say)
    finally:
        say("Stopping all services.")
        down(settings, daemon.table)


def down(settings: Settings, table: Sequence[Service] | None = None) -> None:
    """Stops every service and everything they started, and waits for it.

    No process is left, even one that ignores SIGTERM.
    """
    daemon = Daemon(settings, services(settings) if table is None else table)
    with lock_services(daemon):
        daemon.shut_down()
        end_all(settings.home)


def begin(daemon: Daemon) -> bool:
    """Whether supervisord was started now; one that runs already is kept and starts at once what is down.

    Raises ServicesError.
    """
    states = daemon.states()
    if states is not None:
        if not daemon.is_current():
            raise ServicesError(
                f"the services of {daemon.settings.home} run with other settings than these; `gyre down` first"
            )
        daemon.start_stopped()
        return False
    end_all(daemon.settings.home)
    check_ports(daemon.settings.host, daemon.table)
    try:
        daemon.start()
    except BaseException:
        end_all(daemon.settings.home)
        raise
    return True


def end_all(home: Home) -> None:
    """Ends every process of a home's services; what one of them started meanwhile too."""
    while left := belonging(home):
        end(left, GRACE_S)


def wait_until_ready(daemon: Daemon, begun: float, say: Say) -> None:
    """Returns when every awaited service is ready.

    Raises ServicesError when one ends again and again, or nothing moves any more.
    """
    told, before = begun, daemon.ends()
    patience = Patience(lambda: work(belonging(daemon.settings.home), *map(daemon.log, daemon.table)))
    pending = [service for service in daemon.table if service.awaited]
    while pending:
        states = daemon.states()
        if not states:
            raise ServicesError("the services were stopped while they started")
        ends = daemon.ends()
        for service in list(pending):
            if is_ready(service, states[service.name]):
                pending.remove(service)
                say(
                    f"  {service.title} is ready ({time.monotonic() - begun:.1f} s) {service.url or ''}".rstrip()
                )
            elif count(ends, service) - count(before, service) >= HOPELESS:
                last = ends[service.name]
                told_of = f"it ended {HOPELESS} times, now by {last.reason}"
                raise ServicesError(
                    f"{service.title} does not start ({told_of}); the end of {daemon.log(service)}:\n{last.words}"
                )
        waiting = ", ".join(service.title for service in pending)
        if pending and patience.has_run_out():
            logs = "\n".join(f"{daemon.log(service)}:\n{daemon.tail(service)}" for service in pending)
            waited = f"{time.monotonic() - begun:.0f} s, and nothing has moved for {QUIET_S:.0f} s"
            raise ServicesError(f"not ready after {waited}: {waiting}\n{logs}")
        if pending and time.monotonic() - told > PULSE_S:
            told = time.monotonic()
            say(f"  {told - begun:.0f} s: waiting for {waiting}")
        if pending:
            time.sleep(POLL_S)


def count(ends: dict[str, Ends], service: Service) -> int:
    """How often a service ended unasked."""
    return ends[service.name].times if service.name in ends else 0


def watch(daemon: Daemon, say: Say) -> None:
    """Tells state changes, and why services ended, until supervisord is gone."""
    known: dict[str, State] = {}
    ended = daemon.ends()
    while states := daemon.states():
        for name, state in states.items():
            if known and state != known[name]:
                say(
                    f"{datetime.now():%H:%M:%S} {name}: {state.name.lower()}{f', pid {state.pid}' if state.pid else ''}"
                )
        ends = daemon.ends()
        for name, last in ends.items():
            if last != ended.get(name):
                say(
                    f"{datetime.now():%H:%M:%S} {name}: ended {last.times} times, now by {last.reason}\n{last.words}"
                )
        known, ended = states, ends
        time.sleep(POLL_S)


def judge_service(
    daemon: Daemon, service: Service, state: State | None, end: Ends | None, orphans: bool
) -> ServiceStatus:
    """How a service stands, from what supervisord knows of it and its own answer."""
    ready = state is not None and is_ready(service, state)
    words: dict[str, Any] = {
        "BACKOFF": "restarting",
        "EXITED": "restarting",
        "STARTING": "starting",
        "RUNNING": "starting",
    }
    word = (
        "ready"
        if ready
        else "orphaned"
        if orphans
        else words.get(state.name, "stopped")
        if state
        else "stopped"
    )
    return ServiceStatus(
        name=service.name,
        state=word,
        healthy=ready,
        pid=state.pid if state else None,
        since=state.since if state else None,
        url=service.url,
        log=str(daemon.log(service)),
        restarts=end.times if end else 0,
        restarting_since=end.first if end else None,
        last_end=end.last if end else None,
        last_reason=end.reason if end else None,
        last_words=end.words if end else None,
    )


def is_ready(service: Service, state: State) -> bool:
    """Whether a service's process lives and does its work."""
    return state.name in ("STARTING", "RUNNING") and state.since is not None and service.ready(state.since)


@contextmanager
def lock_services(daemon: Daemon) -> Iterator[None]:
    """One process at a time starts or stops an installation's services."""
    with (daemon.folder / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
