"""`gyre init`, `check` and `schema`: a project's YAML, before anything runs."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from configs.load import ConfigError, load
from configs.project import Project
from configs.schema import schema_line, schema_text
from flows.terminal import Changes, Json, ProjectName, console, emit, enter, overrides, print_findings, say
from infra.settings import Settings

if TYPE_CHECKING:
    from tasks.pipeline.findings import JudgedFinding

app = typer.Typer()


@app.command()
def init(
    data: Annotated[
        str,
        typer.Argument(
            help="A file, folder or archive of images, or a URL: s3://, https://, postgresql://..."
        ),
    ],
    label: Annotated[
        str | None,
        typer.Option(help="The column to predict; by default the one whose name says so, or the last."),
    ] = None,
    name: Annotated[str | None, typer.Option(help="The project's name; by default the file's.")] = None,
    table: Annotated[str | None, typer.Option(help="Of a database: the table to read.")] = None,
) -> None:
    """Look at data and write <name>.yaml here, a project that runs.

    Contract, inputs, result and rules, each with its reason.
    """
    from infra.files import whole_file
    from tasks.onboarding.draft import draft
    from tasks.onboarding.preflight import told_ahead

    settings = enter()
    place = data if "://" in data else str(Path(data).resolve())
    say(f"Looking at {data}.")
    made = draft(place, label, name, table)
    path = Path(f"{made.name}.yaml")
    if path.exists():
        raise ConfigError(f"{path}: is there already; give --name, or move it")
    line = schema_line(path, write_schema(settings.home.project_schema))
    with whole_file(path) as temporary:
        temporary.write_text(f"{line}\n{made.yaml}", encoding="utf-8")
    if made.missing:
        raise ConfigError(f"Wrote {path}, which cannot run yet. {made.missing}")
    console.print(f"Wrote {path}: read its comments. Then:", highlight=False)
    console.print(f"  gyre check {path}\n  gyre up --detach\n  gyre run {path}", highlight=False)
    say(told_ahead(load(path, folder=settings.projects), settings))


@app.command()
def schema(
    path: Annotated[
        Path | None, typer.Argument(metavar="[FILE]", help="Where to write it; without one it is printed.")
    ] = None,
) -> None:
    """Print or write the JSON schema of a project's YAML, with which editors complete keys and check values while they are typed."""
    if path is None:
        sys.stdout.write(schema_text())
        return
    write_schema(path)
    console.print(f"Wrote {path}. Begin a YAML beside it with:", markup=False, highlight=False)
    console.print(
        f"  {schema_line(path.with_suffix('.yaml'), path)}", markup=False, highlight=False, soft_wrap=True
    )


@app.command()
def check(project: ProjectName, changes: Changes = None, json: Json = False) -> None:
    """Look at the YAML and the first rows of the source, as every `gyre run` does first.

    What would stop a run, what is odd.
    """
    settings = enter()
    config = load(project, overrides(changes), settings.projects)
    found = [judged.row() for judged in look_ahead(config, announce=not json)]
    if json:
        emit(found)
        return
    print_findings(found)
    console.print(f"{config.name}: the YAML and the first rows are fine.", highlight=False)


def write_schema(path: Path) -> Path:
    """Writes the JSON schema of a project's YAML, whole or not at all; returns its place."""
    from infra.files import whole_file

    with whole_file(path) as temporary:
        temporary.write_text(schema_text(), encoding="utf-8")
    return path


def look_ahead(config: Project, announce: bool) -> "tuple[JudgedFinding, ...]":
    """What is odd about a source's first rows. Raises ValueError naming all that would stop a run."""
    if announce:
        say(f"Looking at the first rows of {config.name}.")
    from tasks.onboarding.preflight import estimate_run

    ahead = estimate_run(config, Settings())
    if announce:
        say(ahead.told)
    return ahead.findings
