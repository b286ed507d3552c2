"""The networks of baselines, in the form of any other network.

Preprocessed rows [batch, *shape] -> [batch, outputs] float32.
"""

import math

import torch
from torch import Tensor, nn


class Constant(nn.Module):
    """The same outputs for every row."""

    def __init__(self, shape: tuple[int, ...], outputs: int) -> None:
        super().__init__()
        self.outputs = nn.Parameter(torch.zeros(outputs))

    def forward(self, rows: Tensor) -> Tensor:
        """Whatever the rows are."""
        return self.outputs.expand(rows.shape[0], -1)


class Linear(nn.Module):
    """One layer over all numbers of a row, at first 0."""

    def __init__(self, shape: tuple[int, ...], outputs: int) -> None:
        super().__init__()
        self.layer = nn.Linear(math.prod(shape), outputs)
        nn.init.zeros_(self.layer.weight)
        nn.init.zeros_(self.layer.bias)

    def forward(self, rows: Tensor) -> Tensor:
        """The layer."""
        outputs: Tensor = self.layer(rows.flatten(1))
        return outputs


class LinearOfTokens(nn.Module):
    """A weight a token and output, summed over a text's tokens and divided by the root of their number.

    Token 0 is none.
    """

    def __init__(self, shape: tuple[int, ...], outputs: int, vocabulary: int) -> None:
        super().__init__()
        self.weights = nn.EmbeddingBag(vocabulary, outputs, mode="sum", padding_idx=0)
        self.bias = nn.Parameter(torch.zeros(outputs))
        nn.init.zeros_(self.weights.weight)

    def forward(self, tokens: Tensor) -> Tensor:
        """Bag of words."""
        words = (tokens > 0).sum(1, keepdim=True).clamp(min=1)
        scaled: Tensor = self.weights(tokens) / words.sqrt() + self.bias
        return scaled
