"""What every verb of the `gyre` command shares: the installation it works on, and how it prints."""

import os
import sys
from typing import Annotated, Any

import orjson
import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from configs.load import ConfigError
from infra.settings import Settings

console = Console()
errors = Console(stderr=True)

ProjectName = Annotated[
    str,
    typer.Argument(
        metavar="PROJECT", help="A project's name (configs/<name>.yaml), or the path of a YAML file."
    ),
]
Changes = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="KEY=VALUE", help="Use another value, such as training.epochs=3. Repeatable."
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of tables.")]


def enter() -> Settings:
    """The installation's settings, with its environment in force for every library imported from here on."""
    settings = Settings()
    os.environ.update(settings.environment())
    return settings


def overrides(changes: list[str] | None) -> dict[str, str]:
    """`--set key=value` options as a mapping. Raises ConfigError."""
    pairs = [change.partition("=") for change in changes or []]
    if wrong := [key for key, equals, _ in pairs if not (key and equals)]:
        raise ConfigError(f"--set {wrong[0]}: want key=value, such as --set training.epochs=3")
    return {key: value for key, _, value in pairs}


def emit(value: Any) -> None:
    """One JSON value on standard output."""
    sys.stdout.write(orjson.dumps(value, option=orjson.OPT_INDENT_2, default=str).decode() + "\n")


def say(line: str) -> None:
    """A line of progress."""
    errors.print(line, markup=False, highlight=False, soft_wrap=True)


def print_rows(rows: list[dict[str, Any]]) -> None:
    """Rows as a table with the first row's keys as its head.

    The first column, by which a row is named, is never cut.
    """
    if not rows:
        console.print("[dim]none[/]")
        return
    table = Table(*rows[0], box=None, header_style="dim")
    for row in rows:
        table.add_row(*(str(value) for value in row.values()))
    table.columns[0].min_width = max(len(str(next(iter(row.values())))) for row in rows)
    console.print(table)


def print_findings(found: list[dict[str, str]]) -> None:
    """What was dropped, guessed, changed or not compared, but for what the project's `checks` allow."""
    for each in found:
        if each["action"] != "allow":
            about = f"{each['about']}: " if each["about"] else ""
            examples = f", such as {each['examples']}" if each["examples"] else ""
            line = f"{each['stage']}, {each['check']}: {about}{each['count']} {each['finding']}{examples}"
            console.print(f"[yellow]▲[/] {escape(line)}", highlight=False, soft_wrap=True)
