"""The demo's script: what happens, in which order, and what must have happened for it to end well."""

import os
import shutil
import socket
import time
from collections.abc import Callable
from typing import Any
from uuid import UUID

from rich.console import Console
from rich.panel import Panel
from rich.table import Table

from flows.errors import RunError
from infra import services
from infra.files import write_json
from infra.progress import wait_for
from infra.settings import Settings
from infra.shutdown import ended_by_signals, ended_with_parent

PROJECT = "digits"
CLEAN = (1000, 1200)
"""Scans sent before the scanner changes."""
DRIFTED = (1200, 1550)
"""Scans sent under the new scanner; the model has never seen it."""
LABELLED = 240
"""How many of them get their truth later."""
AFTER = (1550, 1797)
"""Scans under the new scanner that nobody labels: what the retrained model is judged on."""
LOOKS = 8
"""Looks at production within which the drift must have been noticed, and answered; how long they take is the
machine's affair."""


def run_demo(installation: Settings, console: Console, keep: bool) -> dict[str, Any]:
    """Plays the demo in a home of its own, `<home>/demo`, and returns the report that it also writes there as report.json.

    Services are stopped at the end unless `keep`; also after Ctrl-C or another signal, and when the process
    that started this one dies. Raises RunError or TimeoutError naming the step.
    """
    with ended_by_signals(), ended_with_parent():
        return prepare_and_play(installation, console, keep)


def prepare_and_play(installation: Settings, console: Console, keep: bool) -> dict[str, Any]:
    """See `run_demo`."""
    settings = own_installation(installation)
    shutil.rmtree(settings.home, ignore_errors=True)
    os.environ.update(settings.environment())
    started = time.monotonic()
    ended_well = False
    try:
        console.print(
            Panel(
                "Gyre's loop on handwritten digits: train, serve, drift, retrain by event, roll out",
                border_style="cyan",
            )
        )
        services.up(settings, lambda line: console.print(f"  {line}", style="dim", highlight=False))
        report = play(settings, console) | {"total_seconds": round(time.monotonic() - started, 1)}
        write_json(settings.home.demo_report, report)
        show(report, settings, console, keep)
        judge(report)
        ended_well = True
    finally:
        if not (keep and ended_well):
            services.down(settings)
    return report


def play(settings: Settings, console: Console) -> dict[str, Any]:
    """The loop's one turn; returns what Prefect, MLflow, the data repo and the server say happened."""
    from flows.demo import findings
    from flows.demo.scanner import held_out
    from flows.demo.traffic import Traffic
    from flows.follow import follow
    from flows.runs import start

    traffic = Traffic(settings.server_url, PROJECT)
    step(console, 1, "A cycle: from 1,000 scans and three annotators to a model that serves")
    first = follow(start("cycle/on-demand", {"project": PROJECT}, settings.prefect_url), console, "cycle")
    require_completed(first, "the first cycle")

    step(console, 2, "Traffic: held-out scans over HTTP")
    before = traffic.accuracy(held_out(*CLEAN), "before")
    console.print(f"  {CLEAN[1] - CLEAN[0]} scans, accuracy [bold]{before:.3f}[/]")

    step(
        console,
        3,
        "The scanner is replaced: grey paper, faint ink. Truth arrives late, and for some scans only",
    )
    new_scans = held_out(*DRIFTED).replaced_scanner()
    drifted = traffic.accuracy(new_scans, "drifted")
    traffic.report_truth(held_out(DRIFTED[0], DRIFTED[0] + LABELLED), "drifted")
    console.print(f"  {len(new_scans)} scans, accuracy [bold red]{drifted:.3f}[/]; truth came for {LABELLED}")

    step(console, 4, "The scheduled drift flow notices; its event starts the retraining")
    with console.status("  waiting for the drift flow"):
        event_id = wait_for(findings.drift_event, "the drift event", looks_left())
        retraining = wait_for(
            lambda: next(iter(findings.runs_of(f"{PROJECT}-on-drift")), None), "the retraining", looks_left()
        )
    if not findings.started_by_event(retraining):
        raise RunError(
            f"flow run {retraining.id} was not created by the drift automation but by {retraining.created_by}"
        )
    console.print(f"  event {event_id}", style="dim", highlight=False)
    with traffic.steady(new_scans, "steady"):
        second = follow(retraining.id, console, "retraining")
        require_completed(second, "the retraining")

    step(console, 5, "The new model answers")
    after = traffic.accuracy(held_out(*AFTER).replaced_scanner(), "after")
    console.print(
        f"  {AFTER[1] - AFTER[0]} scans of the new scanner that nobody labelled, accuracy [bold green]{after:.3f}[/]"
    )

    accuracy = {"before": before, "drifted": drifted, "after": after}
    requests = {"sent": traffic.sent, "failed": traffic.failed}
    return {"accuracy": accuracy, "requests": requests, "event_id": event_id} | read_back(
        settings, first.id, second.id
    )


def looks_left() -> Callable[[], int]:
    """What moves while production is still to be looked at: how many of LOOKS more looks have been taken."""
    from flows.demo import findings

    before = findings.looks(PROJECT)
    return lambda: min(findings.looks(PROJECT) - before, LOOKS)


