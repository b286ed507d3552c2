"""Stays with a flow run in the terminal until it ends or is left, and says what came out."""

import sys
from typing import Any
from uuid import UUID

import typer
from prefect.client.schemas.objects import FlowRun
from rich.console import Console
from rich.markup import escape

from flows.follow import follow
from flows.runs import SHORT, cancel, report, state_of
from flows.terminal import console, emit, errors, print_findings
from infra.settings import Settings
from tasks.pipeline.stage import REFUSED

EXIT_FAILED, EXIT_REFUSED, EXIT_LEFT = 1, 3, 130
"""Exit codes: failed, crashed or cancelled; refused by a rule of the YAML; left by Ctrl-C, and not known how
it will end."""
SHOWN = 6


def attend(flow_run_id: UUID, title: str, settings: Settings, json: bool) -> str:
    """Follows a run, prints what came out, and raises typer.Exit where it did not complete.

    Returns the run's message.

    Ctrl-C asks what is meant by it.
    """
    out = errors if json else console
    run = None
    while run is None:
        try:
            run = follow(flow_run_id, out, title)
        except KeyboardInterrupt:
            if leaves(flow_run_id, out):
                raise typer.Exit(EXIT_LEFT) from None
    told = report(run)
    page = f"{settings.prefect_url}/runs/flow-run/{flow_run_id}"
    if json:
        emit(told | {"page": page})
    else:
        print_findings(told["findings"])
        tell(run, title, told["stages"])
        console.print(f"[link={page}]{page}[/link]")
    if run.state is None or not run.state.is_completed():
        raise typer.Exit(EXIT_REFUSED if state_of(run) == REFUSED else EXIT_FAILED)
    return run.state.message or ""


def leaves(flow_run_id: UUID, out: Console) -> bool:
    """What Ctrl-C means: whether the run is left to itself.

    Where nobody can be asked it is: the run belongs to the installation.
    """
    short = str(flow_run_id)[:SHORT]
    left = f"Left: the run goes on. `gyre follow {short}` picks it up, `gyre cancel {short}` ends it."
    answer = "l"
    if out.is_terminal and sys.stdin.isatty():
        try:
            answer = (
                out.input("\n[l]eave the run going, [c]ancel it, or Enter to go on watching: ", markup=False)
                .strip()
                .lower()
            )
        except (KeyboardInterrupt, EOFError):
            out.line()
    if answer.startswith("c"):
        state = state_of(cancel(flow_run_id))
        out.print(
            "Asked to cancel: the runner ends it within seconds."
            if state == "Cancelling"
            else f"It is over: {state.lower()}."
        )
        return False
    if answer.startswith("l"):
        out.print(left, highlight=False, soft_wrap=True)
        return True
    return False


def tell(run: FlowRun, title: str, stages: list[dict[str, Any]]) -> None:
    """The run's state and message, and where its time went."""
    state, message = state_of(run), (run.state.message if run.state else None) or ""
    if state == REFUSED:
        console.print(
            f"[yellow]■[/] {escape(f'{title} is refused, which is a result: {message}')}",
            highlight=False,
            soft_wrap=True,
        )
    elif run.state and run.state.is_completed():
        console.print(message, markup=False, highlight=False, soft_wrap=True)
    else:
        errors.print(
            f"[red]✘[/] {escape(f'{title} ended as {state.lower()}: {message}')}",
            highlight=False,
            soft_wrap=True,
        )
    console.print(where_time_went(stages), markup=False, highlight=False, soft_wrap=True)


def where_time_went(stages: list[dict[str, Any]]) -> str:
    """The stages that took longest, and how many were reused."""
    ran = sorted((each for each in stages if not each["reused"]), key=lambda each: -each["seconds"])
    longest = ", ".join(f"{each['stage']} {each['seconds']:.1f}" for each in ran[:SHOWN])
    others = (
        f", {len(ran) - SHOWN} others {sum(each['seconds'] for each in ran[SHOWN:]):.1f}"
        if len(ran) > SHOWN
        else ""
    )
    count = sum(each["reused"] for each in stages)
    kept = f"; {count} stages reused" if count else ""
    return (
        f"{sum(each['seconds'] for each in ran):.1f} s in stages: {longest}{others}{kept}"
        if ran
        else f"No stage ran{kept}"
    )
