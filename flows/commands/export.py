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

gyre export adult --to docker --output adult-server

gyre export adult --to kserve --storage s3://models/adult --output adult-kserve

echo '"You have won a prize"' | node spam-page/answer.mjs"""
NEXT_STEP = {
    Target.browser: "python3 -m http.server --directory {}",
    Target.c: "make -C {0} && {0}/answer {0}/model.onnx",
    Target.onnx: "onnxruntime.InferenceSession('{}/model.onnx'); model.json says what it takes and gives",
    Target.docker: "docker build -t model {} && docker run --rm -p 127.0.0.1:8080:8080 model",
    Target.mlflow: "mlflow models serve --env-manager local -m {}",
    Target.triton: "tritonserver --model-repository={}",
    Target.kserve: "kubectl apply -f {0}/inference-service.yaml, once its storageUri holds {0}/repository",
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
        Target,
        typer.Option(
            help="browser: a web page, and a program for Node.js. c: a C program. docker: a small server. Others: for these runtimes."
        ),
    ],
    output: Annotated[
        Path, typer.Option(help="The folder to write; an earlier export there is replaced, nothing else.")
    ],
    version: Annotated[
        int | None, typer.Option(help="A released version; by default the one that serves.")
    ] = None,
    storage: Annotated[
        str | None,
        typer.Option(
            help="kserve: where the cluster will find the folder `repository`, such as s3://models/wine."
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Write a folder in which a model answers without Gyre.

    A web page, a program, or what another server loads.

    It is tried with real rows and made-up ones, empty and extreme; where it answers otherwise than ONNX
    Runtime no folder is written.

    browser: draw, upload, type or fill in a form; answered on the device. Any static file server will do;
    file:// will not.

    node FOLDER/answer.mjs answers a JSON row a line. The runtime, 14 MB, is fetched with npm once and kept in
    the home.

    c: answer.c, a Makefile, and the shared library of this machine's Python package onnxruntime.

    docker: a Dockerfile and a server of a hundred lines, which needs onnxruntime, numpy and uvicorn. mlflow:
    for `mlflow models serve`.

    triton: a model repository. kserve: an InferenceService over one. onnx: the graph, and facts about it as
    JSON.
    """
    told = export_model(enter(), project, to, version, output, storage)
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
