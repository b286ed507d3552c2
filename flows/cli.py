"""The `gyre` command.

Every verb is a few lines over what a flow or a service does; `--json` wherever a program might read.
"""

import gc
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from pydantic import ValidationError
from rich.markup import escape

from configs.load import ConfigError, load
from configs.project import Project
from configs.schema import schema_line, schema_text
from flows import data, quarantine
from flows.errors import RunError
from flows.parameters import sign_parameters
from flows.terminal import Json, ProjectName, console, emit, enter, errors, print_findings, print_rows
from infra.settings import Settings

if TYPE_CHECKING:
    from tasks.pipeline.findings import JudgedFinding

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Gyre takes data in, turns it into a model in production, watches it, and goes round again when the world has moved.",
    epilog="Try: gyre demo --keep",
)
data.app.add_typer(quarantine.app, name="quarantine")
app.add_typer(data.app, name="data")

PREDICT_EXAMPLES = """Examples:

gyre predict wine wine/ask.csv

gyre predict digits seven.png --json

echo '{"text": "You have won a prize"}' | gyre predict sms_spam -"""
SERVER = "server"
"""The model server's name among the services."""

Changes = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="KEY=VALUE", help="Use another value, such as training.epochs=3. Repeatable."
    ),
]
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

COLLECT_AFTER = 100_000
"""New objects after which unreachable ones are looked for; Python's own 700 come together many times in one
import."""
UNAUTHORIZED = 401
OTHER_CREDENTIAL = (
    "the Prefect server at {settings.prefect_url} does not take the credential of {settings.home}: it is another "
    "installation's, or the credential is newer than the services; then `gyre down` and `gyre up`"
)


@app.command()
def up(
    detach: Annotated[
        bool, typer.Option("--detach", "-d", help="Return when everything answers; stop it with `gyre down`.")
    ] = False,
) -> None:
    """Start Prefect with its UI, MLflow, the model server, the report pages and the flow runner, all on loopback and behind a password."""
    from infra import services

    first = not Settings().home.credentials.exists()
    settings = enter()
    services.up(settings, say)
    # YAMLs that `gyre init` wrote name it; what an older Gyre wrote would call new keys wrong.
    write_schema(settings.home.project_schema)
    print_services(services.status(settings))
    tell_credential(settings, first)
    if not detach:
        services.follow(settings, say)


@app.command()
def status(json: Json = False) -> None:
    """Show the services: state, URL and log, and models that do not serve as released.

    Exits with 1 when a service is not healthy.
    """
    from infra import services

    settings = enter()
    found = services.status(settings)
    serves = any(service.name == SERVER and service.healthy for service in found)
    degraded = degraded_models(settings) if serves else {}
    if json:
        more = {SERVER: {"degraded": degraded}} if degraded else {}
        emit([service.model_dump(mode="json") | more.get(service.name, {}) for service in found])
    else:
        print_services(found)
        for name, damage in degraded.items():
            console.print(f"[yellow]▲[/] {name}: {escape(damage)}", highlight=False, soft_wrap=True)
    raise typer.Exit(0 if found and all(service.healthy for service in found) else 1)


@app.command()
def down() -> None:
    """Stop every service. Data, models and logs stay in the home."""
    from infra import services

    services.down(enter())
    console.print("Everything is stopped.")


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
    """Look at data and write <name>.yaml here, a project that runs: contract, inputs, result and rules, each with its reason."""
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
    """Look at the YAML and the first rows of the source, as every `gyre run` does first: what would stop a run, what is odd."""
    settings = enter()
    config = load(project, overrides(changes), settings.projects)
    found = [judged.row() for judged in look_ahead(config, announce=not json)]
    if json:
        emit(found)
        return
    print_findings(found)
    console.print(f"{config.name}: the YAML and the first rows are fine.", highlight=False)


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
    """Watch a run that was left, or that a schedule or drift started, until it ends; one that is over tells what came out."""
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
    """Ask the model server about rows: answers, their probability, the ids that late labels name, and what is odd about the rows."""
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


@app.command()
def models(json: Json = False) -> None:
    """List every registered model: its versions, what they were trained on, and which one serves."""
    from tasks.deployment.registry import registered_versions

    enter()
    found = registered_versions()
    emit(found) if json else print_rows(found)


@app.command()
def lineage(
    anything: Annotated[
        str,
        typer.Argument(
            help="A version (digits/v3), a model (digits/2), a run's id, a bundle's digest, a request's id, or a quarantined row."
        ),
    ],
    json: Json = False,
) -> None:
    """Tell what a thing came from and what followed from it: sources, rows set aside, version, run, bundle, model, release, drift."""
    from tasks.lineage import lineage as traced

    found = traced(anything, enter())
    emit(found.as_json()) if json else console.print(
        found.text(), markup=False, highlight=False, soft_wrap=True
    )


