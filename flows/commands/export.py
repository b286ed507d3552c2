"""`gyre export`: a model as a folder that answers without Gyre."""

from pathlib import Path
from typing import Annotated

import typer

from flows.export import Target, export_model
from flows.terminal import Json, console, emit, enter, print_rows

app = typer.Typer()
EXAMPLES = """Examples:

gyre export digits --to browser --output digits-page

gyre export sms_spam --to c --version 2 --output spam

echo '"You have won a prize"' | node spam-page/answer.mjs"""
NEXT_STEP = {
    Target.browser: "python3 -m http.server --directory {}",
    Target.c: "make -C {0} && {0}/answer {0}/model.onnx",
}


@app.command(epilog=EXAMPLES)
def export(
    project: Annotated[
        str,
        typer.Argument(
            metavar="PROJECT", help="A project's name or YAML, for what it released, or a bundle's folder."
        ),
    ],
    to: Annotated[
        Target, typer.Option(help="browser: a web page, and a program for Node.js. c: a C program.")
    ],
    output: Annotated[
        Path, typer.Option(help="The folder to write; an earlier export there is replaced, nothing else.")
    ],
    version: Annotated[
        int | None, typer.Option(help="A released version; by default the one that serves.")
    ] = None,
    json: Json = False,
) -> None:
    """Write a folder in which a model answers without Gyre: the graph, its runtime, and a web page or a C program.

    It is tried with real rows and made-up ones, empty and extreme; where it answers otherwise than ONNX Runtime no folder is written.

    browser: draw, upload, type or fill in a form; answered on the device. Any static file server will do; file:// will not.

    node FOLDER/answer.mjs answers a JSON row a line. The runtime, 14 MB, is fetched with npm once and kept in the home.

    c: answer.c, a Makefile, and the shared library of this machine's Python package onnxruntime.
    """
    told = export_model(enter(), project, to, version, output)
    if json:
        emit(told)
        return
    print_rows([{"file": name, "bytes": f"{size:,}"} for name, size in told["bytes"].items()])
    console.print(f"Wrote {told['model']} into {output}.", highlight=False, soft_wrap=True)
    if "untried" in told:
        console.print(f"[yellow]▲[/] It was not tried: {told['untried']}.", highlight=False, soft_wrap=True)
    else:
        console.print(
            f"Tried with {told['tried_rows']} rows: at most {told['largest_difference']:.1e} from ONNX Runtime's answers.",
            highlight=False,
        )
    console.print(f"  {NEXT_STEP[to].format(output)}", markup=False, highlight=False, soft_wrap=True)
