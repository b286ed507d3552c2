"""`gyre lineage`: what a thing came from, and what followed from it."""

from typing import Annotated

import typer

from flows.terminal import Json, console, emit, enter

app = typer.Typer()


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
    """Tell what a thing came from and what followed from it.

    Sources, rows set aside, version, run, bundle, model, release, drift.
    """
    from tasks.lineage import lineage as traced

    found = traced(anything, enter())
    emit(found.as_json()) if json else console.print(
        found.text(), markup=False, highlight=False, soft_wrap=True
    )
