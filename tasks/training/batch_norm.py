"""Batch normalisation over the rows of all ranks, so that N ranks compute what one process would at the same global batch.

Torch's and Horovod's own layers of this kind run on a GPU alone; this one needs no more than a sum over the
ranks.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from tasks.training.strategy import Strategy


class Batch:
    """What the layers of one network are told about the rows in front of them."""

    counts = True
    """Whether they count; a rank whose share of a batch is empty computes a row that does not."""


class Sum(torch.autograd.Function):
    """The sum of all ranks' tensors.

    As each rank's result holds each rank's tensor, gradients are summed alike.
    """

    @staticmethod
    def forward(context: Any, tensor: Tensor, total: Callable[[Tensor], Tensor]) -> Tensor:
        """Sum over ranks."""
        context.total = total
        return total(tensor)

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> tuple[Tensor, None]:
        """Sum of the ranks' gradients."""
        return context.total(gradient.contiguous()), None


class BatchNorm(_BatchNorm):
    """A layer of torch's, with its parameters and statistics, that sees the rows of all ranks while it trains."""

    def __init__(self, layer: _BatchNorm, strategy: Strategy, batch: Batch) -> None:
        super().__init__(
            layer.num_features, layer.eps, layer.momentum, layer.affine, layer.track_running_stats
        )
        self.load_state_dict(layer.state_dict())
        self.total, self.batch = strategy.sum, batch
        # timm's layers go on with these.
        self.drop, self.act = (getattr(layer, name, nn.Identity()) for name in ("drop", "act"))

    def forward(self, rows: Tensor) -> Tensor:
        """[batch, channels, ...] -> the same, normalised by channel."""
        outputs: Tensor = self.act(self.drop(self.normal(rows)))
        return outputs

    def normal(self, rows: Tensor) -> Tensor:
        """The rows normalised."""
        if not self.training:
            # Without running statistics by those of this batch, as torch does: ranks may have different
            # numbers of batches to validate.
            own = self.running_mean is None
            return nn.functional.batch_norm(
                rows, self.running_mean, self.running_var, self.weight, self.bias, training=own, eps=self.eps
            )
        mean, variance, count = self.moments(rows)
        self.remember(mean.detach(), variance.detach(), count)
        shape = (1, -1, *(1,) * (rows.dim() - 2))
        normal = (rows - mean.view(shape)) * torch.rsqrt(variance + self.eps).view(shape)
        return normal * self.weight.view(shape) + self.bias.view(shape) if self.affine else normal

    def moments(self, rows: Tensor) -> tuple[Tensor, Tensor, float]:
        """Mean and variance [channels] over all ranks' rows, and how many values each is of; in one sum."""
        variance, mean = torch.var_mean(rows.float(), [0, *range(2, rows.dim())], correction=0)
        count: float = rows.numel() // rows.shape[1] if self.batch.counts else 0
        # Float64, for the mean square of all minus the square of the mean is a small difference of large
        # numbers.
        mean, variance = mean.double(), variance.double()
        mine = torch.cat([count * mean, count * (variance + mean**2), mean.new_tensor([count])])
        summed: Tensor = Sum.apply(mine, self.total)  # type: ignore[no-untyped-call]
        count = float(summed[-1].detach())
        means, squares = (summed[:-1] / count).chunk(2)
        return means.to(rows.dtype), (squares - means**2).to(rows.dtype), count

    @torch.no_grad()
    def remember(self, mean: Tensor, variance: Tensor, count: float) -> None:
        """Moves the running statistics as torch's layer does."""
        if self.running_mean is None or self.running_var is None or self.num_batches_tracked is None:
            return
        self.num_batches_tracked += 1
        share = self.momentum if self.momentum is not None else 1 / float(self.num_batches_tracked)
        self.running_mean.lerp_(mean, share)
        self.running_var.lerp_(variance * (count / max(1.0, count - 1)), share)


def synchronize(network: nn.Module, strategy: Strategy) -> Batch:
    """Replaces the network's batch normalisation, in place; names in its state stay.

    What it returns says whether rows count.

    Raises ValueError for a layer that does something else besides.
    """
    batch = Batch()
    for parent in list(network.modules()):
        for name, layer in list(parent.named_children()):
            if isinstance(layer, _BatchNorm) and not isinstance(layer, BatchNorm):
                if not type(layer).__module__.startswith(("torch.nn.", "timm.")):
                    raise ValueError(
                        f"training.network: {type(layer).__name__} normalises in a way of its own; take strategy single for it"
                    )
                setattr(
                    parent,
                    name,
                    BatchNorm(layer, strategy, batch).to(next(layer.buffers(), torch.empty(0)).device),
                )
    return batch
