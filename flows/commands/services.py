"""`gyre up`, `status` and `down`: the services of the installation."""

from typing import Annotated, Any

import typer
from rich.markup import escape

from flows.commands.projects import write_schema
from flows.terminal import Json, console, emit, enter, errors, print_rows, say
from infra.settings import Settings

app = typer.Typer()
SERVER = "server"
"""The model server's name among the services."""


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
    """Show the services.

    State, URL and log, models that do not serve as released, and versions that were refused.

    Exits with 1 when a service is not healthy.
    """
    from infra import services

    settings = enter()
    found = services.status(settings)
    serves = any(service.name == SERVER and service.healthy for service in found)
    degraded, refused = release_troubles(settings) if serves else ({}, {})
    if json:
        troubles = {"degraded": degraded, "refused": refused}
        more = {SERVER: {name: by_project for name, by_project in troubles.items() if by_project}}
        emit([service.model_dump(mode="json") | more.get(service.name, {}) for service in found])
    else:
        print_services(found)
        for name, trouble in [*degraded.items(), *refused.items()]:
            console.print(f"[yellow]▲[/] {name}: {escape(trouble)}", highlight=False, soft_wrap=True)
    raise typer.Exit(0 if found and all(service.healthy for service in found) else 1)


@app.command()
def down() -> None:
    """Stop every service. Data, models and logs stay in the home."""
    from infra import services

    services.down(enter())
    console.print("Everything is stopped.")


def release_troubles(settings: Settings) -> tuple[dict[str, str], dict[str, str]]:
    """By project what answers in place of a released version whose files are damaged, and which version was refused.

    Nothing where the server is away.
    """
    from tasks.production.inference_client import InferenceClient, InferenceError

    with InferenceClient(settings.server_url, "") as client:
        try:
            return client.degraded(), client.refused()
        except InferenceError:
            return {}, {}


def tell_credential(settings: Settings, first: bool) -> None:
    """What browsers ask for.

    The file that holds it, and the first time, in a terminal, the words themselves.
    """
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
