"""`gyre data quarantine`: rows that broke a rule, looked at and decided on."""

from typing import Annotated, Any

import typer

from flows.commands.data import of
from flows.terminal import Json, ProjectName, console, emit, print_rows

app = typer.Typer(
    no_args_is_help=True,
    help="Look at the rows that validation set aside; release or fix them, and undo either.",
)
Rows = Annotated[list[str], typer.Argument(metavar="ROWS", help="Ids of rows.")]
Row = Annotated[str, typer.Argument(metavar="ROW", help="A row's id.")]
Why = Annotated[str, typer.Option("--why", help="The reason, for those who ask later.")]
Reason = Annotated[
    str | None, typer.Option("--reason", help="Only rows that break this rule; a part of its name will do.")
]
Values = Annotated[
    list[str],
    typer.Option("--set", metavar="COLUMN=VALUE", help="The right value; nothing after = is a missing one."),
]


@app.command(name="list")
def list_rows(
    project: ProjectName,
    reason: Reason = None,
    rows: Annotated[int, typer.Option(min=0, help="Rows that are listed at most.")] = 20,
    json: Json = False,
) -> None:
    """List the rows of the newest validation's quarantine.

    How many a rule, where they come from, and the first ones.
    """
    from tasks.validation.review.review import overview

    found = overview(open_quarantine(project), reason, rows)
    if json:
        emit(found)
        return
    told = f"{found['quarantined']} of {found['validated']} rows are in quarantine, {found['decisions']} decisions are in force."
    console.print(told, highlight=False)
    print_rows(
        [
            {"rule": each["rule"], "rows": each["rows"], "limits": brief(each["limits"])}
            for each in found["reasons"]
        ]
    )
    print_rows(found["origins"])
    print_rows([each | {"reasons": "; ".join(each["reasons"])} for each in found["rows"]])


@app.command()
def show(project: ProjectName, row: Row, json: Json = False) -> None:
    """Show a row: its source and line, its values, every rule that it breaks with the limits, and what was decided about it."""
    from tasks.validation.review.review import describe_row

    found = describe_row(open_quarantine(project), row)
    if json:
        emit(found)
        return
    place = f"{found['origin'] or 'an unknown source'}{', line ' + str(found['origin_line']) if found['origin_line'] else ''}"
    state = "in quarantine" if found["in_quarantine"] else "not in the newest quarantine"
    console.print(f"row {row} of {place}: {state}", markup=False, highlight=False)
    print_rows(
        [{"column": name, "value": "" if value is None else value} for name, value in found["values"].items()]
    )
    print_rows([{"breaks": each["rule"], "limits": brief(each["limits"])} for each in found["reasons"]])
    for each in found["history"]:
        console.print(f"{each['told']} ({each['state']})", markup=False, highlight=False, soft_wrap=True)


@app.command()
def release(
    project: ProjectName,
    why: Why,
    rows: Annotated[list[str] | None, typer.Argument(help="Ids of rows.")] = None,
    reason: Reason = None,
) -> None:
    """Say that rows are right after all: they pass in the next version."""
    from tasks.validation.review.review import release as released

    print_decision(project, released(open_quarantine(project), rows or [], why, reason))


@app.command()
def fix(project: ProjectName, row: Row, values: Values, why: Why) -> None:
    """Give a row the right values: it comes back with them, and is checked again."""
    from tasks.validation.review.review import fix as fixed

    print_decision(project, fixed(open_quarantine(project), row, dict(map(pair, values)), why))


@app.command()
def undo(project: ProjectName, rows: Rows, why: Why) -> None:
    """Undo the newest decision about each row. It stays in the row's history."""
    from tasks.validation.review.review import undo as undone

    print_decision(project, undone(open_quarantine(project), rows, why))


def open_quarantine(project: str) -> Any:
    """A project's quarantine."""
    from tasks.validation.quarantine import Quarantine

    settings, config = of(project)
    return Quarantine(settings.home.quarantine(config.name))


def print_decision(project: str, decision: Any) -> None:
    """Says what was decided, and how it comes into force."""
    count = f"{len(decision.rows)} row{'s' * (len(decision.rows) != 1)}"
    console.print(
        f"decision {decision.number}: {decision.kind} of {count}; `gyre run {project}` applies it",
        markup=False,
        highlight=False,
    )


def pair(text: str) -> tuple[str, str | None]:
    """`column=value`; no value is a missing one. Raises ValueError."""
    column, equals, value = text.partition("=")
    if not equals or not column:
        raise ValueError(f"--set {text!r}: want column=value, such as age=35")
    return column, value or None


def brief(limits: list[dict[str, Any]]) -> str:
    """A rule's arguments, of a bounded length."""
    written = "; ".join(
        ", ".join(f"{name} {value}" for name, value in each.items() if not name.startswith("column"))
        for each in limits
    )
    return written if len(written) <= 120 else written[:119] + "…"
