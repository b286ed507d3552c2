"""Fits a baseline's network in this process, by full-batch L-BFGS: its loss is convex, so there is nothing to tune."""

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from configs.training import TrainingConfig
from tasks.intake import Encoder, Intake, Rows
from tasks.model.model import Model
from tasks.result import Postprocessing, Result

MOST_STEPS, FEWEST_STEPS = 100, 10
WORK = 1e10
"""Rows x numbers a row x outputs x steps: about half a minute on two cores. Counted, not timed, so equal rows
give equal baselines."""
PATH = "tasks.baselines.networks:{}"


def fit_network(
    name: str, encoder: Encoder, intake: Intake, result: Result, rows: Rows, targets: npt.NDArray[np.float64]
) -> Model:
    """The model of a network of tasks/baselines/networks.py, fitted on raw rows and their targets.

    In evaluation mode.
    """
    encoded = encoder.encode(rows)
    model = Model(encoder, intake, result, TrainingConfig(network=PATH.format(name), ranks=1, batch_size=1))
    model.preprocessing.fit(encoded)
    model.postprocessing.fit(targets)
    with torch.no_grad():
        shown = model.preprocessing(torch.from_numpy(encoded))
    fit(model.network, shown, torch.from_numpy(targets), model.postprocessing)
    return model.eval()


def fit(network: nn.Module, shown: Tensor, targets: Tensor, postprocessing: Postprocessing) -> None:
    """Minimises the mean loss and half the squared weights over the rows, as scikit-learn's C=1 does."""
    outputs = network(shown[:1]).shape[1]
    steps = int(min(MOST_STEPS, max(FEWEST_STEPS, WORK / (shown.numel() * outputs))))
    optimizer = torch.optim.LBFGS(
        network.parameters(), max_iter=steps, history_size=10, line_search_fn="strong_wolfe"
    )
    matrices = [weights for weights in network.parameters() if weights.ndim > 1]

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss: Tensor = postprocessing.loss(network(shown), targets).mean()
        for weights in matrices:
            loss = loss + weights.square().sum() / (2 * len(shown))
        loss.backward()
        return loss

    optimizer.step(closure)
