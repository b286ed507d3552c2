"""The `gyre` command: its verbs, put together, and how it ends where something is wrong."""

import gc
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import typer
from pydantic import ValidationError
from rich.markup import escape

from configs.load import ConfigError
from flows.commands import (
    data,
    demo,
    export,
    lineage,
    production,
    projects,
    quarantine,
    runs,
    score,
    services,
    tokens,
)
from flows.errors import RunError
from flows.terminal import errors
from infra.settings import Settings

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Gyre takes data in, turns it into a model in production, watches it, and goes round again when the world has moved.",
    epilog="Try: gyre demo --keep",
)
# Their order is that of the help.
for verbs in (services, projects, runs, production, score, export, lineage, demo):
    app.add_typer(verbs.app)
data.app.add_typer(quarantine.app, name="quarantine")
app.add_typer(data.app, name="data")
app.add_typer(tokens.app, name="token")

COLLECT_AFTER = 100_000
"""New objects after which unreachable ones are looked for; Python's own 700 come together many times in one
import."""
UNAUTHORIZED = 401
OTHER_CREDENTIAL = (
    "the Prefect server at {settings.prefect_url} does not take the credential of {settings.home}: it is another "
    "installation's, or the credential is newer than the services; then `gyre down` and `gyre up`"
)


@contextmanager
def report_user_errors() -> Iterator[None]:
    """Ends with the reason and exit code 1 where a user's input, a port or a service is the cause.

    A bug keeps its traceback.
    """
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
