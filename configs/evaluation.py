"""How a model is looked at: the evaluation section of a project's YAML."""

from typing import Any

from pydantic import Field, GetJsonSchemaHandler, model_validator
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from configs.section import Section


class SliceConfig(Section):
    """Rows of the test split that have something in common.

    A column's name alone stands for {column: <name>}.
    """

    column: str | None = None
    """A column of the data set, or a descriptor such as an image's brightness: each of its most frequent
    values is a slice, of a number with many values each of `bins` ranges."""
    bins: int = Field(default=4, ge=2, le=20)
    """Ranges with about as many rows each; their edges are rounded."""
    where: str | None = None
    """A condition in SQL in place of a column, such as "age < 25 and sex = 'Female'"."""

    @classmethod
    def __get_pydantic_json_schema__(
        cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """For editors: a text, or a mapping with these keys."""
        mapping = handler(core_schema)
        return {"anyOf": [{"type": "string", "description": "A column."}, mapping]}

    @model_validator(mode="before")
    @classmethod
    def named(cls, value: Any) -> Any:
        """A text is a column's name."""
        return {"column": value} if isinstance(value, str) else value

    @model_validator(mode="after")
    def column_or_condition(self) -> "SliceConfig":
        """Exactly one of the two."""
        if (self.column is None) == (self.where is None):
            raise ValueError("give `column` or `where`, one of them")
        return self


class EvaluationConfig(Section):
    """Where a model is worse than on the whole."""

    slices: tuple[SliceConfig, ...] = ()
    """Slices that are always scored, and that gate.max_slice_drop guards."""
    max_discovered: int = Field(default=10, ge=0, le=100)
    """Slices that nobody named are looked for in all columns, descriptors and pairs of them, the worst so
    many; 0: none."""
    min_rows: int = Field(default=30, ge=2)
    """Test rows that a slice needs to be found, and to refuse a challenger; a found one has 1 % of them at
    least."""
