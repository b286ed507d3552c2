"""The network of the training benchmark: 0.99 million parameters on 28 x 28 pixels."""

from torch import nn


class Cnn(nn.Sequential):
    """Two convolutions and two linear layers."""

    def __init__(self, row_shape, outputs):
        channels = row_shape[0]
        super().__init__(
            nn.Conv2d(channels, 32, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(32, 64, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Linear(64 * 14 * 14, 77),
            nn.ReLU(),
            nn.Linear(77, outputs),
        )
