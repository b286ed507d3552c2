"""How one training loop runs on one process or on many.

The only place that knows of Horovod, DDP and FSDP.
"""

from contextlib import AbstractContextManager, nullcontext
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from configs.training import Strategy as StrategyName
from configs.training import TrainingConfig
from tasks.training.gradient_buckets import Buckets


class Strategy(Protocol):
    """The place of one process among those that train one network."""

    rank: int
    size: int
    device: torch.device
    sharded: bool
    """Whether a forward pass needs all ranks, because each has but a part of the network."""

    def align(self, tensors: dict[str, Tensor]) -> None:
        """Gives every rank the tensors of rank 0, in place."""

    def averaging(self, model: nn.Module, training: TrainingConfig) -> None:
        """Has gradients averaged over the ranks from now on."""

    def zero(self, optimizer: Optimizer) -> None:
        """Forgets the gradients of the step before."""

    def parallel(self, model: nn.Module) -> nn.Module:
        """The module that training calls for the model's outputs; called before the optimizer is made."""

    def piece(self, forward: nn.Module, last: bool) -> AbstractContextManager[object]:
        """Surrounds forward and backward pass of a piece of a batch.

        Gradients are averaged after the last.
        """

    def step(self, optimizer: Optimizer, model: nn.Module, clip: float | None) -> None:
        """A step on the averaged gradients, their norm at most `clip`."""

    def sum(self, tensor: Tensor) -> Tensor:
        """Sum of all ranks' tensors."""

    def whole(self, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
        """The tensors as one process has them, where ranks have parts of them; called by all ranks."""

    def parts(self, tensors: dict[str, Tensor], like: dict[str, Tensor]) -> dict[str, Tensor]:
        """The inverse of `whole`: this rank's part of each, as that of its namesake in `like`."""

    def gather(self, values: Tensor) -> Tensor:
        """All ranks' rows, rank by rank; on the CPU."""


class Outputs(nn.Module):
    """A model up to where the loss begins, as what torch's wrappers can call."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, encoded: Tensor) -> Tensor:
        """Encoded rows [batch, ...] -> network outputs [batch, outputs]."""
        outputs: Tensor = self.model.outputs(encoded)
        return outputs


class Single:
    """One process; what strategies with more ranks have in common with it, they inherit."""

    rank: int = 0
    size: int = 1
    sharded = False

    def __init__(self) -> None:
        self.device = device()

    def align(self, tensors: dict[str, Tensor]) -> None:
        """Nothing: there is nobody else."""

    def averaging(self, model: nn.Module, training: TrainingConfig) -> None:
        """Nothing."""

    def zero(self, optimizer: Optimizer) -> None:
        """As it is."""
        optimizer.zero_grad()

    def parallel(self, model: nn.Module) -> nn.Module:
        """As it is."""
        return Outputs(model)

    def piece(self, forward: nn.Module, last: bool) -> AbstractContextManager[object]:
        """Nothing."""
        return nullcontext()

    def step(self, optimizer: Optimizer, model: nn.Module, clip: float | None) -> None:
        """As it is."""
        clip_gradients(model, clip)
        optimizer.step()

    def sum(self, tensor: Tensor) -> Tensor:
        """The tensor."""
        return tensor

    def whole(self, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
        """As they are."""
        return tensors

    def parts(self, tensors: dict[str, Tensor], like: dict[str, Tensor]) -> dict[str, Tensor]:
        """As they are."""
        return tensors

    def gather(self, values: Tensor) -> Tensor:
        """The rows themselves."""
        return values.cpu()


class Horovod(Single):
    """A Horovod rank; hvd.init() was called."""

    def __init__(self) -> None:
        super().__init__()
        import horovod.torch as hvd

        self.hvd = hvd
        self.rank: int = hvd.rank()
        self.size: int = hvd.size()

    def align(self, tensors: dict[str, Tensor]) -> None:
        """Broadcast, in one go."""
        whole = {name: tensor.contiguous() for name, tensor in tensors.items()}
        self.hvd.broadcast_parameters(whole, root_rank=0)
        with torch.no_grad():
            for name, tensor in tensors.items():
                tensor.copy_(whole[name])

    def averaging(self, model: nn.Module, training: TrainingConfig) -> None:
        """Gradients go into buckets."""
        self.buckets = Buckets(model, self.hvd, halved=training.compression == "fp16")

    def zero(self, optimizer: Optimizer) -> None:
        """As the buckets forget them."""
        self.buckets.begin()

    def piece(self, forward: nn.Module, last: bool) -> AbstractContextManager[object]:
        """Averages after the last piece alone."""
        self.buckets.last = last
        return nullcontext()

    def step(self, optimizer: Optimizer, model: nn.Module, clip: float | None) -> None:
        """Once the averages are there."""
        self.buckets.receive()
        super().step(optimizer, model, clip)

    def sum(self, tensor: Tensor) -> Tensor:
        """Allreduce."""
        summed: Tensor = self.hvd.allreduce(tensor, op=self.hvd.Sum)
        return summed

    def gather(self, values: Tensor) -> Tensor:
        """Allgather; ranks may have different numbers of rows."""
        gathered: Tensor = self.hvd.allgather(values.cpu())
        return gathered


class Distributed(Single):
    """A rank of torch.distributed, whose process group was made."""

    def __init__(self) -> None:
        super().__init__()
        from torch import distributed

        self.distributed = distributed
        self.rank: int = distributed.get_rank()
        self.size: int = distributed.get_world_size()

    def align(self, tensors: dict[str, Tensor]) -> None:
        """Broadcast, one after the other."""
        with torch.no_grad():
            for tensor in tensors.values():
                whole = tensor.contiguous()
                self.distributed.broadcast(whole, src=0)
                tensor.copy_(whole)

    def sum(self, tensor: Tensor) -> Tensor:
        """Allreduce."""
        summed = tensor.clone()
        self.distributed.all_reduce(summed)
        return summed

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


class Ddp(Distributed):
    """Every rank has the whole network; gradients come averaged to the optimizer."""

    def parallel(self, model: nn.Module) -> nn.Module:
        """Torch's DistributedDataParallel; running statistics are aligned by the loop."""
        from torch.nn.parallel import DistributedDataParallel

        forward = Outputs(model)
        if not any(parameter.requires_grad for parameter in forward.parameters()):
            return forward
        return DistributedDataParallel(forward, broadcast_buffers=False, gradient_as_bucket_view=True)

    def piece(self, forward: Any, last: bool) -> AbstractContextManager[object]:
        """Averages after the last piece alone."""
        quiet: AbstractContextManager[object] = (
            nullcontext() if last or not hasattr(forward, "no_sync") else forward.no_sync()
        )
        return quiet


class Fsdp(Distributed):
    """Every rank has a part of each parameter, gradient and optimizer state.

    A layer's parameters are whole while it computes.
    """

    sharded = True

    def parallel(self, model: nn.Module) -> nn.Module:
        """Torch's fully_shard, layer by layer; the optimizer is then made of the parts."""
        from torch.distributed.device_mesh import init_device_mesh
        from torch.distributed.fsdp import fully_shard, register_fsdp_forward_method

        mesh = init_device_mesh(self.device.type, (self.size,))
        for parameter in model.parameters():
            # It takes no other order in memory.
            parameter.data = parameter.data.contiguous()
        for layer in [each for each in model.modules() if each is not model]:
            if next(layer.parameters(recurse=False), None) is not None:
                fully_shard(layer, mesh=mesh)
        fully_shard(model, mesh=mesh)
        register_fsdp_forward_method(model, "outputs")
        return Outputs(model)

    def piece(self, forward: Any, last: bool) -> AbstractContextManager[object]:
        """Averages after the last piece alone."""
        forward.model.set_requires_gradient_sync(last)
        return nullcontext()

    def whole(self, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
        """Gathered on the CPU, one after the other, so that the device never holds them all."""
        return {
            name: tensor.full_tensor().cpu() if hasattr(tensor, "full_tensor") else tensor
            for name, tensor in tensors.items()
        }

    def parts(self, tensors: dict[str, Tensor], like: dict[str, Tensor]) -> dict[str, Tensor]:
        """Cut as the parameters are."""
        from torch.distributed.tensor import DTensor, distribute_tensor

        def part(tensor: Tensor, model: Tensor | None) -> Tensor:
            if not isinstance(model, DTensor) or tensor.shape != model.shape:
                return tensor
            return distribute_tensor(tensor.to(self.device), model.device_mesh, model.placements)

        return {name: part(tensor, like.get(name)) for name, tensor in tensors.items()}


def build_strategy(training: TrainingConfig) -> Strategy:
    """The strategy that the YAML names, on a rank that is connected."""
    kinds: dict[StrategyName, type[Single]] = {"single": Single, "horovod": Horovod, "ddp": Ddp, "fsdp": Fsdp}
    return kinds[training.strategy]()


def device() -> torch.device:
    """The GPU that the rank was given (infra/ranks/joining.py) where there is one, else the CPU."""
    return (
        torch.device("cuda", torch.cuda.current_device())
        if torch.cuda.is_available()
        else torch.device("cpu")
    )


def clip_gradients(model: nn.Module, clip: float | None) -> None:
    """Scales the gradients down to a norm of `clip`."""
    if clip is not None:
        nn.utils.clip_grad_norm_(model.parameters(), clip)
