"""`gyre demo`: the whole loop, played on handwritten digits."""

from typing import Annotated

import typer

from flows.terminal import Json, console, emit, errors
from infra.settings import Settings

app = typer.Typer()


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
