"""Images of one size: unsigned bytes, height x width x channels."""

import io
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from torch import Tensor, nn

from configs.intake import ImageIntakeConfig
from tasks.intake import Encoded, Encoder, Preprocessing, Rows, TensorSpec
from tasks.intake.convolutional import ConvolutionalNetwork
from tasks.intake.encoder import Identity
from tasks.rows.images import image_input, image_row
from tasks.rows.raw import rows_from

COLOURS = 3
"""Channels of an image in colour: red, green and blue."""


class Normalize(Preprocessing):
    """[batch, height, width, channels] uint8 -> [batch, channels, height, width] float32, zero mean and unit deviation a channel."""

    mean: Tensor
    deviation: Tensor

    def __init__(self, section: ImageIntakeConfig) -> None:
        super().__init__()
        self.shape = (section.channels, section.height, section.width)
        self.register_buffer("mean", torch.zeros(section.channels))
        self.register_buffer("deviation", torch.ones(section.channels))

    def fit(self, encoded: Encoded) -> None:
        """Mean and deviation of each channel over all pixels of the training rows.

        A constant channel keeps deviation 1.
        """
        self.mean.copy_(torch.from_numpy(encoded.mean(axis=(0, 1, 2), dtype=np.float64)))
        deviation = encoded.std(axis=(0, 1, 2), dtype=np.float64)
        self.deviation.copy_(torch.from_numpy(np.where(deviation > 0, deviation, 1.0)))

    def forward(self, rows: Tensor) -> Tensor:
        """Normalises in float32."""
        return ((rows.to(torch.float32) - self.mean) / self.deviation).permute(0, 3, 1, 2)


class ImageRows:
    """See tasks/intake/__init__.py: Intake."""

    def __init__(self, section: ImageIntakeConfig) -> None:
        self.section = section
        self.columns: tuple[str, ...] = (section.column,)
        self.inputs: tuple[TensorSpec, ...] = (image_input(section),)
        self.shift = min(section.height, section.width) // 8 if section.shift is None else section.shift
        self.draws = 3 if self.shift or section.flip else 0

    def rows(self, frame: pd.DataFrame) -> Rows:
        """`image`: [rows, height, width, channels] uint8.

        Raises ValueError for pixels that are no bytes, or not as many as wanted.
        """
        pixels = np.stack(frame[self.section.column].to_list())
        if pixels.dtype != np.uint8 and (
            pixels.dtype.kind not in "iu" or pixels.min() < 0 or pixels.max() > 255
        ):
            raise ValueError(
                f"{pixels.dtype} pixels from {pixels.min()} to {pixels.max()}; want whole numbers from 0 to 255"
            )
        shaped = pixels.reshape(-1, *self.inputs[0].shape)
        if len(shaped) != len(frame):
            raise ValueError(f"has {pixels.size // len(frame)} values")
        return rows_from(self.inputs, {"image": shaped})

    def frame(self, rows: Rows) -> pd.DataFrame:
        """A column with a flat list of bytes a row."""
        return pd.DataFrame({self.section.column: list(rows["image"].reshape(len(rows), -1))})

    def decode(self, value: Any) -> Rows:
        """From an image file, as training rows are read, or from pixel values."""
        return image_row(value, self.section)[0]

    def describe(self, rows: Rows) -> pd.DataFrame:
        """Brightness, contrast, ink (share of bright pixels), sharpness, grain, centre, and of three channels colours.

        Sharpness is the mean step between neighbours, grain how much larger it is across than down.
        """
        pixels = rows["image"].astype(np.float64)
        grey = pixels.mean(axis=3)
        mass = grey.sum(axis=(1, 2)) + 1e-9
        down, across = (np.abs(np.diff(grey, axis=axis)).mean(axis=(1, 2)) for axis in (1, 2))
        found = {
            "brightness": grey.mean(axis=(1, 2)),
            "contrast": grey.std(axis=(1, 2)),
            "ink": (grey > 127).mean(axis=(1, 2)),
            "sharpness": (down + across) / 2,
            "grain": across - down,
            "centre_x": (grey.sum(axis=1) * np.arange(self.section.width)).sum(axis=1) / mass,
            "centre_y": (grey.sum(axis=2) * np.arange(self.section.height)).sum(axis=1) / mass,
        }
        if self.section.channels == COLOURS:
            red, green, blue = (pixels[..., channel].mean(axis=(1, 2)) for channel in range(COLOURS))
            found["colourfulness"] = (pixels.max(axis=3) - pixels.min(axis=3)).mean(axis=(1, 2))
            found |= {"red to green": red - green, "yellow to blue": (red + green) / 2 - blue}
        return pd.DataFrame(found)

    def features(self, rows: Rows) -> npt.NDArray[np.float32]:
        """The pixels."""
        return rows["image"].reshape(len(rows), -1).astype(np.float32)

    def picture(self, rows: Rows, titles: list[str]) -> bytes:
        """A contact sheet of up to 36, spread over the rows."""
        from matplotlib.figure import Figure

        shown = np.unique(np.linspace(0, len(rows) - 1, 36).astype(int))
        lines = -(-len(shown) // 12)
        figure = Figure(figsize=(9, 0.9 * lines), layout="constrained")
        panels = figure.subplots(lines, 12).ravel()
        for axes in panels:
            axes.axis("off")
        for number, axes in zip(shown, panels, strict=False):
            axes.imshow(rows["image"][number].squeeze(), cmap="gray", vmin=0, vmax=255)
            axes.set_title(titles[number], fontsize=8, pad=2)
        image = io.BytesIO()
        figure.savefig(image, format="png", dpi=100)
        return image.getvalue()

    def encoder(self) -> Encoder:
        """The pixels as they are."""
        return Identity(self.inputs[0])

    def preprocessing(self, encoder: Encoder) -> Preprocessing:
        """Per-channel normalisation."""
        return Normalize(self.section)

    def network(
        self, encoder: Encoder, shape: tuple[int, ...], outputs: int, width: float = 1.0
    ) -> nn.Module:
        """A small residual network."""
        return ConvolutionalNetwork(shape, outputs, width)

    def augment(self, encoded: Tensor, draws: Tensor) -> Tensor:
        """Moves each image by up to `shift` pixels along both axes, and mirrors half.

        What comes in at an edge repeats the edge.
        """
        if not self.draws:
            return encoded
        moves = (draws[:, :2] * (2 * self.shift + 1)).long() - self.shift
        down = (torch.arange(self.section.height) - moves[:, :1]).clamp(0, self.section.height - 1)
        right = (torch.arange(self.section.width) - moves[:, 1:]).clamp(0, self.section.width - 1)
        if self.section.flip:
            right = torch.where(draws[:, 2:] < 0.5, right, self.section.width - 1 - right)
        return encoded[torch.arange(len(encoded))[:, None, None], down[:, :, None], right[:, None, :]]
