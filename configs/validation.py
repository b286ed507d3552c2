"""What raw rows must be like: the validation section of a project's YAML."""

from typing import Annotated, Any, Literal

from pydantic import Field

from configs.section import Section, Share, matches


class ExpectationConfig(Section):
    """One Great Expectations rule, by GX's own name or the import path of the user's own expectation class."""

    type: Annotated[
        str,
        matches(
            r"expect_[a-z0-9_]+|[A-Za-z_][\w.]*:[A-Za-z_]\w*",
            "an expectation's name such as expect_column_values_to_be_unique, or an import path such as my_rules:ExpectEven",
        ),
    ]
    """Name in Great Expectations' gallery, such as `expect_column_values_to_be_between`."""
    severity: Literal["fail", "quarantine", "warn"] = "quarantine"
    """`fail` stops the run, `quarantine` sets the offending rows aside, `warn` only reports."""
    kwargs: dict[str, Any] = {}
    """The expectation's own arguments."""


class VolumeConfig(Section):
    """How far the number of rows may lie from the last version's."""

    shrink: Share | None = 0.1
    """Share of the last version's rows by which there may be fewer; null: any."""
    grow: Annotated[float, Field(ge=0)] | None = None
    """Share by which there may be more, 1 being twice as many; null: any."""
    severity: Literal["fail", "warn"] = "fail"


class FreshnessConfig(Section):
    """How old the newest row may be."""

    column: str
    """Dates or moments, also as ISO 8601 texts (UTC where they name no zone)."""
    hours: Annotated[float, Field(gt=0)] | None = None
    """Age of the newest value at most, when the run starts; null: any."""
    not_older: bool = True
    """Whether the newest value must not be older than the last version's."""
    severity: Literal["fail", "warn"] = "fail"


class DistributionConfig(Section):
    """How far columns' values may lie from the last version's."""

    max_distance: float = Field(default=0.2, gt=0, le=0.8326)
    """Jensen-Shannon distance (0 for equal shares to 0.83 for no value in common) of a number's quantiles or
    a text's frequent values, missing ones counted too; what so many rows differ by chance alone is taken off.
    """
    columns: tuple[str, ...] = ()
    """None: all of numbers and texts that repeat."""
    severity: Literal["fail", "warn"] = "warn"


class CategoriesConfig(Section):
    """Values that columns of texts gain or lose."""

    columns: tuple[str, ...] = Field(min_length=1)
    new: int | None = Field(default=0, ge=0)
    """Different values at most that the last version does not have; null: any."""
    vanished: int | None = Field(default=0, ge=0)
    """Different values of the last version at most that are gone; null: any."""
    severity: Literal["fail", "warn"] = "warn"


class VersionComparisonConfig(Section):
    """The rows that pass, compared with the newest version that was made of other raw rows.

    A first version has nothing to compare.
    """

    volume: VolumeConfig | None = None
    freshness: FreshnessConfig | None = None
    distribution: DistributionConfig | None = None
    categories: CategoriesConfig | None = None


class ValidationConfig(Section):
    """What raw rows must be like."""

    expectations: tuple[ExpectationConfig, ...] = ()
    """The suite; `gyre data propose` writes one."""
    max_quarantined: Share = 0.05
    """The run stops when a larger share of the rows is quarantined. Rows that a person released or fixed do
    not count."""
    against_last: VersionComparisonConfig = VersionComparisonConfig()
    """Rules across versions. They are about all rows together, so none of them quarantines."""
