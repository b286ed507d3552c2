"""How one training loop runs on one process or on many: the only place that knows of Horovod and DDP."""

import os
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from configs.project import Training

GROUP_BYTES = 64 * 2**20
"""Gradients are averaged in groups of about this size: the first go out while the backward pass still makes the rest."""


class Strategy(Protocol):
    """The place of one process among those that train one network."""

    rank: int
    size: int
    device: torch.device

    def align(self, tensors: dict[str, Tensor]) -> None:
        """Gives every rank the tensors of rank 0, in place."""

    def averaging(self, optimizer: Optimizer, model: nn.Module, training: Training) -> Optimizer:
        """The optimizer, stepping on the mean of all ranks' gradients."""

    def parallel(self, forward: nn.Module) -> nn.Module:
        """The module that training calls; called before the optimizer is made."""

    def piece(self, forward: nn.Module, last: bool) -> AbstractContextManager[object]:
        """Surrounds forward and backward pass of a piece of a batch; gradients are averaged after the last."""

    def step(self, optimizer: Optimizer, model: nn.Module, clip: float | None) -> None:
        """A step on the averaged gradients, their norm at most `clip`."""

    def total(self, value: Tensor) -> float:
        """Sum of all ranks' values."""

    def gather(self, values: Tensor) -> Tensor:
        """All ranks' rows, rank by rank; on the CPU."""


class Single:
    """One process; what strategies with more ranks have in common with it, they inherit."""

    rank: int = 0
    size: int = 1

    def __init__(self) -> None:
        self.device = device(0)

    def align(self, tensors: dict[str, Tensor]) -> None:
        """Nothing: there is nobody else."""

    def averaging(self, optimizer: Optimizer, model: nn.Module, training: Training) -> Optimizer:
        """The optimizer itself."""
        return optimizer

    def parallel(self, forward: nn.Module) -> nn.Module:
        """As it is."""
        return forward

    def piece(self, forward: nn.Module, last: bool) -> AbstractContextManager[object]:
        """Nothing."""
        return nullcontext()

    def step(self, optimizer: Optimizer, model: nn.Module, clip: float | None) -> None:
        """As it is."""
        clipped(model, clip)
        optimizer.step()

    def total(self, value: Tensor) -> float:
        """The value."""
        return float(value)

    def gather(self, values: Tensor) -> Tensor:
        """The rows themselves."""
        return values.cpu()


class Horovod(Single):
    """A Horovod rank; hvd.init() was called."""

    def __init__(self) -> None:
        import horovod.torch as hvd

        self.hvd = hvd
        self.rank: int = hvd.rank()
        self.size: int = hvd.size()
        self.device = device(hvd.local_rank())

    def align(self, tensors: dict[str, Tensor]) -> None:
        """Broadcast, in one go."""
        self.hvd.broadcast_parameters(tensors, root_rank=0)

    def averaging(self, optimizer: Optimizer, model: nn.Module, training: Training) -> Optimizer:
        """Horovod's wrapper, with fixed groups: which gradients are summed together never depends on timing."""
        size = sum(parameter.numel() * parameter.element_size() for parameter in model.parameters())
        options: dict[str, Any] = {"num_groups": 1 + size // GROUP_BYTES, "backward_passes_per_step": training.accumulate}
        if training.compression == "fp16":
            options["compression"] = self.hvd.Compression.fp16
        wrapped: Optimizer = self.hvd.DistributedOptimizer(optimizer, named_parameters=model.named_parameters(), **options)
        return wrapped

    def step(self, optimizer: Any, model: nn.Module, clip: float | None) -> None:
        """Waits for the averages first where they are clipped."""
        if clip is None:
            optimizer.step()
            return
        optimizer.synchronize()
        clipped(model, clip)
        with optimizer.skip_synchronize():
            optimizer.step()

    def total(self, value: Tensor) -> float:
        """Allreduce."""
        return float(self.hvd.allreduce(value, op=self.hvd.Sum))

    def gather(self, values: Tensor) -> Tensor:
        """Allgather; ranks may have different numbers of rows."""
        gathered: Tensor = self.hvd.allgather(values.cpu())
        return gathered


class Ddp(Single):
    """A rank of torch.distributed; the process group was made. Gradients come averaged to the optimizer."""

    def __init__(self) -> None:
        from torch import distributed

        self.distributed = distributed
        self.rank: int = distributed.get_rank()
        self.size: int = distributed.get_world_size()
        self.device = device(int(os.environ["LOCAL_RANK"]))

    def align(self, tensors: dict[str, Tensor]) -> None:
        """Broadcast, one after the other."""
        with torch.no_grad():
            for tensor in tensors.values():
                self.distributed.broadcast(tensor, src=0)

    def parallel(self, forward: nn.Module) -> nn.Module:
        """Torch's DistributedDataParallel; running statistics are aligned by the loop."""
        from torch.nn.parallel import DistributedDataParallel

        if not any(parameter.requires_grad for parameter in forward.parameters()):
            return forward
        return DistributedDataParallel(forward, broadcast_buffers=False, gradient_as_bucket_view=True)

    def piece(self, forward: Any, last: bool) -> AbstractContextManager[object]:
        """Averages after the last piece alone."""
        quiet: AbstractContextManager[object] = nullcontext() if last or not hasattr(forward, "no_sync") else forward.no_sync()
        return quiet

    def total(self, value: Tensor) -> float:
        """Allreduce."""
        summed = value.clone()
        self.distributed.all_reduce(summed)
        return float(summed)

    def gather(self, values: Tensor) -> Tensor:
        """All ranks' rows, padded to the longest on the way."""
        counts = torch.zeros(self.size, dtype=torch.int64, device=self.device)
        counts[self.rank] = len(values)
        self.distributed.all_reduce(counts)
        padded = torch.zeros((int(counts.max()), *values.shape[1:]), dtype=values.dtype, device=self.device)
        padded[: len(values)] = values.to(self.device)
        gathered = [torch.empty_like(padded) for _ in range(self.size)]
        self.distributed.all_gather(gathered, padded)
        return torch.cat([each[:count] for each, count in zip(gathered, counts.tolist(), strict=True)]).cpu()


def of(training: Training) -> Strategy:
    """The strategy that the YAML names, on a rank that is connected."""
    if training.strategy == "single":
        return Single()
    return Horovod() if training.strategy == "horovod" else Ddp()


def device(local_rank: int) -> torch.device:
    """The rank's own GPU where there is one, else the CPU."""
    if not torch.cuda.is_available():
        return torch.device("cpu")
    chosen = torch.device("cuda", local_rank % torch.cuda.device_count())
    torch.cuda.set_device(chosen)
    return chosen


def clipped(model: nn.Module, clip: float | None) -> None:
    """Scales the gradients down to a norm of `clip`."""
    if clip is not None:
        nn.utils.clip_grad_norm_(model.parameters(), clip)
