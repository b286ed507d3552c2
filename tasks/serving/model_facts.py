"""What the model server tells about a model: metadata, training columns, readiness and statistics."""

from typing import Any

from tasks.serving.model import Model
from tasks.serving.notices import NOTHING_KNOWN
from tasks.serving.protocol import metadata
from tasks.serving.refusal import Refusal
from tasks.serving.routing import Route


def about_version(project: str, route: Route, model: Model, rest: list[str]) -> dict[str, Any]:
    """What is asked about one version. Refuses (404) what there is not."""
    match rest:
        case []:
            return model_metadata(project, route, model)
        case ["columns"]:
            return training_columns(project, model)
        case ["ready"]:
            return {"name": project, "version": str(model.served.version), "ready": True}
        case ["stats"]:
            return {"model_stats": [statistics(project, model)]}
    raise Refusal(
        404,
        f"model {project!r} has no {'/'.join(rest)}; want ready, columns, stats, versions/<version>, infer or labels",
    )


def model_metadata(project: str, route: Route, model: Model) -> dict[str, Any]:
    """The protocol's model metadata; which version has which role is an addition."""
    return {
        "name": project,
        "versions": [str(each.served.version) for each in route.models.values()],
        "platform": "onnxruntime_onnx",
        "inputs": [
            metadata(each, model.signature.date_formats.get(each.name)) for each in model.signature.inputs
        ],
        "outputs": [metadata(output) for output in model.signature.outputs],
        "parameters": {role: str(each.served.version) for role, each in route.models.items()}
        | {"canary_share": route.share}
        | ({"degraded": route.damage} if route.damage else {}),
    }


def training_columns(project: str, model: Model) -> dict[str, Any]:
    """What training rows had in each input, an addition to the protocol: for clients whose values are still texts."""
    found = []
    for spec in model.signature.inputs:
        known = model.signature.trained.get(spec.name, NOTHING_KNOWN)
        categories = sorted(known.categories) if known.categories is not None else None
        described = metadata(spec, model.signature.date_formats.get(spec.name))
        found.append(described | {"categories": categories, "usual": known.usual})
    return {"name": project, "version": str(model.served.version), "columns": found}


def statistics(project: str, model: Model) -> dict[str, Any]:
    """The protocol's statistics extension: requests since the version was loaded."""
    counts = {"success": {"count": model.succeeded}, "fail": {"count": model.failed}}
    return {"name": project, "version": str(model.served.version), "inference_stats": counts}
