"""What a run may ask for that nobody signed: it names neither code nor files.

A run's parameters come over an API. Whoever can reach that must not be able to have a reader imported or a
file read of his choice, so a run without the installation's signature takes projects of the projects folder
by name, and of their keys those whose values are numbers, switches and choices. Which keys these are is read
off the schema's types: a text may be an import path or a file, and what a later version adds as text is shut
until it is signed.
"""

import types
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from configs.load import ConfigError, project_names
from configs.project import Project
from configs.section import Section

HARMLESS = (int, float, bool, type(None))
UNSIGNED = "a run that was not started by the gyre command"


def check_unsigned(project: str, overrides: Mapping[str, str], folder: Path, instead: str) -> None:
    """Raises ConfigError naming the parameter that only a signed run may have.

    `instead` says how to start one.
    """
    if project not in (known := project_names(folder)):
        listed = ", ".join(known) or "none"
        allowed = f"takes a project of {folder} by name ({listed})"
        raise ConfigError(f"project {project!r:.80}: {UNSIGNED} {allowed}; {instead}")
    for key in overrides:
        if not is_harmless(key):
            allowed = "changes only numbers, switches and choices"
            raise ConfigError(
                f"overrides: {key!r:.80} can name code or files; {UNSIGNED} {allowed}; {instead}"
            )


def is_harmless(key: str) -> bool:
    """Whether a dotted key exists, and none of the values it takes can name code or a file."""
    found = list(annotations(Project, key.split(".")))
    return bool(found) and all(map(takes_no_text, found))


def annotations(annotation: Any, keys: list[str]) -> Iterator[Any]:
    """The types that a dotted key may have below a type: several where a section has several kinds."""
    origin = get_origin(annotation)
    if origin is Annotated:
        yield from annotations(get_args(annotation)[0], keys)
    elif origin in (Union, types.UnionType):
        for part in get_args(annotation):
            yield from annotations(part, keys)
    elif not keys:
        yield annotation
    elif isinstance(annotation, type) and issubclass(annotation, Section):
        if keys[0] in annotation.model_fields:
            yield from annotations(field_type(annotation, keys[0]), keys[1:])
    elif annotation not in HARMLESS:
        # A mapping, or whatever else may hold keys that the schema does not know.
        yield annotation


def takes_no_text(annotation: Any) -> bool:
    """Whether every value of a type is a number, a switch, a choice, or made of these alone."""
    origin = get_origin(annotation)
    if origin is Literal or annotation in HARMLESS:
        return True
    if origin is Annotated:
        return takes_no_text(get_args(annotation)[0])
    if origin in (Union, types.UnionType, tuple):
        return all(takes_no_text(part) for part in get_args(annotation) if part is not Ellipsis)
    if isinstance(annotation, type) and issubclass(annotation, Section):
        return all(takes_no_text(field_type(annotation, name)) for name in annotation.model_fields)
    return False


def field_type(section: type[Section], name: str) -> Any:
    """A field's type; pydantic has taken `Annotated` off."""
    return section.model_fields[name].annotation