def read_back(settings: Settings, first: UUID, second: UUID) -> dict[str, Any]:
    """What Prefect, MLflow and the data repo know of the two runs."""
    from flows.demo import findings

    versions = findings.registered_versions(settings, PROJECT)
    return {
        "retrain_flow_run_id": str(second),
        "versions": [int(version.version) for version in versions],
        "dataset_versions": findings.dataset_versions(settings, PROJECT),
        "ranks": findings.ranks(settings, versions[-1].run_id),
        "candidates": findings.candidates(versions[-1]),
        "seconds": findings.stage_seconds(first),
        "retrain_seconds": findings.stage_seconds(second),
        "urls": urls(settings, first, second),
    }


def require_completed(run: Any, what: str) -> None:
    """Raises RunError with the run's own reason where it did not complete."""
    if run.state is None or not run.state.is_completed():
        raise RunError(
            f"{what} ended as {run.state.name if run.state else 'unknown'}: {run.state.message if run.state else ''}"
        )


def judge(report: dict[str, Any]) -> None:
    """Raises RunError naming every promise of the loop that the report breaks."""
    before, drifted, after = (report["accuracy"][key] for key in ("before", "drifted", "after"))
    promises = {
        f"accuracy before the change is {before:.3f}; want at least 0.93, as the gate does": before >= 0.93,
        f"accuracy under the new scanner is {drifted:.3f}; want it clearly under {before:.3f}": drifted
        <= before - 0.1,
        f"accuracy after retraining is {after:.3f}; want at most 0.03 under {before:.3f}": after
        >= before - 0.03,
        f"{report['requests']['failed']} of {report['requests']['sent']} requests failed; want none": report[
            "requests"
        ]["failed"]
        == 0,
        f"model versions are {report['versions']}; want two": len(report["versions"]) == 2,
        f"data set versions are {report['dataset_versions']}; want two": len(report["dataset_versions"]) == 2,
    }
    if broken := [text for text, kept in promises.items() if not kept]:
        raise RunError("; ".join(broken))


def own_installation(installation: Settings) -> Settings:
    """The demo's settings: its own home, and a free port in place of each that is taken."""
    ports = ("prefect_port", "mlflow_port", "server_port", "grpc_port", "reports_port")
    own = installation.model_copy(update={"home": installation.home.demo})
    # The last demo's services, if --keep left them running, hold the ports and the home.
    services.down(own)
    return own.model_copy(update={name: free_port(own.host, getattr(own, name)) for name in ports})


def free_port(host: str, wanted: int) -> int:
    """`wanted`, or where something listens there, one that is free."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, wanted))
        except OSError:
            probe.bind((host, 0))
        return int(probe.getsockname()[1])


def step(console: Console, number: int, title: str) -> None:
    """A heading of the demo."""
    console.print(f"\n[bold cyan]{number}[/] [bold]{title}[/]")


def urls(settings: Settings, first: UUID, second: UUID) -> dict[str, str]:
    """Where to look."""
    return {
        "first cycle": f"{settings.prefect_url}/runs/flow-run/{first}",
        "retraining": f"{settings.prefect_url}/runs/flow-run/{second}",
        "model": f"{settings.server_url}/v2/models/{PROJECT}",
        "registry": f"{settings.mlflow_url}/#/models/{PROJECT}",
        "reports": f"{settings.reports_url}/{PROJECT}/",
    }


def show(report: dict[str, Any], settings: Settings, console: Console, keep: bool) -> None:
    """The report as a person reads it."""
    accuracy = Table(
        "", "accuracy", title="What happened", title_justify="left", box=None, header_style="dim"
    )
    for name, text in {
        "before": "before the change",
        "drifted": "under the new scanner",
        "after": "after retraining",
    }.items():
        accuracy.add_row(text, f"{report['accuracy'][name]:.3f} {'█' * round(report['accuracy'][name] * 40)}")
    stages = Table("stage", "cycle s", "retraining s", box=None, header_style="dim")
    for stage in report["seconds"] | report["retrain_seconds"]:
        stages.add_row(stage, *(f"{report[run].get(stage, 0):.1f}" for run in ("seconds", "retrain_seconds")))
    console.print("\n", accuracy, "\n", stages)
    requests = report["requests"]
    console.print(
        f"\n{requests['sent']} requests, {requests['failed']} failed · model versions {report['versions']} · "
        f"data {', '.join(report['dataset_versions'])} · {report['ranks']} Horovod ranks · {report['total_seconds']:.0f} s",
        highlight=False,
    )
    console.print(f"Report: {settings.home.demo_report}", highlight=False)
    if keep:
        for name, url in report["urls"].items():
            console.print(f"  {name:12} [link={url}]{url}[/link]", highlight=False)
        console.print(f"Browsers ask for a user and a password: {settings.home.credentials}", highlight=False)
        console.print(
            f"Everything keeps running; stop it with: GYRE_HOME={settings.home} gyre down", highlight=False
        )
    else:
        console.print(
            "The services are stopped; `gyre demo --keep` leaves them up to look around.", style="dim"
        )
