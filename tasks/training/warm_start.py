"""Training that starts from a model.

What it sees and its layers are kept, the last layer only where the answers are the same.
"""

from pathlib import Path
from typing import Any

from pydantic import TypeAdapter
from safetensors.torch import load_file
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from configs.intake import IntakeConfig
from infra.files import read_json, verify
from tasks.intake import TensorSpec, build_intake
from tasks.model.model import Model
from tasks.training.plan import Plan

SEEN = "preprocessing."
"""Prefix of what the network's inputs are made with; its layers mean something on those alone."""
NETWORK = "network."


def encoder_state(plan: Plan) -> dict[str, Any]:
    """How the model that the plan starts from encodes rows. Raises ValueError where it takes others."""
    folder = checkpoint(plan)
    mine = build_intake(plan.intake).inputs
    theirs = build_intake(
        TypeAdapter(IntakeConfig).validate_python(read_json(folder / "checkpoint.json")["intake"])
    ).inputs
    if mine != theirs:
        raise ValueError(
            f"training.warm_start {plan.training.warm_start}: it takes {describe_inputs(theirs)}, this project's rows are {describe_inputs(mine)}"
        )
    state: dict[str, Any] = read_json(folder / "encoder.json")
    return state


def describe_inputs(inputs: tuple[TensorSpec, ...]) -> str:
    """Names, types and shapes, for an error."""
    return ", ".join(f"{each.name} {each.dtype}{list(each.shape)}" for each in inputs)


def load_layers(model: Model, plan: Plan) -> frozenset[str]:
    """Copies the layers that are kept into the model; returns the names of their tensors.

    Raises ValueError where there are none.
    """
    folder = checkpoint(plan)
    there, mine = load_file(folder / "model.safetensors"), model.state_dict()
    same_answers = read_json(folder / "checkpoint.json")["result"] == plan.result.model_dump(mode="json")
    left = frozenset() if same_answers else last_layer(model.network)
    seen = {name: tensor for name, tensor in there.items() if name.startswith(SEEN)}
    network = {
        name: tensor for name, tensor in there.items() if name.startswith(NETWORK) and name not in left
    }
    kept = {
        name: tensor for name, tensor in network.items() if name in mine and mine[name].shape == tensor.shape
    }
    if not kept:
        raise ValueError(
            f"training.warm_start {plan.training.warm_start}: its network has no layer in common with this project's; is it another?"
        )
    model.load_state_dict(mine | seen | kept)
    return frozenset(kept)


def last_layer(network: nn.Module) -> frozenset[str]:
    """Names, in the model, of the tensors of the network's last layer that has any.

    Where classes are told apart.
    """
    layers = [
        name
        for name, layer in network.named_modules()
        if next(layer.parameters(recurse=False), None) is not None
    ]
    last = network.get_submodule(layers[-1])
    prefix = f"{NETWORK}{layers[-1]}." if layers[-1] else NETWORK
    return frozenset(prefix + name for name, _ in last.named_parameters(recurse=False))


def freeze(model: Model, kept: frozenset[str]) -> None:
    """Leaves the kept layers out of a training that was just set to begin.

    No gradients, and no new batch statistics.

    Raises ValueError where no layer is left to train.
    """
    for name, parameter in model.named_parameters():
        if name in kept:
            parameter.requires_grad_(False)
    if kept and not any(parameter.requires_grad for parameter in model.parameters()):
        raise ValueError(
            "training.backbone_lr_factor is 0 and training.warm_start has the same answers, so no layer is left to train; raise it"
        )
    for name, layer in model.named_modules():
        if isinstance(layer, _BatchNorm) and f"{name}.running_mean" in kept:
            layer.eval()


def checkpoint(plan: Plan) -> Path:
    """The verified folder of the model that the plan starts from."""
    assert plan.start is not None, "asked of plans that start from a model alone"  # noqa: S101
    return verify(plan.start.uri, plan.start.digest)
