"""The YAML of a project for data that nobody has described: contract, inputs, result, rules.

Every choice with its reason.
"""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from configs.intake import TabularIntakeConfig
from configs.result import ClassificationResultConfig, RegressionResultConfig
from configs.source import ColumnConfig
from tasks.ingestion.lines import LINE
from tasks.ingestion.parsing.contract import conform_table
from tasks.ingestion.parsing.values import replace_texts
from tasks.ingestion.schema_inference.file_formats import first_rows
from tasks.ingestion.schema_inference.images import holds_images, infer_images
from tasks.ingestion.schema_inference.tables import ROWS, Inferred, flow, infer_files
from tasks.ingestion.schema_inference.tables import to_yaml as source_yaml
from tasks.intake import build_intake
from tasks.onboarding.column_roles import MOST_CATEGORIES, Roles, assign_roles, choose_label
from tasks.onboarding.image_sections import image_sections
from tasks.result import build_result
from tasks.result.label_leakage import leaks
from tasks.rows.lookalike import spellings_of_one
from tasks.validation.proposal.propose import propose
from tasks.validation.proposal.report import to_yaml as rules_yaml

SAMPLE = 5000
"""Rows that say which inputs give the label away."""
SEVERAL = re.compile(r"[;|]|, |\S,\S")
"""What stands between labels that are written as one."""
SKEWED = 10.0
"""Largest over median from which on an amount is learned by its logarithm."""
SCHEDULE = (
    "# It runs when someone starts it; a cron line and an interval let it run by itself.",
    "schedule: {nightly: null, drift_seconds: null}",
)


@dataclass(frozen=True)
class Draft:
    """A project for data, as text."""

    name: str
    yaml: str
    missing: str = ""
    """What it needs before it runs and the data do not tell."""


def draft(location: str, label: str | None, name: str | None, table: str | None = None) -> Draft:
    """The draft for a file, URL, folder or a table of a database.

    Raises ValueError naming what cannot be told, and the option that tells it.
    """
    project = name or project_name(table or location)
    if holds_images(location):
        inferred_images = infer_images(location)
        text = [f"name: {project}", "", *image_sections(inferred_images), "", *SCHEDULE]
        return Draft(project, "\n".join(text) + "\n", inferred_images.missing)
    inferred = infer_files(location, table)
    rows = conform_table(first_rows(inferred.source, ROWS), inferred.source.columns, "error", location)
    # Columns that name a row only together may tell something each.
    key = (inferred.source.key,) if isinstance(inferred.source.key, str) else ()
    if label is not None and label not in rows.column_names:
        raise ValueError(f"--label {label}: no such column; there are {', '.join(rows.column_names)}")
    chosen = label or choose_label(rows, inferred.source.columns, key)
    inferred = without_label_in_key(inferred, chosen)
    inferred, rows = with_classes_spelt_once(inferred, rows, chosen)
    roles = assign_roles(rows, inferred.source.columns, key, chosen)
    leave_out_leaks(roles, rows)
    if not (roles.numeric or roles.categorical or roles.dates or roles.texts):
        reasons = "; ".join(f"{column}: {reason}" for column, reason in roles.left_out.items())
        raise ValueError(f"no column is left that could tell {chosen!r} ({reasons}); give another --label")
    return Draft(project, "\n".join(lines(project, inferred, roles, rows, guessed=label is None)) + "\n")


def project_name(location: str) -> str:
    """A name from a file's or table's."""
    stem = Path(location.partition("?")[0].rstrip("/")).name.partition(".")[0]
    plain = re.sub(r"[^a-z0-9_]+", "_", stem.casefold()).strip("_")
    return plain if re.match(r"[a-z]", plain) else f"project_{plain}".rstrip("_")


def leave_out_leaks(roles: Roles, rows: pa.Table) -> None:
    """Takes inputs that tell the label by themselves out of the draft.

    Usually they are known only once the label is.
    """
    names = [*roles.numeric, *roles.categorical, *roles.dates]
    if not names:
        return
    intake = build_intake(
        TabularIntakeConfig(
            kind="tabular", numeric=tuple(roles.numeric), categorical=tuple(roles.categorical)
        )
    )
    if not intake.columns:
        return
    section = (
        ClassificationResultConfig(kind="classification", classes=roles.classes, label=roles.label)
        if roles.classes
        else RegressionResultConfig(kind="regression", label=roles.label)
    )
    places = np.sort(np.random.default_rng(0).choice(len(rows), min(SAMPLE, len(rows)), replace=False))
    frame = rows.take(pa.array(places)).to_pandas().dropna(subset=[roles.label])
    for leak in leaks(frame, intake, build_result(section)):
        for column in leak.inputs.split(" and "):
            for kind in (roles.numeric, roles.categorical):
                if column in kind:
                    kind.remove(column)
            roles.left_out[column] = (
                "it tells the label by itself: put it back only if it is known before the label is"
            )


