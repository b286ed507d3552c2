"""The validation stage's Prefect tasks: look at what people and the last version say, then check the rows."""

import datetime as dt
from pathlib import Path
from typing import TYPE_CHECKING

from configs.labeling import LabelingConfig
from configs.result import ResultConfig
from configs.validation import ValidationConfig, VersionComparisonConfig
from infra.files import read_json, verify
from infra.settings import Settings
from tasks.pipeline.stage import StoppedError, announce, outcome_folder, show, stage, table
from tasks.records import RawRows, Stored, ValidationBaseline, ValidationReport
from tasks.records.events import DATA_REJECTED
from tasks.rows.versions import last_version

if TYPE_CHECKING:
    from tasks.validation.quarantine import Quarantine

SHOWN = 20


@stage(cached=False)
def validation_baseline(
    project: str, rows: RawRows, validation: ValidationConfig, labeling: LabelingConfig, result: ResultConfig
) -> ValidationBaseline:
    """The decisions in force and the version to compare with.

    While they are the same, the validation is reused.
    """
    from tasks.rows.parts import part_paths
    from tasks.validation.checks import version_comparison
    from tasks.validation.review import decisions

    folder = quarantine_of(project).folder
    standings = decisions.in_force(quarantine_of(project).log.all())
    last = (
        last_version(project, rows.digest) if validation.against_last != VersionComparisonConfig() else None
    )
    stale = version_comparison.too_old(
        part_paths(Path(rows.uri)), validation.against_last.freshness, dt.datetime.now(dt.UTC)
    )
    frozen = decisions.freeze_decisions(standings, folder / "in-force")
    found = ValidationBaseline(
        decisions=frozen, last=last, stale=stale, unlabelled=result.label if labeling.annotators else ""
    )
    quarantine_of(project).reuse(rows, validation, found)
    compared = f"Compared with {last.tag}." if last else "Compared with no other version."
    show(project, "validation baseline", f"{len(standings)} decisions about rows are in force. {compared}")
    return found


@stage()
def validate(
    project: str, rows: RawRows, validation: ValidationConfig, before: ValidationBaseline
) -> ValidationReport:
    """The rows that pass the project's rules; the others are in quarantine, with their reasons."""
    from tasks.validation import row_validation as core

    settings, folder = Settings(), outcome_folder()
    report = core.validate(
        rows,
        validation,
        folder,
        settings.home.make_report_folder(project, "validation", folder.name),
        before,
        settings.home,
    )
    report = quarantine_of(project).keep(report, rows, validation, before)
    show(project, "validation", description(report), Data_Docs=settings.report_url(Path(report.report)))
    if report.failures:
        facts = {
            "project": project,
            "rows": report.rows,
            "quarantined": report.quarantined,
            "reasons": list(report.failures),
        }
        announce(DATA_REJECTED, project, facts | {"report": report.report})
        raise StoppedError("validation refuses the rows", report.failures, takes(project, report.quarantined))
    return report


def takes(project: str, quarantined: int) -> str:
    """What people can do about rows that are refused."""
    decide = (
        f"a decision about the rows that `gyre data quarantine list {project}` shows, or "
        if quarantined
        else ""
    )
    return f"{decide}a source that keeps the rules, or others under `validation` in the YAML"


def quarantine_of(project: str) -> "Quarantine":
    """A project's quarantine in this installation."""
    from tasks.validation.quarantine import Quarantine

    return Quarantine(Settings().home.quarantine(project))


def description(report: ValidationReport) -> str:
    """A report for people: why it stopped, the rules, the decisions, and the first rows in quarantine."""
    stopped = [f"- **stopped**: {failure}" for failure in report.failures]
    rules = [
        {
            "rule": f"`{rule.rule}`",
            "severity": rule.severity,
            "holds": "yes" if rule.success else "**no**",
            "found": rule.observed,
        }
        for rule in report.rules
    ]
    parts = [
        "\n".join(stopped),
        table(rules),
        f"{report.rows} rows go on, {report.quarantined} are quarantined.",
    ]
    if report.decisions:
        parts += [
            f"{report.decided} rows were decided on, {report.lapsed} decisions no longer hold.",
            table(decided_rows(report.decisions)),
        ]
    if report.quarantine:
        parts.append(table(quarantined_rows(report.quarantine)))
    return "\n\n".join(part for part in parts if part)


def decided_rows(stored: Stored) -> list[dict[str, object]]:
    """The first decided rows, with what became of them."""
    rows = read_json(verify(stored.uri, stored.digest))[:SHOWN]
    return [
        {
            "decided row": row["row"],
            "now": row["became"],
            "by": row["decisions"][-1]["who"],
            "why": row["decisions"][-1]["why"],
        }
        for row in rows
    ]


def quarantined_rows(quarantine: Stored) -> list[dict[str, object]]:
    """The first rows in quarantine, with their reasons."""
    import pyarrow.parquet as pq

    rows = (
        pq.read_table(verify(quarantine.uri, quarantine.digest), columns=["id", "reasons"])
        .slice(0, SHOWN)
        .to_pylist()
    )
    return [{"quarantined row": row["id"], "breaks": ", ".join(row["reasons"])} for row in rows]
