"""What every part of the YAML shares: strict, frozen sections and the named kinds of text in them."""

import re
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field


def matches(pattern: str, *allowed: str) -> AfterValidator:
    """Text that is one of the `allowed` names or matches the pattern; the last of `allowed` describes the pattern in the error."""

    def check(value: str) -> str:
        if value not in allowed[:-1] and not re.fullmatch(pattern, value):
            raise ValueError(f"{value!r} is not allowed; use {' or '.join(allowed)}")
        return value

    return AfterValidator(check)


def import_path_or(*names: str) -> AfterValidator:
    """One of the built-in names, or a user's own class or function."""
    return matches(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*", *names, "an import path such as my_package.module:name")


NAME = r"[a-z][a-z0-9_]{0,62}"
"""Of a project, and so of its model, its folders and its part of a version's name."""

Share = Annotated[float, Field(ge=0, le=1)]
Name = Annotated[str, matches(NAME, "up to 63 small letters, digits and _, a letter first")]
ImportPath = Annotated[str, import_path_or()]


class Section(BaseModel):
    """A part of the YAML. Unknown keys are errors, values never change after loading."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, validate_default=True)
