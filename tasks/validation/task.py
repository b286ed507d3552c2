"""The validation stage's Prefect task."""

from pathlib import Path

import pyarrow.parquet as pq

from configs.data import Validation
from infra.files import verified
from infra.settings import Settings
from tasks.events import DATA_REJECTED
from tasks.records import RawRows, Stored, ValidationReport
from tasks.stage import StoppedError, announce, outcome_folder, show, stage, table
from tasks.validation import validate as core

QUARANTINED_SHOWN = 20


@stage()
def validate(project: str, rows: RawRows, validation: Validation) -> ValidationReport:
    """The rows that pass the project's rules; the others are in quarantine, with their reasons."""
    settings, folder = Settings(), outcome_folder()
    report = core.validate(rows, validation, folder, settings.folder("reports", project, "validation", folder.name))
    show(project, "validation", description(report), Data_Docs=settings.report_url(Path(report.report)))
    if report.failures:
        facts = {"project": project, "rows": report.rows, "quarantined": report.quarantined, "reasons": list(report.failures)}
        announce(DATA_REJECTED, project, facts | {"report": report.report})
        raise StoppedError("; ".join(report.failures))
    return report


def description(report: ValidationReport) -> str:
    """A report for people: why it stopped, the rules, and the first rows in quarantine."""
    stopped = [f"- **stopped**: {failure}" for failure in report.failures]
    rules = [
        {"rule": f"`{rule.rule}`", "severity": rule.severity, "holds": "yes" if rule.success else "**no**", "found": rule.observed}
        for rule in report.rules
    ]
    parts = ["\n".join(stopped), table(rules), f"{report.rows} rows go on, {report.quarantined} are quarantined."]
    if report.quarantine:
        parts.append(table(quarantined(report.quarantine)))
    return "\n\n".join(part for part in parts if part)


def quarantined(quarantine: Stored) -> list[dict[str, object]]:
    """The first rows in quarantine, with their reasons."""
    rows = pq.read_table(verified(quarantine.uri, quarantine.digest), columns=["id", "reasons"]).slice(0, QUARANTINED_SHOWN).to_pylist()
    return [{"quarantined row": row["id"], "breaks": ", ".join(row["reasons"])} for row in rows]
