"""The optimizer and its learning rates."""

import inspect
import math

import torch
from torch import Tensor
from torch.optim import AdamW, Optimizer

from configs.training import TrainingConfig
from tasks.model.model import Model

FIRST_RATE = 0.04
"""Share of the learning rate that a warm-up begins with."""
MOMENTS = ("exp_avg", "exp_avg_sq")
"""What Adam remembers of each parameter, in the parameter's shape."""


class Adam(AdamW):
    """AdamW as it is, without torch's wrappers for its compiler around these methods.

    Their import costs a rank about a second.
    """

    add_param_group = inspect.unwrap(Optimizer.add_param_group)
    zero_grad = inspect.unwrap(Optimizer.zero_grad)
    state_dict = inspect.unwrap(Optimizer.state_dict)
    load_state_dict = inspect.unwrap(Optimizer.load_state_dict)
    step = torch.no_grad()(inspect.unwrap(AdamW.step))


def optimizer(model: Model, kept: frozenset[str], training: TrainingConfig) -> Adam:
    """For all of the model's parameters; those named in `kept` have a learning rate of their own."""
    groups: dict[bool, list[Tensor]] = {False: [], True: []}
    for name, parameter in model.named_parameters():
        groups[name in kept].append(parameter)
    shares = {False: 1.0, True: training.backbone_lr_factor}
    settings = [
        {"params": parameters, "share": shares[key]} for key, parameters in groups.items() if parameters
    ]
    return Adam(settings, lr=training.learning_rate, weight_decay=training.weight_decay, fused=True)


def set_rate(adam: Adam, training: TrainingConfig, step: int, steps: int) -> None:
    """Before a step, the number of which counts from 0."""
    for group in adam.param_groups:
        group["lr"] = rate(training, step, steps) * group["share"]


def rate(training: TrainingConfig, step: int, steps: int) -> float:
    """Learning rate of a step.

    Up along half a cosine for `warmup`, then down to nothing as the schedule says.
    """
    rising = round(training.warmup * steps)
    if step < rising:
        share = FIRST_RATE + (1 - FIRST_RATE) * (1 - math.cos(math.pi * step / rising)) / 2
    else:
        done = (step - rising) / max(1, steps - rising)
        share = {"cosine": (1 + math.cos(math.pi * done)) / 2, "linear": 1 - done, "constant": 1.0}[
            training.schedule
        ]
    return training.learning_rate * share
