"""What every part of the YAML shares: strict, frozen sections and the named kinds of text in them."""

import re
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Discriminator, Field, GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema
from pydantic_core.core_schema import no_info_after_validator_function


@dataclass(frozen=True)
class Matches:
    """Text that is one of `names` or matches `pattern` as a whole; `described` says the pattern in errors."""

    pattern: str
    names: tuple[str, ...]
    described: str

    def check(self, value: str) -> str:
        """The value, if it is allowed. Raises ValueError."""
        if value not in self.names and not re.fullmatch(self.pattern, value):
            allowed = " or ".join((*self.names, self.described))
            raise ValueError(f"{value!r} is not allowed; use {allowed}")
        return value

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Pydantic's own text, then the check."""
        return no_info_after_validator_function(self.check, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """For editors: the names are offered, anything else has to match."""
        matching = {"type": "string", "pattern": f"^(?:{self.pattern})$", "title": self.described}
        return {"anyOf": [{"enum": list(self.names)}, matching]} if self.names else matching


def matches(pattern: str, *allowed: str) -> Matches:
    """Text that is one of the `allowed` names or matches the pattern.

    The last of `allowed` describes the pattern in the error.
    """
    *names, described = allowed
    return Matches(pattern, tuple(names), described)


def import_path_or(*names: str) -> Matches:
    """One of the built-in names, or a user's own class or function."""
    return matches(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*", *names, "an import path such as my_package.module:name")


NAME = r"[a-z][a-z0-9_]{0,62}"
"""Of a project, and so of its model, its folders and its part of a version's name."""

Share = Annotated[float, Field(ge=0, le=1)]
Name = Annotated[str, matches(NAME, "up to 63 small letters, digits and _, a letter first")]
ImportPath = Annotated[str, import_path_or()]


class Section(BaseModel):
    """A part of the YAML. Unknown keys are errors, values never change after loading."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", use_attribute_docstrings=True, validate_default=True
    )


def by_kind(*built_in: str) -> Discriminator:
    """Chooses a section's class by its `kind`, so that an error speaks of the one that was meant.

    Any other kind is an import path.
    """

    def tag(value: Any) -> str:
        kind = value.get("kind") if isinstance(value, dict) else getattr(value, "kind", None)
        return kind if kind in built_in else "custom"

    return Discriminator(tag)
