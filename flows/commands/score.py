"""`gyre score`: a released model's answers to all rows of a source."""

from pathlib import Path
from typing import Annotated

import typer

from configs.load import load
from flows.parameters import sign_parameters
from flows.terminal import Changes, Json, ProjectName, console, enter, overrides

app = typer.Typer()
EXAMPLES = """Examples:

gyre score wine wine/ask.csv --to scores

gyre score sms_spam 'messages/*.jsonl' --to scores.csv --version 2

gyre score adult sqlite:///census.db --source-table people --to 'postgresql://gyre:$PASSWORD@host/scores' --table adult_scores"""


@app.command(epilog=EXAMPLES)
def score(
    project: ProjectName,
    source: Annotated[
        str,
        typer.Argument(
            help="A file, folder, glob or URL of rows; or the YAML of a project whose `source` says how they are read."
        ),
    ],
    to: Annotated[
        str, typer.Option(help="A folder for Parquet parts, a path that ends in .csv, or a database's URL.")
    ],
    table: Annotated[str | None, typer.Option(help="Of a database as target: the table.")] = None,
    source_table: Annotated[str | None, typer.Option(help="Of a database as source: the table.")] = None,
    version: Annotated[
        int | None, typer.Option(help="A released version; by default the one that serves.")
    ] = None,
    replace: Annotated[
        bool, typer.Option("--replace", help="Take the place of other scores in the target.")
    ] = False,
    append: Annotated[
        bool,
        typer.Option("--append", help="Keep a table's scores of this source as it was before, beside these."),
    ] = False,
    allow_missing: Annotated[
        bool,
        typer.Option(
            "--allow-missing", help="Answer rows that lack a whole column, as missing in every row."
        ),
    ] = False,
    changes: Changes = None,
    json: Json = False,
) -> None:
    """Answer all rows of a source in the background and follow it.

    Id, answer, probability, version, a row each.

    What was killed goes on where it stood when it is asked again; no row comes twice. Rows that cannot be
    read are not answered: each is kept beside the target with its reason, and counted in the last line.
    Answers are those of the model server, but are not in its log.
    """
    from tasks.scoring.source import local_path
    from tasks.scoring.targets import check_no_password, target_at

    settings = enter()
    if replace and append:
        raise ValueError("--replace and --append: give one of them")
    for option, place in (("SOURCE", source), ("--to", to)):
        check_no_password(place, option)
    target_at(to, table)
    values = overrides(changes)
    config = load(project, values, settings.projects)
    from flows.attend import attend
    from flows.runs import start

    asked = {
        "source": local_path(source),
        "target": local_path(to),
        "source_table": source_table,
        "table": table,
        "version": version,
        "existing": "replace" if replace else "append" if append else "refuse",
        "allow_missing": allow_missing,
    }
    name = str(Path(project).resolve()) if project.endswith((".yaml", ".yml")) else project
    parameters = sign_parameters("score", name, values, settings, asked)
    run = start("score/on-demand", parameters, settings.prefect_url)
    message = attend(run, f"score {config.name}", settings, json)
    if not json:
        # The page's address comes last otherwise, and what was not answered would scroll away.
        console.print(message.splitlines()[-1], markup=False, highlight=False, soft_wrap=True)
