"""The default network of rows that are one vector of numbers."""

from torch import Tensor, nn

HIDDEN = 128
BLOCKS = 2


class Block(nn.Module):
    """[batch, hidden] -> the same shape: what two layers add to it."""

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.inner = nn.Sequential(
            nn.LayerNorm(hidden), nn.Linear(hidden, hidden), nn.ReLU(), nn.Linear(hidden, hidden)
        )

    def forward(self, rows: Tensor) -> Tensor:
        """Adds."""
        added: Tensor = rows + self.inner(rows)
        return added


class ResidualNetwork(nn.Sequential):
    """[batch, features] -> [batch, outputs].

    Gorishniy et al., Revisiting Deep Learning Models for Tabular Data (2021).

    No batch statistics and no dropout, so that N ranks compute what one process would. `width`: share of the
    usual hidden units.
    """

    def __init__(self, features: int, outputs: int, width: float = 1.0) -> None:
        hidden = max(1, round(HIDDEN * width))
        blocks = [Block(hidden) for _ in range(BLOCKS)]
        super().__init__(
            nn.Linear(features, hidden), *blocks, nn.LayerNorm(hidden), nn.ReLU(), nn.Linear(hidden, outputs)
        )
