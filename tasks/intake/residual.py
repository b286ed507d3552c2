"""The default network of rows that are one vector of numbers."""

from torch import Tensor, nn

HIDDEN = 128
BLOCKS = 2


class Block(nn.Module):
    """[batch, HIDDEN] -> the same shape: what two layers add to it."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Sequential(
            nn.LayerNorm(HIDDEN), nn.Linear(HIDDEN, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, HIDDEN)
        )

    def forward(self, rows: Tensor) -> Tensor:
        """Adds."""
        added: Tensor = rows + self.inner(rows)
        return added


class ResidualNetwork(nn.Sequential):
    """[batch, width] -> [batch, outputs]: Gorishniy et al., Revisiting Deep Learning Models for Tabular Data (2021).

    No batch statistics and no dropout, so that N ranks compute what one process would.
    """

    def __init__(self, width: int, outputs: int) -> None:
        blocks = [Block() for _ in range(BLOCKS)]
        super().__init__(
            nn.Linear(width, HIDDEN), *blocks, nn.LayerNorm(HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, outputs)
        )
