"""Gradient-boosted trees (scikit-learn's) on the encoded columns of a table, and the same trees as one ONNX operator.

skl2onnx 1.20 cannot convert these trees with onnx 1.23 (it writes booleans where whole numbers are wanted),
so the few lines are here.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from tasks.intake import Encoder
from tasks.intake.encoder import ENCODED
from tasks.model.onnx_export import module_bytes
from tasks.model.onnx_parts import with_prefix
from tasks.result import Answers, Postprocessing, Result

MOST_TREES = 200
"""Rounds of boosting; it ends sooner where a tenth of the rows, left out, no longer gains."""
ABSENT_LOGIT = -1e4
"""Of a class that no training row has: its probability is 0."""


def fit_trees(
    encoded: npt.NDArray[np.float32], targets: npt.NDArray[Any], result: Result, post: Postprocessing
) -> Any:
    """A scikit-learn model of what the network's outputs should be; `post` knows the scale of the targets."""
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

    options = {"max_iter": MOST_TREES, "early_stopping": True, "random_state": 0}
    if result.classes:
        return HistGradientBoostingClassifier(**options).fit(encoded, targets)
    wanted = post.wanted(torch.from_numpy(targets)).numpy()
    return HistGradientBoostingRegressor(**options).fit(encoded, wanted)


def trees_answers(
    trees: Any, encoded: npt.NDArray[np.float32], result: Result, post: Postprocessing
) -> Answers:
    """What the scikit-learn model answers to encoded rows."""
    places, base = output_places(trees, result.outputs)
    outputs = np.tile(np.array(base, np.float32), (len(encoded), 1))
    raw = trees.decision_function(encoded) if result.classes else trees.predict(encoded)
    outputs[:, places] = raw.reshape(len(encoded), -1)
    with torch.inference_mode():
        given = post(torch.from_numpy(outputs))
    return {name: values.numpy() for name, values in zip(result.names, given, strict=True)}


def trees_graph(trees: Any, encoder: Encoder, result: Result, post: Postprocessing) -> Any:
    """An onnx.ModelProto from raw rows to the result's answers."""
    import onnx
    from onnx import TensorProto, compose, helper

    outputs = result.outputs
    node = helper.make_node(
        "TreeEnsembleRegressor", [ENCODED], ["outputs"], domain="ai.onnx.ml", **attributes(trees, outputs)
    )
    width = int(np.prod(encoder.encoded.shape))
    taken = helper.make_tensor_value_info(ENCODED, TensorProto.FLOAT, ["batch", width])
    given = helper.make_tensor_value_info("outputs", TensorProto.FLOAT, ["batch", outputs])
    tail = onnx.load_from_string(module_bytes(post, torch.zeros(2, outputs), "outputs", result.names))
    opsets = {each.domain: each.version for each in tail.opset_import} | {"ai.onnx.ml": 3}
    imports = [helper.make_opsetid(domain, version) for domain, version in opsets.items()]
    head = helper.make_model(
        helper.make_graph([node], "trees", [taken], [given]),
        opset_imports=imports,
        ir_version=tail.ir_version,
    )
    del tail.opset_import[:]
    tail.opset_import.extend(imports)
    return with_prefix(compose.merge_models(head, tail, io_map=[("outputs", "outputs")]), encoder)


def attributes(trees: Any, outputs: int) -> dict[str, Any]:
    """All trees of a scikit-learn model as the attributes of ONNX's TreeEnsembleRegressor, whose targets are the network's outputs."""
    columns: dict[str, list[Any]] = {name: [] for name in NODE}
    leaves: dict[str, list[Any]] = {
        "target_treeids": [],
        "target_nodeids": [],
        "target_ids": [],
        "target_weights": [],
    }
    places, base = output_places(trees, outputs)
    number = 0
    for place in range(outputs):  # ONNX Runtime forgets the base value of an output that no tree adds to
        add_node(columns, number, 0, {"is_leaf": True})
        for name, value in zip(leaves, (number, 0, place, base[place]), strict=True):
            leaves[name].append(value)
        number += 1
    for iteration in trees._predictors:
        for place, tree in zip(places, iteration, strict=True):
            for node_id, node in enumerate(tree.nodes):
                add_node(columns, number, node_id, node)
                if node["is_leaf"]:
                    for name, value in zip(
                        leaves, (number, node_id, place, float(node["value"])), strict=True
                    ):
                        leaves[name].append(value)
            number += 1
    return {**columns, **leaves, "n_targets": outputs, "aggregate_function": "SUM", "post_transform": "NONE"}


NODE = (
    "nodes_treeids",
    "nodes_nodeids",
    "nodes_featureids",
    "nodes_modes",
    "nodes_values",
    "nodes_truenodeids",
    "nodes_falsenodeids",
    "nodes_missing_value_tracks_true",
)


def add_node(columns: dict[str, list[Any]], tree: int, number: int, node: Any) -> None:
    """One node of a tree: a leaf, or a threshold under which a row goes left."""
    leaf = bool(node["is_leaf"])
    values = (
        tree,
        number,
        0 if leaf else int(node["feature_idx"]),
        "LEAF" if leaf else "BRANCH_LEQ",
        0.0 if leaf else at_most(float(node["num_threshold"])),
        0 if leaf else int(node["left"]),
        0 if leaf else int(node["right"]),
        0 if leaf else int(node["missing_go_to_left"]),
    )
    for name, value in zip(NODE, values, strict=True):
        columns[name].append(value)


def at_most(threshold: float) -> float:
    """The largest float32 that is no larger.

    A float32 row lies under it just where it lies under the threshold itself.
    """
    rounded = np.float32(threshold)
    return float(rounded if float(rounded) <= threshold else np.nextafter(rounded, np.float32(-np.inf)))


def output_places(trees: Any, outputs: int) -> tuple[list[int], list[float]]:
    """Which output each tree of a round adds to, and what every output begins with."""
    begin = np.asarray(trees._baseline_prediction).ravel()
    classes = getattr(trees, "classes_", None)
    if classes is None:
        return [0], [float(begin[0])]
    places = [int(each) for each in classes]
    base = [ABSENT_LOGIT] * outputs
    if len(places) == 2:  # one tree a round: the second class's logit, the first one's being 0
        base[places[0]], base[places[1]] = 0.0, float(begin[0])
        return [places[1]], base
    for place, value in zip(places, begin, strict=True):
        base[place] = float(value)
    return places, base