@app.command()
def demo(
    keep: Annotated[
        bool, typer.Option("--keep", help="Leave the services running afterwards, to look around.")
    ] = False,
    json: Json = False,
) -> None:
    """Watch the loop turn on handwritten digits: train, serve, drift, retrain by event, roll out.

    Writes <home>/demo/report.json.
    """
    from flows.demo import run_demo

    report = run_demo(Settings(), errors if json else console, keep)
    if json:
        emit(report)


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


def overrides(changes: list[str] | None) -> dict[str, str]:
    """`--set key=value` options as a mapping. Raises ConfigError."""
    pairs = [change.partition("=") for change in changes or []]
    if wrong := [key for key, equals, _ in pairs if not (key and equals)]:
        raise ConfigError(f"--set {wrong[0]}: want key=value, such as --set training.epochs=3")
    return {key: value for key, _, value in pairs}


def flow_run(flow: str, project: str, changes: list[str] | None, json: bool) -> None:
    """Starts a project's flow, follows it, and ends with its exit code (flows/attend.py)."""
    settings = enter()
    values = overrides(changes)
    config: Project = load(project, values, settings.projects)
    if flow in ("cycle", "tune"):
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


def degraded_models(settings: Settings) -> dict[str, str]:
    """By project what answers in place of a released version whose files are damaged; nothing where the server is away."""
    from tasks.production.inference_client import InferenceClient, InferenceError

    with InferenceClient(settings.server_url, "") as client:
        try:
            return client.degraded()
        except InferenceError:
            return {}


def say(line: str) -> None:
    """A line of progress."""
    errors.print(line, markup=False, highlight=False, soft_wrap=True)


def tell_credential(settings: Settings, first: bool) -> None:
    """What browsers ask for: the file that holds it, and the first time, in a terminal, the words themselves."""
    say(
        f"Browsers ask for a user and a password, the Prefect UI for user:password; they are in {settings.home.credentials}."
    )
    # A log would keep it where the file's mode does not reach.
    if first and errors.is_terminal:
        say(f"This once: {settings.credential.pair}")


def print_services(found: list[Any]) -> None:
    """The services as a table; below it, why those ended that are not healthy, or ended more than once."""
    rows = []
    for each in found:
        restarts = (
            f"{each.restarts}, last {each.last_end.astimezone():%d %b %H:%M:%S}" if each.restarts else ""
        )
        url, log = each.url or "", each.log
        rows.append(
            {
                "service": each.name,
                "state": each.state,
                "restarts": restarts,
                "pid": each.pid or "",
                "url": url,
                "log": log,
            }
        )
    print_rows(rows)
    for each in found:
        if each.restarts > 1 or (each.restarts and not each.healthy):
            since = f"{each.restarting_since.astimezone():%d %b %H:%M:%S}"
            line = f"{each.name} was restarted {each.restarts} times since {since}, the last time after {each.last_reason}. Its log then:"
            console.print(
                f"[yellow]▲[/] {escape(line)}\n{escape(each.last_words)}", highlight=False, soft_wrap=True
            )


@contextmanager
def report_user_errors() -> Iterator[None]:
    """Ends with the reason and exit code 1 where a user's input, a port or a service is the cause; a bug keeps its traceback."""
    from infra.credentials import CredentialError
    from infra.services import ServicesError

    try:
        yield
    except (
        ConfigError,
        ServicesError,
        CredentialError,
        RunError,
        TimeoutError,
        ConnectionError,
        ValueError,
        FileNotFoundError,
    ) as error:
        if isinstance(error, ValidationError) and error.title == "Settings":
            error = ConfigError(
                "; ".join(
                    f"GYRE_{'.'.join(map(str, e['loc'])).upper()}={e['input']!r}: {e['msg']}"
                    for e in error.errors()
                )
            )
        errors.print(f"[red]gyre:[/] {escape(str(error))}", highlight=False, soft_wrap=True)
        sys.exit(1)
    except Exception as error:
        # Of Prefect's client, which is imported by the verbs that need it alone.
        if getattr(getattr(error, "response", None), "status_code", None) != UNAUTHORIZED:
            raise
        errors.print(
            f"[red]gyre:[/] {OTHER_CREDENTIAL.format(settings=Settings())}", highlight=False, soft_wrap=True
        )
        sys.exit(1)


def main() -> None:
    """Entry point of the `gyre` command. What it writes is this user's alone, in the home and out of it."""
    os.umask(0o077)
    # Imports are most of what a command takes, and looking through what they made was a fifth of that; it
    # stays to the end anyway.
    gc.set_threshold(COLLECT_AFTER)
    with report_user_errors():
        app()
