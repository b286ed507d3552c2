"""Gradients as views of few large tensors, each averaged over Horovod's ranks as soon as the backward pass has filled it.

Horovod's own optimizer wrapper handles every parameter by itself; one tensor needs no copies into a fusion buffer, one name to agree on,
and no waiting for a next cycle.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

BUCKET_BYTES = 32 * 2**20
"""The first are summed while the backward pass still makes the rest."""


class Bucket:
    """The gradients of some parameters, in one tensor."""

    def __init__(self, parameters: Sequence[nn.Parameter], name: str, buckets: "Buckets") -> None:
        self.parameters, self.name, self.buckets = parameters, name, buckets
        first = parameters[0]
        self.flat = torch.zeros(sum(each.numel() for each in parameters), dtype=first.dtype, device=first.device)
        self.missing = 0
        """Parameters whose gradient the backward pass has not made yet."""
        self.handle: int | None = None
        self.sent = self.flat
        offset = 0
        for parameter in parameters:
            parameter.grad = self.flat.as_strided(parameter.size(), parameter.stride(), offset)
            offset += parameter.numel()
            parameter.register_post_accumulate_grad_hook(self.filled)

    def begin(self) -> None:
        """For the next step."""
        self.flat.zero_()
        self.missing = len(self.parameters)

    def filled(self, _: Tensor) -> None:
        """One more gradient is there."""
        if self.buckets.last:
            self.missing -= 1
            if not self.missing:
                self.send()

    def send(self) -> None:
        """Starts the averaging."""
        hvd = self.buckets.hvd
        self.sent = self.flat.half() if self.buckets.halved else self.flat
        self.handle = hvd.allreduce_async_(self.sent, name=self.name, op=hvd.Average)

    def receive(self) -> None:
        """Ends it; one whose parameters are not all part of the loss is averaged only now."""
        if self.handle is None:
            self.send()
        self.buckets.hvd.synchronize(self.handle)
        self.handle = None
        if self.sent is not self.flat:
            self.flat.copy_(self.sent)


class Buckets:
    """The gradients of a network on a rank of Horovod. Parameters keep their `grad` for good: nothing may set it to None."""

    def __init__(self, model: nn.Module, hvd: Any, halved: bool) -> None:
        self.hvd, self.halved = hvd, halved
        self.last = True
        """Whether the backward pass that runs is the last of a step."""
        self.all = [Bucket(group, f"gradients.{number}", self) for number, group in enumerate(grouped(model))]

    def begin(self) -> None:
        """Sets all gradients to zero."""
        for bucket in self.all:
            bucket.begin()

    def receive(self) -> None:
        """Waits until all are averaged."""
        for bucket in self.all:
            bucket.receive()


def grouped(model: nn.Module) -> list[list[nn.Parameter]]:
    """Trained parameters in about the order of the backward pass, those of one kind in groups of BUCKET_BYTES."""
    groups: list[list[nn.Parameter]] = []
    kind, size = None, 0
    for parameter in reversed([each for each in model.parameters() if each.requires_grad]):
        if kind != (parameter.dtype, parameter.device) or size >= BUCKET_BYTES:
            groups.append([])
            kind, size = (parameter.dtype, parameter.device), 0
        groups[-1].append(parameter)
        size += parameter.numel() * parameter.element_size()
    return groups
