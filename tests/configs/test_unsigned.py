"""What a run may ask for that nobody signed, read off the schema.

No key of any section takes a text of somebody's choice.
"""

from typing import Annotated, Any, Union, get_args, get_origin

import pytest
from pydantic import TypeAdapter, ValidationError

from configs.load import BUNDLED, ConfigError, load
from configs.project import Project
from configs.section import Section
from configs.unsigned import check_unsigned, is_harmless

HOSTILE = [
    "subprocess:check_call",
    "/etc/passwd",
    "../evil.yaml",
    "read_csv('/etc/passwd')",
    "digits/2",
    "expect_x",
]
"""Texts that name code, files, tables, models."""


def sections_of(annotation: Any) -> list[type[Section]]:
    """The sections that stand directly under a key."""
    if get_origin(annotation) in (Annotated, Union, type(int | str)):
        return [section for part in get_args(annotation) for section in sections_of(part)]
    return [annotation] if isinstance(annotation, type) and issubclass(annotation, Section) else []


def walk(section: type[Section], before: str = "") -> dict[str, list[Any]]:
    """Every dotted key of the YAML, with the field of each kind of section that has it."""
    found: dict[str, list[Any]] = {}
    for name, field in section.model_fields.items():
        key = f"{before}{name}"
        found.setdefault(key, []).append(field)
        for inner in sections_of(field.annotation):
            for deeper, fields in walk(inner, f"{key}.").items():
                found.setdefault(deeper, []).extend(fields)
    return found


KEYS = walk(Project)


def accepts(field: Any, value: Any) -> bool:
    """Whether a field takes a value, as pydantic decides it when a YAML is read."""
    try:
        TypeAdapter(Annotated[field.annotation, "as declared", *field.metadata]).validate_python(value)
    except ValidationError:
        return False
    return True


def test_no_key_that_takes_a_text_is_open_without_a_signature():
    assert len(KEYS) > 150
    shapes = [
        value for text in HOSTILE for value in (text, [text], {"any": text}, {"any": {"choices": [text]}})
    ]
    open_to_text = [
        key
        for key, fields in KEYS.items()
        if is_harmless(key) and any(accepts(field, shape) for field in fields for shape in shapes)
    ]
    assert open_to_text == []


def test_what_names_code_files_or_tables_needs_a_signature():
    for key in (
        "source.reader",
        "source.path",
        "source.options",
        "source.options.x",
        "source.append",
        "source.join",
        "training.network",
    ):
        assert not is_harmless(key), key
    for key in (
        "training.resume",
        "training.network_options.x",
        "intake.kind",
        "intake.options.x",
        "cluster.kind",
        "cluster.options",
    ):
        assert not is_harmless(key), key
    for key in (
        "evaluation.slices",
        "validation.expectations",
        "search.parameters",
        "source",
        "training",
        "name",
        "no.such.key",
        "",
    ):
        assert not is_harmless(key), key


def test_numbers_switches_and_choices_are_open():
    for key in (
        "training.epochs",
        "training.schedule",
        "training.compile",
        "gate.min_score",
        "gate",
        "intake.height",
        "cluster.workers",
    ):
        assert is_harmless(key), key
    assert sum(map(is_harmless, KEYS)) > 60
    check_unsigned("digits", {"training.epochs": "3", "gate.prefer": "size"}, BUNDLED, "")
    assert load("digits", {"training.epochs": "3", "gate.prefer": "size"}).training.epochs == 3


@pytest.mark.parametrize(
    "project", ["/srv/evil.yaml", "../configs/digits", "evil.yaml", "./digits", "digits.yaml", "", "nobody"]
)
def test_a_project_is_one_of_the_folder_by_name(project):
    with pytest.raises(
        ConfigError,
        match=r"takes a project of .*configs by name \(adult, .*digits.*\); start it with gyre run",
    ):
        check_unsigned(project, {}, BUNDLED, "start it with gyre run")


def test_the_error_names_the_key_and_says_how_to_do_it():
    with pytest.raises(
        ConfigError,
        match=r"overrides: 'source.reader' can name code or files; .* only numbers, switches and choices; do X",
    ):
        check_unsigned(
            "digits", {"training.epochs": "3", "source.reader": "subprocess:check_call"}, BUNDLED, "do X"
        )
