"""What is deployed: a folder with the graph, what it takes and gives, and where it comes from.

Equal graphs of equal origin make equal bundles, byte for byte: measured times and the random id of a run are
in the records and on the card, never in the folder.
"""

import shutil
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from configs.section import Section
from infra.files import digest, verify, whole_folder, write_json
from tasks.compilation.gate_report import GateReport
from tasks.compilation.signature import signature
from tasks.intake import Intake
from tasks.model.model import load_preprocessing
from tasks.model.onnx_session import session
from tasks.production import drift_reference, probe
from tasks.records import Bundle, Graph, TrainedModel
from tasks.result import Result

EIGHT_BITS = ("int8", "int8-dynamic")
"""Formats whose arithmetic depends on the processor; int8-weights computes in floats."""
PACKAGES = ("gyre", "torch", "onnx", "onnxruntime")


def bundle(
    model: TrainedModel,
    verdict: GateReport,
    intake: Intake,
    result: Result,
    sections: dict[str, Section],
    output: Path,
) -> Bundle:
    """The chosen graph as `<output>/bundle`: model.onnx, signature.json, lineage.json, what production is compared with, and a probe.

    `sections` of the YAML go into the lineage.

    Raises ValueError where the gate refuses it, DigestError where the graph was changed.
    """
    if verdict.failures:
        raise ValueError(
            f"{model.uri}: nothing to bundle, the gate refuses it: {'; '.join(verdict.failures)}"
        )
    graph, project, folder = verdict.chosen.graph, model.dataset.project, output / "bundle"
    facts = {"project": project, **signature(intake, result), "graph_digest": graph.digest}
    facts["date_formats"] = model.dataset.date_formats  # clients' texts are read as the training rows' were
    facts["training_values"] = load_preprocessing(model, intake).training_values()
    with whole_folder(folder) as partial:
        shutil.copyfile(verify(graph.uri, graph.digest), partial / "model.onnx")
        write_json(partial / "signature.json", facts)
        write_json(partial / "lineage.json", lineage(model, verdict, sections))
        drift_reference.write(partial, model.dataset, intake, result, partial / "model.onnx")
        sessions = {probe.GRAPH: session(partial / probe.GRAPH)}
        if portable := portable_form(verdict):
            shutil.copyfile(verify(portable.uri, portable.digest), partial / probe.PORTABLE)
            sessions[probe.PORTABLE] = session(partial / probe.PORTABLE)
        probe.write(partial, verdict.rows, sessions)
    return Bundle(
        uri=str(folder),
        digest=digest(folder),
        project=project,
        candidates=verdict.candidates,
        chosen=graph.name,
        judgement=verdict.judgement,
        comparison=verdict.comparison,
        failures=verdict.failures,
        findings=verdict.findings,
        model=model,
    )


def portable_form(verdict: GateReport) -> Graph | None:
    """The float graph of the same network, where the chosen one computes in 8 bits, which not every processor does alike."""
    graph = verdict.chosen.graph
    if graph.format not in EIGHT_BITS:
        return None
    floats = [each.graph for each in verdict.candidates if each.graph.format == "fp32"]
    return next((each for each in floats if each.checkpoint == graph.checkpoint), None)


def lineage(model: TrainedModel, verdict: GateReport, sections: dict[str, Section]) -> dict[str, Any]:
    """Where the graph comes from.

    Data set version, checkpoint, sections of the YAML, versions of the code.
    """
    dataset, graph = model.dataset, verdict.chosen.graph
    return {
        "dataset": {"tag": dataset.tag, "commit": dataset.commit, "digest": dataset.digest},
        "checkpoint": {"digest": model.digest, "ranks": model.ranks},
        "graph": {
            "name": graph.name,
            "digest": graph.digest,
            "score": verdict.judgement.score,
            "steps": graph.steps,
            "checkpoint": graph.checkpoint,
        },
        "config": {name: section.model_dump(mode="json") for name, section in sections.items()},
        "code": {package: installed_version(package) for package in PACKAGES},
    }


def installed_version(package: str) -> str:
    """The version of a package; ONNX Runtime comes under one of two names."""
    try:
        return version(package)
    except PackageNotFoundError:
        return version(f"{package}-gpu")
