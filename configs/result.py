"""What a model gives: the result section of a project's YAML."""

from typing import Annotated, Any, Literal

from pydantic import Field, Tag

from configs.section import Section, by_kind, import_path_or


class ClassificationResultConfig(Section):
    """One of several classes."""

    kind: Literal["classification"]
    classes: tuple[str, ...] = Field(min_length=2)
    """Class names, in the order of the network's outputs."""
    label: str = "label"
    """Column with the class of a row: written by labeling QC when there are annotators, else read from the
    source."""
    soft_label: str | None = None
    """Column with the probabilities of the classes (a list in their order; empty: the label is sure), which
    training learns from instead of the label. Where there are annotators, labeling QC writes it: how sure
    their consensus is."""
    class_weights: Literal["none", "balanced"] = "none"
    """`balanced`: every class counts the same in the loss, however few rows it has."""
    label_smoothing: float = Field(default=0.0, ge=0, lt=1)
    """Share of the truth that is spread over all classes while training: labels that may be wrong are learned
    less firmly."""


class RegressionResultConfig(Section):
    """A number."""

    kind: Literal["regression"]
    label: str = "label"
    """Column with the number, in the unit that answers are given in."""
    log: bool = False
    """Learn, and measure r2 of, log(1 + number), for amounts whose ratios matter, such as counts and prices;
    none may be under 0."""


class CustomResultConfig(Section):
    """A user's own result class by import path, called with `options`."""

    kind: Annotated[str, import_path_or("classification", "regression")]
    label: str = "label"
    """Column with the truth of a row."""
    options: dict[str, Any] = {}
    """Keyword arguments of the class."""


ResultConfig = Annotated[
    Annotated[ClassificationResultConfig, Tag("classification")]
    | Annotated[RegressionResultConfig, Tag("regression")]
    | Annotated[CustomResultConfig, Tag("custom")],
    by_kind("classification", "regression"),
]
