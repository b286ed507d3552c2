"""The JSON schema of a project's YAML, derived from the typed one.

Editors complete keys and check values while they are typed.

It knows keys, types, choices, ranges and patterns. What needs two keys at once, such as a batch that ranks
can share, is for `configs/load.py` to say, and so for `gyre check`.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from configs.project import Project

DIALECT = "http://json-schema.org/draft-07/schema#"
"""The newest that every YAML editor understands."""
OTHERWISE = "custom"
"""Tag of the section whose `kind` is none of the built-in ones, but an import path."""


def project_schema() -> dict[str, Any]:
    """The JSON schema of a project's YAML."""
    schema = Project.model_json_schema(schema_generator=EditorSchema)
    return {"$schema": DIALECT, **schema, "title": "A Gyre project"}


def schema_text() -> str:
    """The same as the text of a file; equal schemas are equal bytes."""
    return json.dumps(project_schema(), indent=2, ensure_ascii=False) + "\n"


def schema_line(yaml_file: Path, schema_file: Path) -> str:
    """The comment by which editors find a YAML's schema.

    Relative where the file lies below the YAML's folder, so both can move.
    """
    folder, place = yaml_file.resolve().parent, schema_file.resolve()
    shown = place.relative_to(folder) if place.is_relative_to(folder) else place
    return f"# yaml-language-server: $schema={shown.as_posix()}"


class EditorSchema(GenerateJsonSchema):
    """Pydantic's JSON schema, in the words of draft 7, and allowing what the loader allows."""

    def str_schema(self, schema: core_schema.StringSchema) -> JsonSchemaValue:
        """A number stands for its text, as in `classes: [0, 1]`, unless the text has a form to keep."""
        made = super().str_schema(schema)
        return made if "pattern" in made else {**made, "type": ["string", "number"]}

    def tuple_schema(self, schema: core_schema.TupleSchema) -> JsonSchemaValue:
        """Draft 7 lists the types of a tuple's places as `items`."""
        made = super().tuple_schema(schema)
        if "prefixItems" in made:
            made["items"] = made.pop("prefixItems")
        return made

    def dict_schema(self, schema: core_schema.DictSchema) -> JsonSchemaValue:
        """A key that does not have the form that keys must have is wrong."""
        made = super().dict_schema(schema)
        if "patternProperties" in made:
            made["additionalProperties"] = False
        return made

    def tagged_union_schema(self, schema: core_schema.TaggedUnionSchema) -> JsonSchemaValue:
        """Sections told apart by their `kind`.

        An error then speaks of the one that was meant, as the loader's does.
        """
        choices: Mapping[Any, core_schema.CoreSchema] = schema["choices"]
        built_in = [str(tag) for tag in choices if tag != OTHERWISE]
        rules = []
        for tag, choice in choices.items():
            kinds = {"not": {"enum": built_in}} if tag == OTHERWISE else {"const": tag}
            asked = {"properties": {"kind": kinds}, "required": ["kind"]}
            rules.append({"if": asked, "then": self.generate_inner(choice)})
        offered = {"anyOf": [{"enum": built_in}, {"type": "string"}]}
        return {"type": "object", "properties": {"kind": offered}, "required": ["kind"], "allOf": rules}

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> JsonSchemaValue:
        """A section's default is the defaults of its keys.

        Written out again, an editor would show nothing else.
        """
        made = super().default_schema(schema)
        if isinstance(made.get("default"), dict) and made["default"]:
            del made["default"]
        return made

    def field_title_should_be_set(self, schema: Any) -> bool:
        """Titles repeat keys with capitals."""
        return False
