"""Images as raw rows of one size: the same for training rows and for what a client has.

What is changed on the way is named. Neither torch nor pandas, which take longer to import than `gyre predict`
takes for an answer.
"""

import io
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps, UnidentifiedImageError

from configs.intake import ImageIntakeConfig
from tasks.rows.raw import Rows, TensorSpec, rows_from

Pixels = npt.NDArray[np.uint8]
COLOURED = 24
"""Grey levels between a pixel's channels from which it has a colour: grey images that were kept as colour
JPEG stay below."""
COLOURED_SHARE = 0.001
"""Of the pixels that must have one."""
ORIENTATION = 0x0112
"""EXIF's number of it; 1 is upright."""
SIDEWAYS = (5, 6, 7, 8)
"""Orientations that change sides."""


class UnreadableImageError(ValueError):
    """A file that is no image, or is cut off."""


def image_input(section: ImageIntakeConfig) -> TensorSpec:
    """The one input of a model that takes images."""
    return TensorSpec("image", "uint8", (section.height, section.width, section.channels))


def image_row(value: Any, section: ImageIntakeConfig) -> tuple[Rows, dict[str, str]]:
    """One raw row [1] of an image file, or of pixel values, and what was changed, as `read_picture` tells it.

    Raises ValueError naming what is wanted.

    value: a path, an open file, pixel values in whatever nesting, or a mapping with them in the intake's
    column
    """
    spec = image_input(section)
    if isinstance(value, (str, Path, io.BytesIO)):
        file = Path(value) if isinstance(value, str) else value
        pixels, changes = read_picture(file, section)
        return rows_from([spec], {spec.name: pixels[None]}), changes
    if isinstance(value, dict) and section.column not in value:
        there = ", ".join(value) or "nothing"
        raise ValueError(f"has no pixels in {section.column!r} (intake.column), but {there}")
    given = np.asarray(value[section.column] if isinstance(value, dict) else value)
    whole = given.dtype.kind in "iu"
    if given.size != np.prod(spec.shape) or not whole or given.min() < 0 or given.max() > 255:
        found = f"got shape {given.shape} {given.dtype}"
        raise ValueError(f"{str(value)[:80]}: want {spec.shape} whole numbers from 0 to 255, {found}")
    return rows_from([spec], {spec.name: given.reshape(1, *spec.shape)}), {}


def read_picture(file: Path | io.BytesIO, section: ImageIntakeConfig) -> tuple[Pixels, dict[str, str]]:
    """Pixels [height, width, channels] uint8 of an image file, and what was changed.

    A key of `checks` with a few words each.

    Raises UnreadableImageError for what is no image, ValueError for one of another size where intake.resize
    is error.
    """
    try:
        with Image.open(file) as opened:
            changes: dict[str, list[str]] = {}
            image = upright(opened, changes)
            plain = blended(eight_bits(image, changes), section, changes)
    except (UnidentifiedImageError, OSError, SyntaxError, EOFError, Image.DecompressionBombError) as error:
        told = str(error).replace(str(file), "the file")[:120]
        raise UnreadableImageError(f"cannot be read as an image ({type(error).__name__}: {told})") from None
    if plain.size != (section.width, section.height):
        changes["resized_images"] = [f"{plain.width} x {plain.height}"]
        plain = resized(plain, section)
    if section.channels == 1 and plain.mode == "RGB":
        if has_colour(plain):
            changes["lost_colours"] = [plain.mode]
        plain = plain.convert("L")
    pixels = np.asarray(plain.convert("L" if section.channels == 1 else "RGB"), np.uint8)
    return pixels.reshape(section.height, section.width, section.channels), {
        check: ", ".join(told) for check, told in changes.items()
    }


def picture_size(file: Path | io.BytesIO) -> tuple[int, int]:
    """Width and height of an image file as it is looked at, turned as EXIF says; its header alone is read."""
    with Image.open(file) as opened:
        width, height = opened.size
        return (height, width) if opened.getexif().get(ORIENTATION, 1) in SIDEWAYS else (width, height)


def upright(image: Image.Image, changes: dict[str, list[str]]) -> Image.Image:
    """The first frame, turned as EXIF says."""
    note = changes.setdefault("converted_images", [])
    if getattr(image, "n_frames", 1) > 1:
        note.append("first frame of several")
    if image.getexif().get(ORIENTATION, 1) != 1:
        note.append("turned as EXIF says")
    turned = ImageOps.exif_transpose(image)
    if not note:
        del changes["converted_images"]
    return turned


def eight_bits(image: Image.Image, changes: dict[str, list[str]]) -> Image.Image:
    """Grey levels of 16 bits as 8.

    Dividing keeps the order, where cutting off would make all bright pixels white.
    """
    if image.mode == "F":
        raise UnreadableImageError(
            "has floating point pixels, whose range nobody knows; write it with 8 or 16 bits"
        )
    if not image.mode.startswith("I"):
        return image
    levels = np.asarray(image, np.int64)
    if levels.size and (levels.min() < 0 or levels.max() > 65535):
        raise UnreadableImageError(f"has pixels from {levels.min()} to {levels.max()}; want 8 or 16 bits")
    changes.setdefault("converted_images", []).append("16 bits to 8")
    return Image.fromarray((levels // 257).astype(np.uint8))


def blended(image: Image.Image, section: ImageIntakeConfig, changes: dict[str, list[str]]) -> Image.Image:
    """Grey or RGB; what is transparent shows the intake's background."""
    note: list[str] = []
    if "A" in image.mode or "a" in image.mode or "transparency" in image.info:
        layered = image.convert("RGBA")
        if layered.getchannel("A").getextrema() != (255, 255):
            note.append("transparent pixels on the background")
            ground = Image.new("RGBA", layered.size, (section.background,) * 3 + (255,))
            layered = Image.alpha_composite(ground, layered)
        grey = image.mode in ("LA", "La", "L")
        image = layered.convert("L" if grey else "RGB")
    if image.mode not in ("1", "L", "RGB", "P"):
        note.append(f"{image.mode} to RGB")
    if note:
        changes.setdefault("converted_images", []).extend(note)
    return image.convert("L" if image.mode in ("1", "L") else "RGB")


def resized(image: Image.Image, section: ImageIntakeConfig) -> Image.Image:
    """An image in the intake's size, by its rule. Raises ValueError where the rule is error."""
    size, fill, how = (
        (section.width, section.height),
        (section.background,) * len(image.getbands()),
        Image.Resampling.BILINEAR,
    )
    match section.resize:
        case "error":
            raise ValueError(
                f"is {image.width} x {image.height}; want {section.width} x {section.height} (intake.resize: error); "
                "set intake.resize to stretch, pad or crop"
            )
        case "pad":
            colour: Any = fill if len(fill) > 1 else fill[0]
            return ImageOps.pad(image, size, how, color=colour)
        case "crop":
            return ImageOps.fit(image, size, how)
        case _:
            return image.resize(size, how)


def has_colour(image: Image.Image) -> bool:
    """Whether grey would lose something."""
    spread = np.ptp(np.asarray(image, np.int16), axis=2)
    return bool((spread > COLOURED).mean() > COLOURED_SHARE)
