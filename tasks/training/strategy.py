"""How one training loop runs on one process or on many: the only place that knows of Horovod."""

from typing import Protocol

from torch import Tensor, nn
from torch.optim import Optimizer

GROUP_BYTES = 64 * 2**20
"""Gradients are averaged in groups of about this size: the first go out while the backward pass still makes the rest."""


class Strategy(Protocol):
    """The place of one process among those that train one network."""

    rank: int
    size: int

    def align(self, tensors: dict[str, Tensor]) -> None:
        """Gives every rank the tensors of rank 0, in place."""

    def averaging(self, optimizer: Optimizer, model: nn.Module) -> Optimizer:
        """The optimizer, stepping on the mean of all ranks' gradients."""

    def total(self, value: Tensor) -> float:
        """Sum of all ranks' values."""


class Single:
    """One process."""

    rank = 0
    size = 1

    def align(self, tensors: dict[str, Tensor]) -> None:
        """Nothing: there is nobody else."""

    def averaging(self, optimizer: Optimizer, model: nn.Module) -> Optimizer:
        """The optimizer itself."""
        return optimizer

    def total(self, value: Tensor) -> float:
        """The value."""
        return float(value)


class Horovod:
    """A Horovod rank; hvd.init() was called."""

    def __init__(self) -> None:
        import horovod.torch as hvd

        self.hvd = hvd
        self.rank: int = hvd.rank()
        self.size: int = hvd.size()

    def align(self, tensors: dict[str, Tensor]) -> None:
        """Broadcast, in one go."""
        self.hvd.broadcast_parameters(tensors, root_rank=0)

    def averaging(self, optimizer: Optimizer, model: nn.Module) -> Optimizer:
        """Horovod's wrapper, with fixed groups: which gradients are summed together never depends on timing."""
        size = sum(parameter.numel() * parameter.element_size() for parameter in model.parameters())
        wrapped: Optimizer = self.hvd.DistributedOptimizer(
            optimizer, named_parameters=model.named_parameters(), num_groups=1 + size // GROUP_BYTES
        )
        return wrapped

    def total(self, value: Tensor) -> float:
        """Allreduce."""
        return float(self.hvd.allreduce(value, op=self.hvd.Sum))
