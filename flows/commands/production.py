"""`gyre rollback` and `retire` change what serves; `predict` and `explain` ask it, and `models` lists it."""

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from configs.load import load
from flows.terminal import Json, ProjectName, console, emit, enter, print_rows

app = typer.Typer()
PREDICT_EXAMPLES = """Examples:

gyre predict wine wine/ask.csv

gyre predict digits seven.png --json

echo '{"text": "You have won a prize"}' | gyre predict sms_spam -"""

EXPLAIN_EXAMPLES = """Examples:

gyre explain wine wine/ask.csv

gyre explain digits seven.png --json"""
HEAVIEST = 12
"""Parts of a row that are shown; --json has all of them."""


@app.command()
def rollback(project: ProjectName, json: Json = False) -> None:
    """Serve the version before the current one again."""
    from tasks.deployment.rollout import roll_back

    settings = enter()
    release = roll_back(load(project, folder=settings.projects).name)
    if json:
        emit(release.model_dump(mode="json"))
    else:
        console.print(f"{release.project} serves version {release.version} again: {release.reason}")


@app.command()
def retire(
    project: ProjectName, version: Annotated[int, typer.Argument(help="Last version of an older major.")]
) -> None:
    """Stop answering clients that send the inputs of an older major version."""
    from tasks.deployment.rollout import retire as retire_version

    settings = enter()
    name = load(project, folder=settings.projects).name
    retire_version(name, version)
    console.print(
        f"{name}: version {version} answers no more; what only fits its inputs is refused", highlight=False
    )


@app.command(epilog=PREDICT_EXAMPLES)
def predict(
    project: ProjectName,
    rows: Annotated[
        Path,
        typer.Argument(help="A file of CSV, JSON or JSON lines, an image, or - for standard input."),
    ],
    form: Annotated[
        str | None,
        typer.Option(
            "--format", help="csv, json or jsonl, where neither the file's name nor its content tell."
        ),
    ] = None,
    allow_missing: Annotated[
        bool,
        typer.Option(
            "--allow-missing", help="Answer rows that lack a whole column, as missing in every row."
        ),
    ] = False,
    json: Json = False,
) -> None:
    """Ask the model server about rows.

    Answers, their probability, the ids that late labels name, and what is odd about the rows.
    """
    from flows.predict import predict_rows
    from tasks.prediction.row_files import format_named
    from tasks.production.inference_client import InferenceClient

    settings = enter()
    config = load(project, folder=settings.projects)
    with InferenceClient(settings.server_url, config.name) as client:
        told = predict_rows(config, client, rows, format_named(form), allow_missing)
    if json:
        emit(told)
        return
    shown = [
        each | ({"probability": f"{each['probability']:.3f}"} if "probability" in each else {})
        for each in told["rows"]
    ]
    print_rows(shown)
    console.print(f"Answered by {told['model']} version {told['version']}.", highlight=False)
    for notice in (*([told["degraded"]] if "degraded" in told else []), *told["notices"]):
        console.print(f"[yellow]▲[/] {escape(notice)}", highlight=False, soft_wrap=True)


@app.command(epilog=EXPLAIN_EXAMPLES)
def explain(
    project: ProjectName,
    rows: Annotated[Path, typer.Argument(help="A file of a few rows: CSV, JSON or JSON lines, or an image.")],
    json: Json = False,
) -> None:
    """Ask the model server why rows are answered so: what each word, column or patch of an image weighs."""
    from flows.predict import explain_rows
    from tasks.production.inference_client import InferenceClient

    settings = enter()
    config = load(project, folder=settings.projects)
    with InferenceClient(settings.server_url, config.name) as client:
        told = explain_rows(client, rows)
    if json:
        emit(told)
        return
    for row in told["rows"]:
        console.print(f"Row {row['row']}: {escape(row['answer'])} ({row['score']:.3f})", highlight=False)
        print_rows(row["weights"][:HEAVIEST])
    for notice in told["notices"]:
        console.print(f"[yellow]▲[/] {escape(notice)}", highlight=False, soft_wrap=True)


@app.command()
def models(json: Json = False) -> None:
    """List every registered model: its versions, what they were trained on, and which one serves."""
    from tasks.deployment.registry import registered_versions

    enter()
    found = registered_versions()
    emit(found) if json else print_rows(found)
