"""What the model server tells about a model: metadata, configuration, training columns and statistics."""

from typing import Any

from tasks.production.protocol_dtypes import DATATYPES
from tasks.rows.raw import TensorSpec
from tasks.serving.models.model import LAST, ROWS_A_BATCH, USUAL, Model, Signature
from tasks.serving.models.routing import Route
from tasks.serving.processes.counts import Counts
from tasks.serving.protocol.inference import metadata
from tasks.serving.protocol.notices import NOTHING_KNOWN
from tasks.serving.protocol.tensors import MAX_ROWS


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
        | {"canary_share": route.share, "provider": model.provider}
        | ({"fell_back": model.fell_back} if model.fell_back else {})
        | ({"shadow_share": route.shadow_share} if route.shadow_share else {})
        | ({"degraded": route.damage} if route.damage else {})
        | ({"refused": route.refusal} if route.refusal else {}),
    }


def training_columns(project: str, model: Model) -> dict[str, Any]:
    """What training rows had in each input, an addition to the protocol.

    For clients whose values are still texts.
    """
    found = described_columns(model.signature)
    return {"name": project, "version": str(model.served.version), "columns": found}


def described_columns(signature: Signature) -> list[dict[str, Any]]:
    """Each input with the categories and the usual value of training rows."""
    found = []
    for spec in signature.inputs:
        known = signature.trained.get(spec.name, NOTHING_KNOWN)
        categories = sorted(known.categories) if known.categories is not None else None
        described = metadata(spec, signature.date_formats.get(spec.name))
        found.append(described | {"categories": categories, "usual": known.usual})
    return found


def statistics(project: str, model: Model, counts: Counts) -> dict[str, Any]:
    """The protocol's statistics extension: what a version did since it was loaded."""
    version = model.served.version
    return {"name": project, "version": str(version), **counts.of(project, version).statistics.told()}


def model_config(project: str, model: Model) -> dict[str, Any]:
    """A model's configuration by the names that Triton's has, as far as they have a meaning here."""
    return {
        "name": project,
        "platform": "onnxruntime_onnx",
        "backend": "onnxruntime",
        "version_policy": {"specific": {"versions": [model.served.version]}},
        "max_batch_size": MAX_ROWS,
        "input": [tensor_config(spec) for spec in model.signature.inputs],
        "output": [tensor_config(spec) for spec in model.signature.outputs],
        "dynamic_batching": {
            "preferred_batch_size": [ROWS_A_BATCH],
            "max_queue_delay_microseconds": 0,
            "priority_levels": LAST,
            "default_priority_level": USUAL,
        },
    }


def tensor_config(spec: TensorSpec) -> dict[str, Any]:
    """An input or output of a configuration; `dims` are of one row."""
    datatype = DATATYPES[spec.dtype]
    data_type = "TYPE_STRING" if datatype == "BYTES" else f"TYPE_{datatype}"
    return {"name": spec.name, "data_type": data_type, "dims": list(spec.shape)}
