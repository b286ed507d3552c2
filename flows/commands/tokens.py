"""`gyre token`: what programs ask the model server with, made, listed and taken away."""

import re
import sys
from datetime import UTC, datetime, timedelta
from typing import Annotated, get_args

import typer

from flows.terminal import Json, console, emit, enter, print_rows, say
from infra.tokens import Scope, Token, TokenError, TokenFile

app = typer.Typer(
    no_args_is_help=True,
    help="Make, list and revoke tokens with which programs ask the model server; what changes counts at once.",
)
Name = Annotated[str, typer.Argument(metavar="NAME", help="Who it is for, such as shop.")]
UNITS = {"m": "minutes", "h": "hours", "d": "days"}
CREATE_EXAMPLES = """Examples:

gyre token create shop --scope predict --scope label --project churn

gyre token create prometheus --scope operate

gyre token create trial --scope predict --rate 10 --expires 30d"""


@app.command(epilog=CREATE_EXAMPLES)
def create(
    name: Name,
    scope: Annotated[
        list[str],
        typer.Option(help="predict, label or operate (counts, metrics, how models serve). Repeatable."),
    ],
    project: Annotated[
        list[str] | None, typer.Option(help="Only this project's models. Repeatable; by default all.")
    ] = None,
    rate: Annotated[
        float | None, typer.Option(min=0.001, help="Requests a second; more are told to come back.")
    ] = None,
    expires: Annotated[
        str | None, typer.Option(help="After how long it counts no more, such as 90m, 12h or 30d.")
    ] = None,
    json: Json = False,
) -> None:
    """Make a token and print it, this once: it is kept as a digest."""
    for each in scope:
        if each not in get_args(Scope):
            raise TokenError(f"--scope {each}: want one of {', '.join(get_args(Scope))}")
    lasts = duration(expires) if expires else None
    scopes: tuple[Scope, ...] = tuple(each for each in get_args(Scope) if each in scope)
    secret = TokenFile(enter().home.tokens).make(name, scopes, tuple(project or ()), rate, lasts)
    if json:
        emit({"name": name, "token": secret, "scopes": scopes})
        return
    sys.stdout.write(f"{secret}\n")
    say(f"Send it as `Authorization: Bearer {secret[:4]}...`; it is shown this once.")


@app.command(name="list")
def list_tokens(json: Json = False) -> None:
    """List the tokens: what each may do, of which projects, how often and until when."""
    found = TokenFile(enter().home.tokens).read()
    if json:
        emit([token.model_dump(mode="json", exclude={"digest"}) for token in found])
    else:
        print_rows([row(token) for token in found])


@app.command()
def revoke(name: Name) -> None:
    """Take a token away: its bearer is refused from now on."""
    found = TokenFile(enter().home.tokens).revoke(name)
    console.print(f"{found.name} ({', '.join(found.scopes)}) is revoked.", highlight=False)


def row(token: Token) -> dict[str, str]:
    """A token for a table."""
    expired = token.expires is not None and token.expires <= datetime.now(UTC)
    until = f"{token.expires.astimezone():%d %b %Y %H:%M}" if token.expires else "revoked"
    return {
        "token": token.name,
        "for": ", ".join(token.scopes),
        "projects": ", ".join(token.projects) or "all",
        "a second": f"{token.per_second:g}" if token.per_second else "any",
        "until": f"expired {until}" if expired else until,
    }


def duration(text: str) -> timedelta:
    """Such as 90m, 12h or 30d. Raises TokenError for anything else."""
    found = re.fullmatch(r"(\d{1,5})([mhd])", text)
    if found is None or int(found[1]) == 0:
        raise TokenError(
            f"--expires {text}: want a number of minutes, hours or days, such as 90m, 12h or 30d"
        )
    return timedelta(**{UNITS[found[2]]: int(found[1])})
