"""The default network of images.

Residual and free of batch statistics, so that N ranks compute what one process would.

He et al., Deep Residual Learning (2015); Brock et al., Characterizing signal propagation in unnormalized
ResNets (2021).
"""

import math

import torch
from torch import Tensor, nn

STEM = 16
WIDEST = 128
NARROWEST = 4
"""Channels: what a share of the width is rounded to a multiple of."""
SMALLEST = 4
"""Pixels: a side is halved as long as this much is left."""
DEEPER = 16
"""Pixels: from this side on a scale has a residual block as well.

On larger ones it would cost more than all the rest.
"""
GAIN = math.sqrt(2 / (1 - 1 / math.pi))
"""Makes the variance of a rectified standard normal 1 again."""


class Convolution(nn.Conv2d):
    """3 x 3, rectified: [batch, channels, height, width] -> [batch, outputs, height / stride, width / stride].

    Each output's weights have mean 0 and a norm that is learned, at first such that rows of variance 1 stay
    so: what batch normalisation does, at a cost that does not grow with the batch.
    """

    def __init__(self, channels: int, outputs: int, stride: int = 1, share: float = 1.0) -> None:
        super().__init__(channels, outputs, 3, padding=1, stride=stride)
        # As images lie in memory: 1.1 to 1.2 times the rows a second.
        self.weight.data = self.weight.data.contiguous(memory_format=torch.channels_last)
        self.norm = nn.Parameter(torch.full((outputs, 1, 1, 1), share * GAIN))

    def forward(self, rows: Tensor) -> Tensor:
        """Convolves and rectifies."""
        # Torch's var_mean of the same took a tenth of a training step.
        centred = self.weight - self.weight.mean((1, 2, 3), keepdim=True)
        scale = self.norm * torch.rsqrt(centred.square().sum((1, 2, 3), keepdim=True) + 1e-4)
        return torch.relu(self._conv_forward(rows, centred * scale, self.bias))


class Block(nn.Module):
    """[batch, channels, height, width] -> the same shape.

    What two convolutions add to it, little at first.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.inner = nn.Sequential(
            Convolution(channels, channels), Convolution(channels, channels, share=0.2)
        )

    def forward(self, rows: Tensor) -> Tensor:
        """Adds."""
        added: Tensor = rows + self.inner(rows)
        return added


class Mean(nn.Module):
    """[batch, channels, height, width] -> [batch, channels]: the mean of each channel.

    One operator in ONNX; torch's adaptive pooling becomes nine, 6 % of the time of a network of a quarter
    of the width.
    """

    def forward(self, rows: Tensor) -> Tensor:
        """Averages."""
        return rows.mean((2, 3))


class ConvolutionalNetwork(nn.Sequential):
    """[batch, channels, height, width] -> [batch, outputs].

    Each scale has half the side and twice the channels of the one before.

    `width`: share of the usual channels.
    """

    def __init__(self, shape: tuple[int, ...], outputs: int, width: float = 1.0) -> None:
        channels, *sides = shape
        narrow, widest = (max(1, round(each * width / NARROWEST)) * NARROWEST for each in (STEM, WIDEST))
        side, wide = min(sides), narrow
        layers: list[nn.Module] = [Convolution(channels, wide)]
        while -(-side // 2) >= SMALLEST:
            side, before, wide = -(-side // 2), wide, min(2 * wide, widest)
            layers.append(Convolution(before, wide, stride=2))
            if side <= DEEPER:
                layers.append(Block(wide))
        super().__init__(*layers, Mean(), nn.Flatten(), nn.Linear(wide, outputs))
