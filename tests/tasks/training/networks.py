"""Networks of a user's own."""

import os

import torch
from torch import nn


class WithStatistics(nn.Sequential):
    """Running statistics and dropout: what differs between ranks unless training takes care."""

    def __init__(self, row_shape, outputs):
        channels, height, width = row_shape
        super().__init__(
            nn.Flatten(),
            nn.Linear(channels * height * width, 64),
            nn.BatchNorm1d(64),
            nn.ReLU(),
            nn.Dropout(0.2),
            nn.Linear(64, outputs),
        )


class Straying(nn.Linear):
    """Changes its weights in the forward pass, on each rank otherwise."""

    def __init__(self, row_shape, outputs):
        super().__init__(row_shape[0] * row_shape[1] * row_shape[2], outputs)

    def forward(self, rows):
        with torch.no_grad():
            self.weight += 0.1 * int(os.environ["HOROVOD_RANK"])
        return super().forward(rows.flatten(1))


class Convolutions(nn.Sequential):
    """Batch normalisation after a convolution."""

    def __init__(self, row_shape, outputs):
        channels, height, width = row_shape
        super().__init__(
            nn.Conv2d(channels, 8, 3, padding=1, bias=False),
            nn.BatchNorm2d(8),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(8, 16, 3, padding=1, bias=False),
            nn.BatchNorm2d(16, momentum=None),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(16 * (height // 2) * (width // 2), outputs),
        )


class Embedded(nn.Sequential):
    """Token ids, summed; asks for the number of ids, and for a width."""

    def __init__(self, row_shape, outputs, vocabulary, width=8):
        super().__init__(nn.EmbeddingBag(vocabulary, width, mode="sum"), nn.Linear(width, outputs))


class Layers(nn.Sequential):
    """Nothing but linear layers."""

    def __init__(self, row_shape, outputs):
        channels, height, width = row_shape
        super().__init__(
            nn.Flatten(), nn.Linear(channels * height * width, 64), nn.ReLU(), nn.Linear(64, outputs)
        )