def lines(name: str, inferred: Inferred, roles: Roles, rows: pa.Table, guessed: bool) -> Iterator[str]:
    """The YAML, line by line."""
    yield f"# Drafted from the first {len(rows):,} rows. It runs as it is; read the comments, and change what you know better."
    yield f"name: {name}"
    yield ""
    yield from source_yaml(with_label_as_text(inferred, roles)).splitlines()
    yield ""
    yield from intake_lines(roles)
    yield ""
    yield from result_lines(roles, rows, guessed)
    yield ""
    key = inferred.source.key
    # Its values are the rows' ids from ingestion on; the column itself is gone.
    yield from rule_lines(roles, rows, (key,) if isinstance(key, str) else ())
    yield ""
    if roles.dates:
        yield f"# Where the future is to be predicted: versioning: {{split: {{by: time, column: {flow(roles.dates[0])}}}}}"
    yield "# The gate asks by itself whether the model surely beats a constant answer, and is not surely worse than a linear"
    yield "# model or boosted trees on the same rows; a fixed limit is gate: {min_score: 0.9}."
    yield from SCHEDULE


def without_label_in_key(inferred: Inferred, label: str) -> Inferred:
    """A row whose label is mended stays the row it was, so the label is no part of its name."""
    if label not in inferred.source.key or isinstance(inferred.source.key, str):
        return inferred
    remark = "rows are named by file and line, which lasts as long as files are only appended to"
    source = inferred.source.model_copy(update={"key": LINE})
    return Inferred(source, inferred.rows, inferred.remarks | {"key": remark})


def with_classes_spelt_once(inferred: Inferred, rows: pa.Table, label: str) -> tuple[Inferred, pa.Table]:
    """A contract that takes yes and YES for one class where a label has both, and the rows by it."""
    spec = inferred.source.columns[label]
    if spec.type != "text":
        return inferred, rows
    counts = Counter(
        {each["values"]: each["counts"] for each in pc.value_counts(rows[label].drop_null()).to_pylist()}
    )
    replaced: dict[str, str] = {}
    for spellings in spellings_of_one(counts) if len(counts) <= MOST_CATEGORIES else []:
        usual = max(spellings, key=lambda name: counts[name])
        replaced |= {name: usual for name in spellings if name != usual}
    if not replaced:
        return inferred, rows
    columns = inferred.source.columns | {label: spec.model_copy(update={"replace": replaced})}
    count = sum(counts[name] for name in replaced)
    remark = (
        f"{count:,} rows have a class that is written like another, and is taken for it (replace);"
        " take it out where it is none"
    )
    remarks = inferred.remarks | {label: "; ".join(filter(None, [inferred.remarks.get(label), remark]))}
    place = rows.column_names.index(label)
    rows = rows.set_column(place, label, replace_texts(rows[label], replaced))
    return Inferred(inferred.source.model_copy(update={"columns": columns}), inferred.rows, remarks), rows


def with_label_as_text(inferred: Inferred, roles: Roles) -> Inferred:
    """Classes are texts, as the source writes them; rows without a label are for the checks to count."""
    columns = dict(inferred.source.columns)
    spec = columns[roles.label]
    if roles.classes and spec.type not in ("text", "integer", "boolean"):
        columns[roles.label] = ColumnConfig(type="text", source=spec.source, missing=spec.missing)
    return Inferred(inferred.source.model_copy(update={"columns": columns}), inferred.rows, inferred.remarks)


def intake_lines(roles: Roles) -> Iterator[str]:
    """The inputs, and why columns are none."""
    left_out = dict(roles.left_out)
    if roles.is_text:
        left_out |= dict.fromkeys((*roles.numeric, *roles.categorical, *roles.dates), "the text is the input")
        yield f"intake: {{kind: text, column: {flow(roles.texts[0])}}}"
    else:
        left_out |= dict.fromkeys(
            roles.texts, "prose is an input of its own: intake: {kind: text, column: ...}"
        )
        yield "intake:"
        yield "  kind: tabular"
        for kind in ("numeric", "categorical", "dates"):
            if columns := getattr(roles, kind):
                yield f"  {kind}: {flow(columns)}"
    for column in roles.counted_times:
        yield f"  # {column!r} is taken for a time: its numbers count from 1970, or are digits such as 20200131"
    for column, reason in left_out.items():
        yield f"  # {column!r} is no input: {reason}"


def result_lines(roles: Roles, rows: pa.Table, guessed: bool) -> Iterator[str]:
    """What is predicted."""
    if guessed:
        yield f"# {roles.label!r} was taken for the label; `gyre init --label` names another"
    yield "result:"
    if roles.classes:
        yield "  kind: classification"
        yield f"  label: {flow(roles.label)}"
        yield f"  classes: {flow(list(roles.classes))}"
        if lists := [name for name in roles.classes if SEVERAL.search(name)]:
            yield f"  # {len(lists)} of these look like several labels in one, such as {lists[0]!r}: each is a class of its own"
        return
    yield "  kind: regression"
    yield f"  label: {flow(roles.label)}"
    values = rows[roles.label].drop_null().to_numpy().astype(np.float64)
    if values.min() >= 0 and values.max() > SKEWED * max(np.median(values), 1e-9):
        yield "  log: true # a few amounts are far larger than most: ratios are learned, not differences"


def rule_lines(roles: Roles, rows: pa.Table, key: tuple[str, ...]) -> Iterator[str]:
    """The rules that these rows keep; columns of lists have none, as checks see single values alone."""
    unjudged = [field.name for field in rows.schema if field.name in key or pa.types.is_nested(field.type)]
    try:
        proposal = propose(rows.drop_columns(unjudged), label=roles.label)
    except ValueError as error:  # too few rows
        yield f"# no rules are proposed: {error}"
        return
    yield from rules_yaml(proposal).splitlines()
