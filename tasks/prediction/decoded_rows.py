"""Records of a person's file as raw rows where they are no columns: images, and rows of a user's own kind."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from configs.intake import ImageIntakeConfig
from tasks.rows.images import image_row
from tasks.rows.raw import Rows


def decoded_rows(records: Sequence[Any], name: str, decode: Callable[[Any], Rows]) -> Rows:
    """Raw rows of what `decode` takes, such as a file's path.

    Raises ValueError naming the file and the row.
    """
    rows = []
    for number, value in enumerate(records):
        try:
            rows.append(decode(value))
        except (ValueError, KeyError, OSError) as error:
            raise ValueError(f"{name}, row {number}: {error}") from error
    return np.concatenate(rows)


def image_rows(records: Sequence[Any], name: str, section: ImageIntakeConfig) -> tuple[Rows, list[str]]:
    """Raw rows of image files or pixel values, and notices of what was changed of them.

    Raises ValueError naming the file and the row.
    """
    changed: dict[str, list[str]] = {}

    def decode(value: Any) -> Rows:
        row, changes = image_row(value, section)
        for check, told in changes.items():
            changed.setdefault(check, []).append(told)
        return row

    rows = decoded_rows(records, name, decode)
    notices = []
    for check, images in changed.items():
        which = "the image" if len(rows) == 1 else f"{len(images)} of {len(rows)} images, the first"
        notices.append(f"{which} {told_change(check, images[0], section)}")
    return rows, notices


def told_change(check: str, told: str, section: ImageIntakeConfig) -> str:
    """What was changed of an image, in words; `told` is what `image_row` says of it."""
    match check:
        case "resized_images":
            size = f"{section.width} x {section.height}"
            return f"is {told} pixels, made {size} (intake.resize: {section.resize})"
        case "lost_colours":
            return "has colours, made grey (intake.channels: 1)"
        case _:
            return f"is converted: {told}"
