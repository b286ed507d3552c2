"""What a look at a source's first rows can tell before a run starts.

Columns, labels, values, images, the network.

Everything here is found by the same code that a run uses, on about a thousand rows and in this process:
nothing is kept.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import pandas as pd
import torch

from configs.project import Project
from infra.settings import Settings
from tasks.ingestion.preview import Preview, preview
from tasks.intake import Intake, build_intake
from tasks.model.model import Model
from tasks.onboarding.duration import Duration, estimate_training
from tasks.pipeline.findings import JudgedFinding, judge
from tasks.result import Result, build_result

LOOKED_AT = 64
"""Rows that the network is tried on."""


class PreflightError(ValueError):
    """A run would stop; the message says why, a line each."""


@dataclass(frozen=True)
class Ahead:
    """What a look tells of a run that would not be stopped."""

    findings: tuple[JudgedFinding, ...]
    """What is odd about the first rows."""
    training: Duration | None
    """How long the training takes, about; None where it is not known how many rows there are."""

    @property
    def told(self) -> str:
        """How long the training takes, in words."""
        if self.training is None:
            return (
                "How long a training takes is known once the rows are read: nothing tells how many there are."
            )
        return f"A training takes {self.training.told}. That is an estimate; the other stages come on top."


def look_ahead(config: Project) -> tuple[JudgedFinding, ...]:
    """What is odd about the first rows.

    Raises PreflightError naming file, key, value and fix of all that would stop a run.
    """
    return look_at(config)[0]


def estimate_run(config: Project, settings: Settings) -> Ahead:
    """As `look_ahead`, and how long the training takes."""
    findings, frame = look_at(config)
    intake, result = build_intake(config.intake), build_result(config.result)
    duration = estimate_training(frame, config, intake, result, settings) if frame is not None else None
    return Ahead(findings, duration)


def told_ahead(config: Project, settings: Settings) -> str:
    """What a look at a draft tells: how long its training takes, or why its run would stop."""
    try:
        return estimate_run(config, settings).told
    except ValueError as error:
        return f"Its run would stop, so mend this first: {error}"


def look_at(config: Project) -> tuple[tuple[JudgedFinding, ...], pd.DataFrame | None]:
    """See `look_ahead`; and the first rows, where there are any with all columns."""
    intake, result = build_intake(config.intake), build_result(config.result)
    looks = list(preview(config.source, config.intake, config.result.label))
    judged = judge((finding for look in looks for finding in look.findings), config.checks)
    problems = [
        f"{config.name}: {each.reason} (seen in the first rows)" for each in judged if each.action == "refuse"
    ]
    for look in looks:
        problems += problems_of(look, config, intake, result)
    if problems:
        raise PreflightError("\n".join(dict.fromkeys(problems)))
    return judged, next((look.rows.to_pandas() for look in looks if look.rows is not None), None)


def problems_of(look: Preview, config: Project, intake: Intake, result: Result) -> Iterator[str]:
    """Why the first rows of one source would stop a run."""
    if look.rows is None:
        return
    frame = look.rows.to_pandas()
    yield from missing_columns(look, config, list(frame.columns))
    if not config.labeling.annotators:
        yield from label_problems(look, frame, config, result)
    yield from network_problems(frame, config, intake, result)


def missing_columns(look: Preview, config: Project, there: list[str]) -> Iterator[str]:
    """Columns that the YAML names and the rows do not have."""
    for key, column in named_columns(config):
        if column not in there:
            known = ", ".join(name for name in there if name not in ("origin", "origin_line"))
            yield f"{look.name}: no column {column!r} ({key}); the rows have {known}"


def named_columns(config: Project) -> Iterator[tuple[str, str]]:
    """Keys of the YAML that name a column of the rows, beside those of the intake and the label, which reading needs."""
    for annotator in config.labeling.annotators:
        yield "labeling.annotators", annotator
    if config.training.sample_weight:
        yield "training.sample_weight", config.training.sample_weight
    if config.versioning.split.column:
        yield "versioning.split.column", config.versioning.split.column
    for slice_ in config.evaluation.slices:
        if slice_.column and slice_.column != "split":
            yield "evaluation.slices", slice_.column
    for rule in config.validation.expectations:
        column = rule.kwargs.get("column")
        if isinstance(column, str):
            yield f"validation.expectations, {rule.type}", column


def label_problems(look: Preview, frame: pd.DataFrame, config: Project, result: Result) -> Iterator[str]:
    """Labels that the result does not allow, or none at all."""
    label = config.result.label
    there = frame[label].dropna() if label in frame else pd.Series(dtype=object)
    if there.empty:
        yield f"{look.name}: column {label!r} (result.label) has no value in the first {len(frame)} rows; set result.label"
        return
    try:
        result.targets(there)
    except ValueError as error:
        yield f"{look.name}: {error}"


def network_problems(frame: pd.DataFrame, config: Project, intake: Intake, result: Result) -> Iterator[str]:
    """A network that cannot be made, or that does not take these rows."""
    rows = intake.rows(frame.head(LOOKED_AT))
    encoder = intake.encoder()
    encoder.fit(rows)
    encoded = encoder.encode(rows)
    try:
        model = Model(encoder, intake, result, config.training).eval()
        model.preprocessing.fit(encoded)
        with torch.inference_mode():
            outputs = model.outputs(torch.from_numpy(encoded))
    except (ImportError, ValueError, TypeError, RuntimeError) as error:
        yield f"{config.name}: training.network {config.training.network or '(the default)'} does not take these rows: {error}"
        return
    wanted = (len(rows), result.outputs)
    if tuple(outputs.shape) != wanted:
        found = list(outputs.shape)
        yield f"{config.name}: training.network {config.training.network} gives outputs {found}; want {list(wanted)}: rows, outputs"
