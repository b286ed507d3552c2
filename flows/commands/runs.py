"""`gyre run`, `drift`, `tune` and `backtest` start a flow.

`runs`, `follow` and `cancel` are about those that were started.
"""

from pathlib import Path
from typing import Annotated

import typer

from configs.load import load
from configs.project import Project
from flows.commands.projects import look_ahead
from flows.parameters import sign_parameters
from flows.terminal import Changes, Json, ProjectName, console, emit, enter, overrides, print_rows, say

app = typer.Typer()
RunName = Annotated[
    str,
    typer.Argument(
        metavar="RUN",
        help="A run's id or the beginning of one (`gyre runs`), or a project, for its newest run.",
    ),
]
INTERRUPT = (
    "Ctrl-C asks whether to leave the run going, to cancel it, or to go on watching. Where there is no terminal to ask, an interrupt "
    "leaves it going. Exit codes: 0 completed, 1 failed or cancelled, 3 refused by a rule of the YAML, 130 left."
)


@app.command(epilog=INTERRUPT)
def run(project: ProjectName, changes: Changes = None, json: Json = False) -> None:
    """Run one cycle now and follow it: rows, labels, version, training, graph, gate, release.

    Finished stages are reused.
    """
    flow_run("cycle", project, changes, json)


@app.command()
def runs(
    project: Annotated[str | None, typer.Argument(metavar="[PROJECT]", help="Of this project alone.")] = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, max=200, help="So many at most.")] = 20,
    json: Json = False,
) -> None:
    """List the newest runs, whoever started them: project, state, since when, how long, and what came out."""
    enter()
    from flows.runs import SHORT, recent

    found = recent(limit, project)
    if json:
        emit(found)
        return
    for each in found:
        each["id"], each["since"] = each["id"][:SHORT], each["since"][5:16]
        each["took"], each["message"] = f"{each['took']:.0f} s", each["message"].partition("\n")[0]
    print_rows(found)


@app.command(epilog=INTERRUPT)
def follow(run: RunName, json: Json = False) -> None:
    """Watch a run that was left, or that a schedule or drift started, until it ends.

    One that is over tells what came out.
    """
    settings = enter()
    from flows.attend import attend
    from flows.runs import find, project_of

    found = find(run)
    attend(found.id, f"run of {project_of(found)}", settings, json)


@app.command()
def cancel(run: RunName) -> None:
    """Ask a run to end. What its finished stages made stays, and the next run goes on from there."""
    enter()
    from flows.runs import SHORT, find, state_of
    from flows.runs import cancel as ask

    found = ask(find(run).id)
    does = "the runner ends it within seconds" if state_of(found) == "Cancelling" else "it is over"
    console.print(
        f"{str(found.id)[:SHORT]} {found.name} is {state_of(found).lower()}: {does}.",
        markup=False,
        highlight=False,
    )


@app.command(epilog=INTERRUPT)
def drift(project: ProjectName, changes: Changes = None, json: Json = False) -> None:
    """Look at production now: the newest predictions against the training rows."""
    flow_run("drift", project, changes, json)


@app.command(epilog=INTERRUPT)
def tune(project: ProjectName, changes: Changes = None, json: Json = False) -> None:
    """Search for better hyperparameters, as `search` in the YAML says; a search that was stopped goes on."""
    flow_run("tune", project, changes, json)


@app.command(epilog=INTERRUPT)
def backtest(project: ProjectName, changes: Changes = None, json: Json = False) -> None:
    """Replay the project's rows block by block.

    What its retraining policy brings, beside never, always and others.
    """
    flow_run("backtest", project, changes, json)


def flow_run(flow: str, project: str, changes: list[str] | None, json: bool) -> None:
    """Starts a project's flow, follows it, and ends with its exit code (flows/attend.py)."""
    settings = enter()
    values = overrides(changes)
    config: Project = load(project, values, settings.projects)
    if flow in ("cycle", "tune", "backtest"):
        look_ahead(config, announce=not json)
    from flows.attend import attend
    from flows.earlier import told_earlier
    from flows.runs import start

    if flow == "cycle" and not json and (told := told_earlier(config.name)):
        say(told)
    # The path of a YAML names code beside it; the signature says that this user asks for it.
    name = str(Path(project).resolve()) if project.endswith((".yaml", ".yml")) else project
    flow_run_id = start(
        f"{flow}/on-demand", sign_parameters(flow, name, values, settings), settings.prefect_url
    )
    attend(flow_run_id, f"{flow} {config.name}", settings, json)
