"""What ranks save together while they train, and how all of them go on from the same commit."""

import math
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.optim import Optimizer

from tasks.model.model import Model
from tasks.training.commits import (
    NAME_BYTES,
    STATE,
    Commit,
    Commits,
    optimizer_state,
    read,
    restore_optimizer,
)
from tasks.training.messages import EpochEnded
from tasks.training.optimizer import MOMENTS
from tasks.training.strategy import Strategy

MODEL = "model."
"""Prefix of the model's tensors in a commit."""


@dataclass(frozen=True)
class Saving:
    """A model in training and its optimizer, on one rank. All ranks call each method but `best`."""

    model: Model
    optimizer: Optimizer
    strategy: Strategy
    commits: Commits

    def save(self, step: int, steps: int, history: list[EpochEnded], score: float = -math.inf) -> None:
        """Rank 0 writes a commit of a training of so many steps.

        The others give it what it has no part of.
        """
        if self.strategy.rank and not self.strategy.sharded:
            return
        tensors, groups = optimizer_state(self.optimizer)
        tensors |= {MODEL + name: tensor for name, tensor in self.model.state_dict().items()}
        whole = self.strategy.whole(tensors)
        if not self.strategy.rank:
            epochs = [epoch.model_dump() for epoch in history]
            self.commits.save(step, whole, {"groups": groups, "history": epochs, "steps": steps}, score)

    def restore(self, commit: Commit) -> None:
        """Model and optimizer as the commit has them."""
        like: dict[str, Tensor] = {
            f"{STATE}{number}.{key}": each
            for number, each in enumerate(self.model.parameters())
            for key in MOMENTS
        }
        restore_optimizer(self.optimizer, self.strategy.parts(commit.tensors, like), commit.facts["groups"])
        self.model.load_state_dict(self.strategy.parts(model_of(commit), self.model.state_dict()))

    def best(self) -> dict[str, Tensor] | None:
        """The model's tensors in the commit of the best score, where one has a score.

        Rank 0 alone asks: it removes the commits then.
        """
        commit = self.commits.best()
        return model_of(commit) if commit else None

    def newest(self) -> Commit | None:
        """The newest commit, the same on all ranks.

        One that chose by itself might find one that was written since.
        """
        commit = self.commits.newest() if not self.strategy.rank else None
        name = torch.zeros(NAME_BYTES, dtype=torch.uint8)
        if commit:
            name = torch.tensor(list(commit.path.name.encode()), dtype=torch.uint8)
        name = name.to(self.strategy.device)
        self.strategy.align({"commit": name})
        if not name.any() or not self.strategy.rank:
            return commit
        return commit_of(self.commits.folder / bytes(name.tolist()).decode())


def model_of(commit: Commit) -> dict[str, Tensor]:
    """The model's tensors in a commit, whole."""
    return {name.removeprefix(MODEL): each for name, each in commit.tensors.items() if name.startswith(MODEL)}


def commit_of(path: Path) -> Commit:
    """The commit of a folder. Raises ValueError where it is not there or damaged."""
    commit = read(path) if path.is_dir() else None
    if commit is None:
        raise ValueError(
            f"{path}: no commit of a training, or a damaged one; all workers need the storage that rank 0 writes it to"
        )
    return commit
