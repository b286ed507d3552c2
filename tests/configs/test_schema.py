"""Editors' JSON schema of the YAML takes what the loader takes, and marks what anyone mistypes."""

import json
from pathlib import Path

import pytest
import yaml
from jsonschema import Draft7Validator

from configs.load import BUNDLED
from configs.schema import project_schema, schema_line, schema_text

HERE = Path(__file__).parent
VALID = sorted([*(HERE / "valid").glob("*.yaml"), *BUNDLED.glob("*.yaml")])
SMALLEST = (HERE / "valid" / "smallest.yaml").read_text()


class EditorLoader(yaml.SafeLoader):
    """Editors read a date as a text, as JSON has none."""


EditorLoader.yaml_implicit_resolvers = {
    first: [(tag, form) for tag, form in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def problems(text: str) -> list[str]:
    """Each as its key and what is wrong there."""
    tree = json.loads(json.dumps(yaml.load(text, EditorLoader)))  # noqa: S506
    errors = Draft7Validator(project_schema()).iter_errors(tree)
    return [f"{'.'.join(map(str, error.absolute_path))}: {error.message}" for error in errors]


def test_the_schema_is_one():
    Draft7Validator.check_schema(json.loads(schema_text()))


@pytest.mark.parametrize("path", VALID, ids=lambda path: path.stem)
def test_a_file_that_loads_keeps_the_schema(path):
    assert problems(path.read_text()) == []


@pytest.mark.parametrize(
    ("added", "told"),
    [
        (
            "training: {epochz: 3}",
            "training: Additional properties are not allowed ('epochz' was unexpected)",
        ),
        ("trianing: {epochs: 3}", ": Additional properties are not allowed ('trianing' was unexpected)"),
        ("training: {epochs: many}", "training.epochs: 'many' is not valid under any of the given schemas"),
        ("training: {seed: 1.5}", "training.seed: 1.5 is not of type 'integer'"),
        ("training: {warmup: 2}", "training.warmup: 2 is greater than the maximum of 1"),
        (
            "training: {schedule: cosin}",
            "training.schedule: 'cosin' is not one of ['cosine', 'linear', 'constant']",
        ),
        (
            "training: {network: resnet}",
            "training.network: 'resnet' is not valid under any of the given schemas",
        ),
        (
            "checks: {repeated_keys: forbid}",
            "checks.repeated_keys: 'forbid' is not valid under any of the given schemas",
        ),
        (
            "checks: {repeated_keys: 1.5}",
            "checks.repeated_keys: 1.5 is not valid under any of the given schemas",
        ),
        ("labeling: {annotators: [true]}", "labeling.annotators.0: True is not of type 'string', 'number'"),
        ("cluster: {kind: lokal}", "cluster.kind: 'lokal' is not valid under any of the given schemas"),
        (
            "search: {parameters: {gate.min_score: {low: 0, high: 1}}}",
            "search.parameters: 'gate.min_score' does not match",
        ),
        (
            "evaluation: {slices: [{colum: sex}]}",
            "evaluation.slices.0: {'colum': 'sex'} is not valid under any of the given schemas",
        ),
    ],
)
def test_what_was_mistyped_is_marked_where_it_stands(added, told):
    assert [problem for problem in problems(f"{SMALLEST}\n{added}\n") if problem.startswith(told)], problems(
        f"{SMALLEST}\n{added}\n"
    )


def test_a_key_of_another_kind_is_marked_as_the_meant_kind_has_it():
    text = SMALLEST.replace("kind: tabular", "kind: image")
    assert text != SMALLEST
    told = problems(text)
    assert "intake: 'height' is a required property" in told
    assert [
        line for line in told if line.startswith("intake: Additional properties are not allowed ('numeric'")
    ]


def test_every_section_takes_no_unknown_key_and_every_key_has_a_default_or_is_required():
    for name, section in project_schema()["$defs"].items():
        if "properties" not in section:
            continue
        assert section["additionalProperties"] is False, name
        for key, value in section["properties"].items():
            fixed = "const" in value or "$ref" in value
            assert fixed or "default" in value or key in section.get("required", ()), f"{name}.{key}"


def test_the_line_for_editors_moves_with_the_folder_that_holds_both(tmp_path):
    near = schema_line(tmp_path / "wine.yaml", tmp_path / ".gyre" / "project.schema.json")
    assert near == "# yaml-language-server: $schema=.gyre/project.schema.json"
    far = schema_line(tmp_path / "projects" / "wine.yaml", tmp_path / "home" / "project.schema.json")
    assert far == f"# yaml-language-server: $schema={tmp_path}/home/project.schema.json"
