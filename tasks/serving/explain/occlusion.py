"""Occlusion: each part of a row is hidden in turn, and weighs as much as the answer's score falls without it.

It asks the served graph itself and nothing else, so what is explained is what answers. The score is the
probability of the answer that was given, or the number where the answer is one. All versions of a row go into
one request of at most MAX_ROWS, which the server answers in its time limit or not at all.
"""

import re
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np

from tasks.rows.raw import TEXT, Rows, TensorSpec, are_columns
from tasks.serving.models.model import Signature
from tasks.serving.protocol.notices import notices
from tasks.serving.protocol.refusal import Refusal
from tasks.serving.protocol.tensors import MAX_ROWS

WORD = re.compile(r"\S+")
MOST_PARTS = 200
"""Of one row; more words than that are hidden several at a time."""
MOST_ROWS = MAX_ROWS // (MOST_PARTS + 1)
"""Explained by one request."""
GRID = 12
"""Patches along each side of an image, at most."""
Box = tuple[int, int, int, int]
"""Top, left, bottom, right: pixels of an image."""


@dataclass(frozen=True)
class Part:
    """What is hidden at once."""

    name: str
    """A column's name, the words, or `patch`."""
    value: Any = None
    """What stands in a column."""
    box: Box | None = None
    """Of a patch."""
    span: tuple[int, int] | None = None
    """Of words: where in the text they begin and end, in characters."""


@dataclass
class Occlusion:
    """The rows of one request with their parts, made once it is known which version answers."""

    parts: list[list[Part]] = field(default_factory=list)
    """Of each row."""
    hidden: Rows | None = None
    """Each row as it is, followed by the same with each of its parts hidden."""
    notices: list[str] = field(default_factory=list)
    """What is odd about the rows themselves; of hidden ones the server would say that values are missing."""

    def hide(self, rows: Rows, signature: Signature, odd: list[str]) -> Rows:
        """What is asked about rows; `odd` is what was noticed when they were read.

        Refuses (413) too many rows, (415) inputs that have no parts.
        """
        if len(rows) > MOST_ROWS:
            raise Refusal(413, f"{len(rows)} rows; want at most {MOST_ROWS} to be explained at once")
        made: list[Rows] = []
        self.parts = []
        self.notices = [*odd, *notices(rows, signature.inputs, signature.trained)]
        for number in range(len(rows)):
            row = rows[number : number + 1]
            found, versions = hidden_parts(row, signature)
            self.parts.append(found)
            made += [row, versions]
        self.hidden = np.concatenate(made) if made else rows
        return self.hidden

    @property
    def firsts(self) -> list[int]:
        """Where among all versions each row stands as it is."""
        sizes = [1 + len(parts) for parts in self.parts]
        return [sum(sizes[:number]) for number in range(len(sizes))]


def hidden_parts(row: Rows, signature: Signature) -> tuple[list[Part], Rows]:
    """The parts of one row [1], and the row without each of them [parts]. Refuses (415) what has none."""
    inputs = signature.inputs
    if [spec.dtype for spec in inputs] == [TEXT]:
        return hidden_words(row, inputs[0].name)
    if are_columns(inputs):
        return hidden_columns(row, signature)
    if len(inputs) == 1 and len(inputs[0].shape) == 3:
        return hidden_patches(row, inputs[0].name)
    raise Refusal(415, "this model's rows are no image, text or columns, whose parts could be hidden")


def hidden_words(row: Rows, name: str) -> tuple[list[Part], Rows]:
    """A text without each of its words; with more than MOST_PARTS, without several neighbours at a time."""
    text = row[name][0]
    words = [match.span() for match in WORD.finditer(text)]
    together = max(1, -(-len(words) // MOST_PARTS))
    parts = []
    for first in range(0, len(words), together):
        begin, end = words[first][0], words[min(first + together, len(words)) - 1][1]
        parts.append(Part(text[begin:end], span=(begin, end)))
    made = np.repeat(row, len(parts))
    for number, part in enumerate(parts):
        assert part.span  # noqa: S101 - words have one
        begin, end = part.span
        made[name][number] = text[:begin] + text[end:]
    return parts, made


def hidden_columns(row: Rows, signature: Signature) -> tuple[list[Part], Rows]:
    """A row with each of its columns missing, for which the graph puts what training rows usually had."""
    if len(signature.inputs) > MOST_PARTS:
        wanted = f"want at most {MOST_PARTS} to be explained"
        raise Refusal(413, f"the model takes {len(signature.inputs)} columns; {wanted}")
    parts, made = [], np.repeat(row, len(signature.inputs))
    for number, spec in enumerate(signature.inputs):
        value = row[spec.name][0]
        parts.append(Part(spec.name, value.item() if isinstance(value, np.generic) else value))
        made[spec.name][number] = missing_value(spec, signature)
    return parts, made


def missing_value(spec: TensorSpec, signature: Signature) -> Any:
    """What stands for no value in a column: NaN, an empty text, or else the usual value."""
    if spec.dtype == TEXT:
        return ""
    if np.issubdtype(np.dtype(spec.dtype), np.floating):
        return np.nan
    known = signature.trained.get(spec.name)
    usual = (known.usual if known else None) or "0"
    return usual.lower() == "true" if spec.dtype == "bool" else np.dtype(spec.dtype).type(float(usual))


def hidden_patches(row: Rows, name: str) -> tuple[list[Part], Rows]:
    """An image with each of its patches in the image's mean colour."""
    image = row[name][0]
    height, width = image.shape[:2]
    mean = image.reshape(-1, image.shape[-1]).mean(axis=0).astype(image.dtype)
    boxes = [(top, left, bottom, right) for top, bottom in edges(height) for left, right in edges(width)]
    made = np.repeat(row, len(boxes))
    for number, (top, left, bottom, right) in enumerate(boxes):
        made[name][number, top:bottom, left:right] = mean
    return [Part("patch", box=box) for box in boxes], made


def edges(length: int) -> list[tuple[int, int]]:
    """Where the patches along one side begin and end."""
    marks = np.linspace(0, length, min(GRID, length) + 1).round().astype(int).tolist()
    return list(pairwise(marks))
