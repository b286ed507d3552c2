"""Gradients in few large tensors, each averaged over Horovod's ranks as soon as the backward pass has filled it.

Horovod's own optimizer wrapper handles every parameter by itself: one name to agree on and one sum for each,
or copies through a buffer.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

FIRST_BYTES, BUCKET_BYTES = 2**20, 24 * 2**20
"""Of the first bucket, whose sum begins early in the backward pass, and of each that follows: what a sum
costs by itself is little then."""


class Bucket:
    """The gradients of some parameters, in one tensor."""

    def __init__(self, parameters: Sequence[nn.Parameter], name: str, buckets: "Buckets") -> None:
        self.name, self.buckets = name, buckets
        first = parameters[0]
        self.flat = torch.empty(
            sum(each.numel() for each in parameters), dtype=first.dtype, device=first.device
        )
        self.places: dict[nn.Parameter, Tensor] = {}
        """Each parameter's gradient within `flat`, in the parameter's order in memory."""
        self.missing = 0
        """Parameters whose gradient the backward pass has not made yet."""
        self.handle: int | None = None
        self.sent = self.flat
        offset = 0
        for parameter in parameters:
            self.places[parameter] = self.flat.as_strided(parameter.size(), parameter.stride(), offset)
            offset += parameter.numel()
            parameter.register_post_accumulate_grad_hook(self.made)

    def begin(self) -> None:
        """For the next step."""
        for parameter in self.places:
            parameter.grad = None
        self.missing = len(self.places)

    def made(self, parameter: nn.Parameter) -> None:
        """One more gradient is there, or one more piece of it."""
        if self.buckets.last:
            self.place(parameter)
            self.missing -= 1
            if not self.missing:
                self.send()

    def place(self, parameter: nn.Parameter) -> None:
        """Takes a gradient into the bucket: divided already, so that the sum over the ranks is their mean."""
        place = self.places[parameter]
        if parameter.grad is None:
            place.zero_()
        elif parameter.grad is not place:
            torch.mul(parameter.grad, 1 / self.buckets.ranks, out=place)
        parameter.grad = place

    def send(self) -> None:
        """Starts the sum."""
        hvd = self.buckets.hvd
        self.sent = self.flat.half() if self.buckets.halved else self.flat
        self.handle = hvd.allreduce_async_(self.sent, name=self.name, op=hvd.Sum)

    def receive(self) -> None:
        """Ends it; a bucket with parameters that are not part of the loss is summed only now."""
        if self.handle is None:
            for parameter in self.places:
                self.place(parameter)
            self.send()
        self.buckets.hvd.synchronize(self.handle)
        self.handle = None
        if self.sent is not self.flat:
            self.flat.copy_(self.sent)


class Buckets:
    """The gradients of a network on a rank of Horovod."""

    def __init__(self, model: nn.Module, hvd: Any, halved: bool) -> None:
        self.hvd, self.halved = hvd, halved
        self.ranks = hvd.size()
        self.last = True
        """Whether the backward pass that runs is the last of a step."""
        self.all = [
            Bucket(group, f"gradients.{number}", self) for number, group in enumerate(group_parameters(model))
        ]

    def begin(self) -> None:
        """Forgets the gradients of the step before."""
        for bucket in self.all:
            bucket.begin()

    def receive(self) -> None:
        """Waits until all are averaged."""
        for bucket in self.all:
            bucket.receive()


def group_parameters(model: nn.Module) -> list[list[nn.Parameter]]:
    """Trained parameters in about the order of the backward pass, those of one kind in groups of about FIRST_BYTES and BUCKET_BYTES."""
    groups: list[list[nn.Parameter]] = []
    kind, size = None, 0
    for parameter in reversed([each for each in model.parameters() if each.requires_grad]):
        if kind != (parameter.dtype, parameter.device) or size >= (
            BUCKET_BYTES if groups[1:] else FIRST_BYTES
        ):
            groups.append([])
            kind, size = (parameter.dtype, parameter.device), 0
        groups[-1].append(parameter)
        size += parameter.numel() * parameter.element_size()
    return groups
