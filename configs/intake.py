"""What a model takes in: the intake section of a project's YAML."""

from typing import Annotated, Any, Literal

from pydantic import Field, Tag, model_validator

from configs.section import Section, by_kind, import_path_or


class ImageIntakeConfig(Section):
    """Rows are images of one size."""

    kind: Literal["image"]
    column: str = "image"
    """Column with the pixels: height x width x channels unsigned bytes, row by row."""
    height: int = Field(ge=1, le=4096)
    """Pixels."""
    width: int = Field(ge=1, le=4096)
    """Pixels."""
    channels: Literal[1, 3] = 1
    """1 = grey, 3 = RGB."""
    resize: Literal["stretch", "pad", "crop", "error"] = "stretch"
    """What becomes of an image of another size, in training and for clients alike: `stretch` forgets its
    proportions, `pad` keeps all of it on the background, `crop` keeps its middle, `error` stops the run. How
    many, of which sizes, is a finding (checks.resized_images)."""
    background: int = Field(default=255, ge=0, le=255)
    """Grey level behind transparent pixels and around padded images."""
    shift: int | None = Field(default=None, ge=0, le=64)
    """Augmentation: training images move by up to this many pixels in each direction.

    None: an eighth of the shorter side; 0: none.
    """
    flip: bool = False
    """Augmentation: half of the training images are mirrored, left to right.

    Not for writing, or whatever else has a hand.
    """


class TabularIntakeConfig(Section):
    """Rows are values in named columns, each an input of the graph.

    A value may be missing; training rows say what stands for it.
    """

    kind: Literal["tabular"]
    numeric: tuple[str, ...] = ()
    """Columns of numbers; a missing one takes the training median."""
    categorical: tuple[str, ...] = ()
    """Columns of texts or codes without an order; a value that training rows do not have counts as missing.
    """
    dates: tuple[str, ...] = ()
    """Columns of moments: timestamps, texts such as 2026-01-31T12:00 (UTC where they name no zone), or
    numbers."""
    date_formats: dict[str, str] = {}
    """How values of `dates` columns are written, such as {booked: "%d/%m/%Y"}: as strptime has it, or for
    numbers seconds, milliseconds, microseconds, nanoseconds (since 1970) or excel (days). Of a column that is
    not named here, and whose contract names no format, the one format of all its values is found; where two
    fit alike, the run stops and shows both. Years of two digits are 1969 to 2068."""

    @model_validator(mode="after")
    def names_columns_once(self) -> "TabularIntakeConfig":
        """A column is an input, and an input has one kind."""
        columns = (*self.numeric, *self.categorical, *self.dates)
        if not columns:
            raise ValueError("names no column; give at least one in `numeric`, `categorical` or `dates`")
        if twice := [column for number, column in enumerate(columns) if column in columns[:number]]:
            raise ValueError(
                f"names column {twice[0]!r} twice; a column is either numeric, categorical or a date"
            )
        if other := [column for column in self.date_formats if column not in self.dates]:
            raise ValueError(
                f"date_formats names {other[0]!r}, which is none of `dates` ({', '.join(self.dates) or 'it is empty'})"
            )
        return self


class TextIntakeConfig(Section):
    """Rows are texts."""

    kind: Literal["text"]
    column: str = "text"
    """Column with the text, also the name of the graph's input."""
    vocabulary: int = Field(default=20_000, ge=3, le=1_000_000)
    """At most so many different tokens are told apart, the most frequent of the training rows; the others are
    all one, the unknown."""
    length: int = Field(default=64, ge=1, le=4096)
    """Tokens of a text that are read, from its beginning."""


class CustomIntakeConfig(Section):
    """A user's own intake class by import path, called with `options`."""

    kind: Annotated[str, import_path_or("image", "tabular", "text")]
    options: dict[str, Any] = {}
    """Keyword arguments of the class."""


IntakeConfig = Annotated[
    Annotated[ImageIntakeConfig, Tag("image")]
    | Annotated[TabularIntakeConfig, Tag("tabular")]
    | Annotated[TextIntakeConfig, Tag("text")]
    | Annotated[CustomIntakeConfig, Tag("custom")],
    by_kind("image", "tabular", "text"),
]
